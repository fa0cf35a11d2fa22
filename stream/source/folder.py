"""Evaluation folders as examples, the same as their events would be decoded from Kafka."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from stream.errors import SourceError
from stream.types import Example


class Folder:
    """A folder with `X.npz` and `Y.npz`; see `stream.evaluate`.

    Parameters
    ----------
    path
        The folder.
    text
        Take `texts.jsonl.gz` rather than `X.npz`: title, a line break, abstract.
    """

    def __init__(self, path: Path, text: bool = False) -> None:
        self.path = path
        self.name = path.resolve().name
        self._y = _matrix(path / "Y.npz")
        self._text = text
        self.labels = int(self._y.shape[1])
        self.label_names = self._names("label_names.txt.gz", self.labels)
        order = path / "order.npy"
        self._order = np.load(order) if order.exists() else np.arange(self._y.shape[0])
        self.events = len(self._order)
        if text:
            self._texts = _texts(path / "texts.jsonl.gz")
            self.features = 0
        else:
            self._x = _matrix(path / "X.npz")
            self.features = int(self._x.shape[1])
            self._columns = np.array(
                self._names("feature_names.txt.gz", self.features), dtype=object
            )

    def descriptions(self) -> dict[str, str]:
        """A text for each label: what stands behind the tab of its name, or the name.

        Raises
        ------
        SourceError
            The folder has no label names.
        """
        if not (self.path / "label_names.txt.gz").exists():
            raise SourceError(f"{self.path} has no label_names.txt.gz, so no names can be given")
        return {name: name.partition("\t")[2] or name for name in self.label_names}

    def examples(self, most: int) -> Iterator[Example]:
        """The first `most` events in stream order."""
        names = self.label_names
        for at, row in enumerate(self._order[:most].tolist()):
            low, high = self._y.indptr[row], self._y.indptr[row + 1]
            labels = tuple(names[label] for label in self._y.indices[low:high].tolist())
            identity = f"{self.name}-{at}"
            if self._text:
                yield Example(identity, text=self._texts[row], labels=labels)
            else:
                yield Example(identity, features=self._row(row), labels=labels)

    def records(self, most: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """The same events as (key, value) pairs in the event contract."""
        for example in self.examples(most or self.events):
            body: dict[str, Any] = {"id": example.id, "labels": example.labels}
            if self._text:
                body["text"] = example.text
            else:
                body["features"] = example.features
            yield example.id.encode(), orjson.dumps(body)

    def _row(self, row: int) -> dict[str, float]:
        low, high = self._x.indptr[row], self._x.indptr[row + 1]
        names = self._columns[self._x.indices[low:high]].tolist()
        return dict(zip(names, self._x.data[low:high].tolist(), strict=True))

    def _names(self, file: str, count: int) -> list[str]:
        path = self.path / file
        if not path.exists():
            return [str(number) for number in range(count)]
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            names = [line.rstrip("\n") for line in lines]
        if len(names) != count or len(set(names)) != count:
            raise SourceError(f"{path} must hold {count} distinct names, one a line")
        return names


def _matrix(path: Path) -> Any:
    import scipy.sparse

    try:
        return scipy.sparse.csr_matrix(scipy.sparse.load_npz(path))
    except FileNotFoundError:
        raise SourceError(f"{path} is missing; an evaluation folder has X.npz and Y.npz") from None
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{path} is not a scipy sparse matrix ({error})") from None


def _texts(path: Path) -> list[str]:
    try:
        with gzip.open(path, "rb") as lines:
            rows = [orjson.loads(line) for line in lines]
    except FileNotFoundError:
        raise SourceError(f"{path} is missing, so there are no texts to read") from None
    return [f"{row.get('title') or ''}\n{row.get('abstract') or ''}" for row in rows]
