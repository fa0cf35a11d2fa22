"""Examples to rows: hashed sparse features for text and named features, dense for vectors.

Text is cut into lower-case word tokens of two characters or more. Its features are the words, the
six-character prefixes of longer ones at half weight, the bigrams of its title and, where there is
more than a title, the title's words once more. The title is the first line, of which bigrams and
title words take the first 32 tokens. Beside its features a text keeps its words in order, each
as a hash of its stem and one of its first six letters, for finding the names of labels in it.
Weighting by idf and scaling are online and belong to the learner.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stream import tokens
from stream.errors import InvalidRecord
from stream.tokens import mixed
from stream.types import Example, Float32, Int64

UInt64 = NDArray[np.uint64]

_NAMES, _SHORT = 1 << 16, 64  # feature names whose hashes are kept, and their longest
_NAME = np.uint64(5 << 56)  # of a key before it is mixed; see `stream.tokens`

_NO_WORDS = np.zeros(0, np.uint64)
_NO_SPANS = np.zeros(1, np.int64)


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of rows; sparse as CSR over 64-bit feature hashes, or dense.

    Parameters
    ----------
    indptr
        (n + 1,) int64, the bounds of each sparse row.
    hashes
        (nnz,) uint64, distinct within a row but for collisions; the top bit marks a title's.
    raw
        (nnz,) float32, the values as given.
    terms
        (nnz,) float32, dampened values: 1 + ln tf times the weight for text, sign·log1p else.
    dense
        (n, d) float32, or None for sparse rows.
    words
        (m,) uint64, the words of each text in order: the hash of a word's stem in the high half,
        that of its first letters in the low half; 0 ends a title.
    spans
        (n + 1,) int64, the bounds of each row's words.
    beside
        (n, d) float32 at unit length, what a plugged encoder makes of each text, NaN for rows
        without; None where it was not asked.
    """

    indptr: Int64
    hashes: UInt64
    raw: Float32
    terms: Float32
    dense: Float32 | None = None
    words: UInt64 = field(default_factory=lambda: _NO_WORDS)
    spans: Int64 = field(default_factory=lambda: _NO_SPANS)
    beside: Float32 | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1 if self.dense is None else len(self.dense)

    @property
    def width(self) -> int:
        """Length of dense rows, 0 for sparse ones."""
        return 0 if self.dense is None else self.dense.shape[1]

    def part(self, start: int, stop: int) -> Rows:
        """Rows start to stop, as views."""
        if start == 0 and stop == len(self):
            return self
        if self.dense is not None:
            return Rows(self.indptr, self.hashes, self.raw, self.terms, self.dense[start:stop])
        low, high = self.indptr[start], self.indptr[stop]
        first, last = self.spans[start], self.spans[stop]
        return Rows(
            self.indptr[start : stop + 1] - low,
            self.hashes[low:high],
            self.raw[low:high],
            self.terms[low:high],
            None,
            self.words[first:last],
            self.spans[start : stop + 1] - first,
            None if self.beside is None else self.beside[start:stop],
        )


EMPTY = Rows(
    np.zeros(1, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.float32), np.zeros(0, np.float32)
)

Row = tuple[UInt64, Float32, Float32, UInt64]
"""Hashes, raw values, terms and words of a sparse row."""
Told = tuple[UInt64, Float32, Float32, UInt64, Float32]
"""The same, and what a plugged encoder makes of it, (d,); of a batch all rows have it, or none."""
AnyRow = Row | Told | Float32


def name_hashes(names: Sequence[str]) -> UInt64:
    """Hashes of feature names, (n,) uint64; what `Featurizer` gives named features."""
    # Tabular events name the same features over and over; long names would fill the memory.
    if max(map(len, names), default=0) > _SHORT:
        return _hashed(names)
    if len(_named) > _NAMES:
        _named.clear()
    return np.fromiter(map(_named.__getitem__, names), np.uint64, len(names))


def stack(rows: Sequence[Row | Told]) -> Rows:
    """Sparse rows as one batch."""
    if not rows:
        return EMPTY
    bounds = np.zeros((2, len(rows) + 1), np.int64)
    for at, which in ((0, 0), (1, 3)):
        np.cumsum([len(row[which]) for row in rows], out=bounds[at, 1:])
    if len(rows) == 1:
        hashes, raw, terms, words = rows[0][:4]
    else:
        columns = [*zip(*rows, strict=True)][:4]
        hashes, raw, terms, words = (np.concatenate(part) for part in columns)
    beside = None
    if len(rows[0]) > 4:
        beside = np.stack([row[4] for row in rows if len(row) > 4])
    return Rows(bounds[0], hashes, raw, terms, None, words, bounds[1], beside)


