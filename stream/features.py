"""Examples to rows: hashed sparse features for text and named features, dense for vectors.

Text is cut into lower-case word tokens of two characters or more. Its features are the words, the
six-character prefixes of longer ones at half weight, the bigrams of its title and, where there is
more than a title, the title's words once more. The title is the first line, of which bigrams and
title words take the first 32 tokens.
Weighting by idf and scaling are online and belong to the learner.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stream.errors import InvalidRecord
from stream.types import Example, Float32, Int64

UInt64 = NDArray[np.uint64]

# Vowel signs and the like, which `re` takes for no part of a word: Hebrew, Arabic, Indic to
# Tibetan, Burmese, Khmer. Without them a word of such a script falls into single letters.
_MARKS = (
    "\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0e4e\u0e50-\u0eff"
    "\u102b-\u103e\u17b4-\u17d3"
)
_TOKEN = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])+")
_PREFIX = 6
_TITLE = 32
_WORD, _TITLE_WORD, _BIGRAM, _STEM, _NAME = (np.uint64(n << 56) for n in (1, 2, 3, 4, 5))
_WEIGHTS = np.array([0, 1, 1, 1, 0.5, 1], np.float32)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(29)


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of rows; sparse as CSR over 64-bit feature hashes, or dense.

    Parameters
    ----------
    indptr
        (n + 1,) int64, the bounds of each sparse row.
    hashes
        (nnz,) uint64, distinct within a row but for collisions.
    raw
        (nnz,) float32, the values as given.
    terms
        (nnz,) float32, dampened values: 1 + ln tf times the weight for text, sign·log1p else.
    dense
        (n, d) float32, or None for sparse rows.
    """

    indptr: Int64
    hashes: UInt64
    raw: Float32
    terms: Float32
    dense: Float32 | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1 if self.dense is None else len(self.dense)

    @property
    def width(self) -> int:
        """Length of dense rows, 0 for sparse ones."""
        return 0 if self.dense is None else self.dense.shape[1]

    def part(self, start: int, stop: int) -> Rows:
        """Rows start to stop, as views."""
        if self.dense is not None:
            return Rows(self.indptr, self.hashes, self.raw, self.terms, self.dense[start:stop])
        low, high = self.indptr[start], self.indptr[stop]
        return Rows(
            self.indptr[start : stop + 1] - low,
            self.hashes[low:high],
            self.raw[low:high],
            self.terms[low:high],
        )


EMPTY = Rows(
    np.zeros(1, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.float32), np.zeros(0, np.float32)
)

Row = tuple[UInt64, Float32, Float32]
AnyRow = Row | Float32


def name_hashes(names: Sequence[str]) -> UInt64:
    """Hashes of feature names, (n,) uint64; what `Featurizer` gives named features."""
    return _mix(_crc(names) ^ _NAME)


def stack(rows: Sequence[Row]) -> Rows:
    """Sparse rows as one batch."""
    indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row[0]) for row in rows], out=indptr[1:])
    if not rows:
        return EMPTY
    return Rows(indptr, *(np.concatenate(part) for part in zip(*rows, strict=True)))


def blank(n: int, width: int) -> Rows:
    """n rows that say nothing: dense zeros, or for width 0 sparse rows without features."""
    dense = np.zeros((n, width), np.float32) if width else None
    return Rows(np.zeros(n + 1, np.int64), EMPTY.hashes, EMPTY.raw, EMPTY.terms, dense)


def batch(rows: Sequence[AnyRow]) -> Rows:
    """Rows of one kind as a batch."""
    if rows and not isinstance(rows[0], tuple):
        dense = np.stack([row for row in rows if not isinstance(row, tuple)])
        return Rows(EMPTY.indptr, EMPTY.hashes, EMPTY.raw, EMPTY.terms, dense)
    return stack([row for row in rows if isinstance(row, tuple)])


def of_values(hashes: UInt64, values: Float32) -> Row:
    """A row of named features from their hashes and values."""
    return hashes, values, np.sign(values) * np.log1p(np.abs(values))


def of_text(text: str) -> Row:
    """The row of a text."""
    title, _, body = text.partition("\n")
    head = _TOKEN.findall(title.lower())
    tail = _TOKEN.findall(body.lower())
    words = _crc(head + tail)
    stems = _crc([token[:_PREFIX] for token in head + tail if len(token) > _PREFIX])
    top = words[: min(len(head), _TITLE)]
    parts = [
        words | _WORD,
        (top if tail else top[:0]) | _TITLE_WORD,
        ((top[:-1] * _GOLDEN ^ top[1:]) & np.uint64(0xFFFFFFFFFFFF)) | _BIGRAM,
        stems | _STEM,
    ]
    keys, counts = np.unique(np.concatenate(parts), return_counts=True)
    weights = _WEIGHTS[(keys >> np.uint64(56)).astype(np.int64)]
    terms = (weights * (1.0 + np.log(counts))).astype(np.float32)
    return _mix(keys), terms, terms


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
        kept = values != 0
        return of_values(hashes[kept], values[kept])

    def state(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"length": self.length}

    def load(self, state: dict[str, Any]) -> None:
        """Replace the state."""
        self.length = state["length"]


def _crc(tokens: Sequence[str]) -> UInt64:
    return np.fromiter(
        (crc32(token.encode("utf-8", "surrogatepass")) for token in tokens), np.uint64, len(tokens)
    )


def _mix(keys: UInt64) -> UInt64:
    """Spread the bits, so that low bits index tables well (a splitmix64 step)."""
    mixed = keys * _GOLDEN
    mixed = (mixed ^ (mixed >> _SHIFT)) * _MIX
    return mixed ^ (mixed >> _SHIFT)
