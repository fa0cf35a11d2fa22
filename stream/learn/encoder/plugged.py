"""The kind of encoder that a user plugs in: what it makes of a text comes with the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import orjson

from stream.features import Rows
from stream.learn.extreme.learner import ExtremeLearner
from stream.types import Float32


class Plugged:
    """Embeds a row as what came beside it; rows without are NaN and lie nowhere.

    Parameters
    ----------
    name, model
        The settings `encoder.plugin` and `encoder.model`: two that differ share no space.
    dimension
        Width of the vectors.
    """

    kind: ClassVar[str] = "plugged"

    def __init__(self, name: str, model: str, dimension: int) -> None:
        self.name, self.model, self.dimension = name, model, dimension

    def embed(self, learner: ExtremeLearner, rows: Rows) -> Float32:
        """See `stream.learn.encoder.encoders.Encoder`."""
        if rows.beside is not None:
            return rows.beside
        return np.full((len(rows), self.dimension), np.nan, np.float32)

    def arrays(self) -> dict[str, Any]:
        """Which one it is; what it consists of is the plugin's own."""
        told = orjson.dumps([self.name, self.model])
        return {"plugin": np.frombuffer(told, np.uint8)}

    @classmethod
    def revived(cls, dimension: int, arrays: Mapping[str, Any]) -> Plugged:
        """The one that `arrays` told of."""
        name, model = orjson.loads(np.asarray(arrays["plugin"], np.uint8).tobytes())
        return cls(name, model, dimension)
