"""What every index checks before it changes anything, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexes.base import PAD, DimensionMismatch, Float32, Hits, Int64


def as_ids(ids: ArrayLike) -> Int64:
    """`ids` as a contiguous (n,) int64 array.

    Raises
    ------
    ValueError
        Not one-dimensional, not whole numbers, or one is negative.
    """
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"ids must be (n,), not {array.shape}")
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"ids must be whole numbers, not {array.dtype}")
    out = np.ascontiguousarray(array, np.int64)
    if out.min() < 0:
        raise ValueError(f"ids must not be negative: {int(out.min())}")
    return out


def as_rows(rows: ArrayLike, count: int, dimension: int) -> Float32:
    """`rows` as contiguous float32 (count, dimension), all finite.

    Raises
    ------
    DimensionMismatch
        Another shape.
    ValueError
        A value is not finite, also when only float32 cannot hold it.
    """
    array = np.asarray(rows)
    if array.shape != (count, dimension):
        raise DimensionMismatch(f"vectors must be {(count, dimension)}, not {array.shape}")
    with np.errstate(over="ignore"):
        out = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(out).all():
        raise ValueError("vectors must be finite")
    return out


def as_pairs(ids: ArrayLike, rows: ArrayLike, dimension: int) -> tuple[Int64, Float32]:
    """Checked ids and their rows; of an id that repeats only the last row is kept."""
    keys = as_ids(ids)
    values = as_rows(rows, len(keys), dimension)
    _, last = np.unique(keys[::-1], return_index=True)
    if len(last) == len(keys):
        return keys, values
    keep = np.sort(len(keys) - 1 - last)
    return keys[keep], values[keep]


def as_queries(queries: ArrayLike, k: int, dimension: int) -> Float32:
    """Checked queries, (n, dimension) float32.

    Raises
    ------
    DimensionMismatch, ValueError
        As in `as_rows`; also when `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    array = np.asarray(queries)
    return as_rows(array, len(array) if array.ndim else 0, dimension)


def no_hits(n: int, k: int) -> Hits:
    """(n, k) padding."""
    return Hits(np.full((n, k), PAD, np.int64), np.full((n, k), -np.inf, np.float32))


def entry(state: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """An array of a snapshot.

    Raises
    ------
    ValueError
        The snapshot has none of this name: it is of another kind of index, or damaged.
    """
    if name not in state:
        raise ValueError(f"snapshot lacks {name!r}; it has {sorted(state)}")
    return state[name]
