"""Exact search: every row is scored, in one compiled pass.

A score depends on its query and its row alone, not on the other queries of the call or on the
number of threads (as BLAS would have it), so that one query and a batch of them give the same bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes._jit import kernel
from indexes.base import Float32, Hits, Int64
from indexes.checks import as_ids, as_pairs, as_queries, as_rows, entry, no_hits
from indexes.frozen import FrozenFlat
from indexes.gate import Gate
from indexes.slots import Slots, grown


@kernel
def _nearest(rows: Float32, row_ids: Int64, queries: Float32, ids: Int64, scores: Float32) -> None:
    """Fill `ids` and `scores` (m, k), which hold padding, with the best rows of each query."""
    count, width = rows.shape
    last = ids.shape[1] - 1
    for i in range(count):
        id_ = row_ids[i]
        for j in range(len(queries)):
            score = np.float32(0.0)
            for t in range(width):
                score += rows[i, t] * queries[j, t]
            if np.isnan(score):  # infinity less infinity, from an overflow
                continue
            # Falling score, then rising id; padding after everything.
            at = last + 1
            while at > 0 and (
                ids[j, at - 1] < 0
                or score > scores[j, at - 1]
                or (score == scores[j, at - 1] and id_ < ids[j, at - 1])
            ):
                at -= 1
            if at > last:
                continue
            for p in range(last, at, -1):
                ids[j, p] = ids[j, p - 1]
                scores[j, p] = scores[j, p - 1]
            ids[j, at] = id_
            scores[j, at] = score


def nearest(rows: Float32, ids: Int64, queries: Float32, k: int) -> Hits:
    """The k best of `rows` (n, d) for each query; exact, ties by rising id."""
    hits = no_hits(len(queries), k)
    # Read only in either case, so that the kernel is compiled once.
    rows, ids = rows.view(), ids.view()
    rows.flags.writeable = ids.flags.writeable = False
    _nearest(rows, ids, queries, *hits)
    return hits


class Flat:
    """An exact `LabelIndex` in host memory.

    Parameters
    ----------
    dimension : int
        Width of the vectors.

    Examples
    --------
    >>> index = Flat(2)
    >>> index.upsert(np.array([4, 2]), np.array([[1, 0], [0, 1]], np.float32))
    >>> index.search(np.array([[0.6, 0.8]], np.float32), 3).ids.tolist()
    [[2, 4, -1]]
    """

    kind = "flat"

    def __init__(self, dimension: int) -> None:
        if dimension < 1:
            raise ValueError(f"dimension must be at least 1, not {dimension}")
        self._dimension = dimension
        self._gate = Gate()
        self._slots = Slots()
        self._rows = np.empty((0, dimension), np.float32)

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        return self._dimension

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def memory_bytes(self) -> int:
        """Bytes held, spare rows included."""
        return self._rows.nbytes + self._slots.bytes

    def upsert(self, ids: Int64, vectors: Float32) -> None:
        """Add or replace; see `LabelIndex.upsert`."""
        keys, values = as_pairs(ids, vectors, self._dimension)
        with self._gate.alone():
            at = self._slots.place(keys)
            if len(self._slots) > len(self._rows):
                self._rows = grown(self._rows, max(len(self._slots), 2 * len(self._rows), 16))
            self._rows[at] = values

    def remove(self, ids: Int64) -> int:
        """Remove those that are there; return how many were."""
        keys = as_ids(ids)
        with self._gate.alone():
            before = len(self._slots)
            sources, holes = self._slots.remove(keys)
            self._rows[holes] = self._rows[sources]
            return before - len(self._slots)

    def search(self, queries: Float32, k: int, effort: float = 1.0) -> Hits:
        """The k nearest of each row of `queries` (n, d); exact, ties by rising id."""
        wanted = as_queries(queries, k, self._dimension)
        with self._gate.shared():
            return nearest(self._rows[: len(self._slots)], self._slots.ids, wanted, k)

    exact = search

    def frozen(self) -> FrozenFlat:
        """See `LabelIndex.frozen`; a copy."""
        return FrozenFlat(*self.copy())

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """`ids` (n,) int64 and `rows` (n, d) float32."""
        ids, rows = self.copy()
        return {"ids": ids, "rows": rows}

    def copy(self) -> tuple[Int64, Float32]:
        """All ids (n,) and their vectors (n, d), copied."""
        with self._gate.shared():
            return self._slots.ids.copy(), self._rows[: len(self._slots)].copy()

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Replace the state by that of `snapshot`.

        Raises
        ------
        ValueError
            It is not such a state (`DimensionMismatch` where the width differs).
        """
        slots = Slots(as_ids(entry(state, "ids")))
        rows = as_rows(entry(state, "rows"), len(slots), self._dimension).copy()
        with self._gate.alone():
            self._slots, self._rows = slots, rows

    def close(self) -> None:
        """Give the memory back; the index is empty afterwards."""
        with self._gate.alone():
            self._slots = Slots()
            self._rows = np.empty((0, self._dimension), np.float32)
