"""Models of the package sentence-transformers as an encoder; the extra `sentence`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stream.errors import MissingExtra, SettingError
from stream.types import Float32

_TOGETHER = 64  # texts in one pass of the network


class SentenceEncoder:
    """A sentence-transformers model; on a GPU where torch has one.

    Parameters
    ----------
    model
        A folder with the model, or a name that the package knows and may have to download.

    Raises
    ------
    SettingError
        No model is named, or there is no such folder.
    MissingExtra
        The package is not installed.
    """

    def __init__(self, model: str) -> None:
        folder = Path(model).expanduser()
        if not model or (model.startswith(("/", ".", "~")) and not folder.is_dir()):
            raise SettingError("encoder.model", model, "name the folder of a model")
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as error:
            raise MissingExtra("encoder.plugin=sentence-transformers", "sentence") from error
        disable_progress_bar()
        local = folder.is_dir()
        self._model = SentenceTransformer(str(folder) if local else model, local_files_only=local)
        self.dimension = int(self._width())

    def _width(self) -> int:
        new = getattr(self._model, "get_embedding_dimension", None)  # its name from 5.2 on
        width = new() if new is not None else self._model.get_sentence_embedding_dimension()
        if width is None:
            raise ValueError("the model does not say how wide its vectors are")
        return int(width)

    def embed(self, texts: Sequence[str]) -> Float32:
        """Vectors (n, dimension) float32; see `stream.encoders.base`."""
        found = self._model.encode(
            list(texts), batch_size=_TOGETHER, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(found, np.float32)