def blank(n: int, width: int) -> Rows:
    """n rows that say nothing: dense zeros, or for width 0 sparse rows without features."""
    dense = np.zeros((n, width), np.float32) if width else None
    none = np.zeros(n + 1, np.int64)
    return Rows(none, EMPTY.hashes, EMPTY.raw, EMPTY.terms, dense, spans=none)


def batch(rows: Sequence[AnyRow]) -> Rows:
    """Rows of one kind as a batch."""
    if rows and not isinstance(rows[0], tuple):
        dense = np.stack([row for row in rows if not isinstance(row, tuple)])
        return Rows(EMPTY.indptr, EMPTY.hashes, EMPTY.raw, EMPTY.terms, dense)
    return stack([row for row in rows if isinstance(row, tuple)])


def row_of(rows: Rows, at: int) -> AnyRow:
    """One row of a batch, as views."""
    if rows.dense is not None:
        vector: Float32 = rows.dense[at]
        return vector
    low, high = rows.indptr[at], rows.indptr[at + 1]
    first, last = rows.spans[at], rows.spans[at + 1]
    return rows.hashes[low:high], rows.raw[low:high], rows.terms[low:high], rows.words[first:last]


def of_values(hashes: UInt64, values: Float32) -> Row:
    """A row of named features from their hashes and values."""
    return hashes, values, np.sign(values) * np.log1p(np.abs(values)), _NO_WORDS


def of_text(text: str) -> Row:
    """The row of a text."""
    found = tokens.tokens(text)
    hashes, terms = tokens.row(found)
    return hashes, terms, terms, tokens.ordered(found)


def names_in(text: str) -> list[UInt64]:
    """The words of a label's name: its description's first line, and that up to a bracket."""
    line = text.strip().partition("\n")[0]
    bare = re.split(r"[(\[<]", line)[0]
    named = (tokens.tokens(name) for name in dict.fromkeys((line, bare)))
    return [tokens.ordered(found) for found in named if len(found.found)]


class Featurizer:
    """Turns examples into rows, and holds a stream to one kind of payload.

    The first labelled or predicted event decides: a stream is dense (vectors of one length)
    or sparse (texts and named features, which may be mixed).
    """

    def __init__(self) -> None:
        self.length: int | None = None
        """None before the first event, 0 for sparse streams, else the length of vectors."""

    def check(self, example: Example) -> None:
        """Raise InvalidRecord where an example does not fit the stream."""
        length = 0 if example.vector is None else len(example.vector)
        if self.length is None:
            self.length = length
        if length == self.length:
            return
        if length == 0 or self.length == 0:
            have = "dense vectors" if self.length else "text or named features"
            raise InvalidRecord("payload_kind", f"this stream has {have}")
        raise InvalidRecord("vector_length", f"{length} numbers, this stream has {self.length}")

    def row(self, example: Example) -> AnyRow:
        """The row of an example that `check` let pass: sparse parts, or a dense vector."""
        if self.length:
            assert example.vector is not None, "checked"
            return example.vector
        if example.text is not None:
            return of_text(example.text)
        features = example.features or {}
        values = np.fromiter(features.values(), np.float32, len(features))
        hashes = name_hashes(list(features))
        if not values.all():
            kept = values != 0
            hashes, values = hashes[kept], values[kept]
        return of_values(hashes, values)

    def state(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"length": self.length}

    def load(self, state: dict[str, Any]) -> None:
        """Replace the state."""
        self.length = state["length"]


def _hashed(names: Sequence[str]) -> UInt64:
    found = [crc32(name.encode("utf-8", "surrogatepass")) for name in names]
    hashes: UInt64 = mixed(np.array(found, np.uint64) ^ _NAME) & ~tokens.TITLE
    return hashes


class _Named(dict[str, int]):
    """Hashes of names, kept as they are asked for."""

    def __missing__(self, name: str) -> int:
        self[name] = found = int(_hashed([name])[0])
        return found


_named = _Named()
