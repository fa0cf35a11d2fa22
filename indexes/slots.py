"""Which row belongs to which id: rows 0 … n-1 without a hole, so searches meet live rows only."""

from __future__ import annotations

import numpy as np

from indexes.base import Float32, Int64
from indexes.table import Table


class Slots:
    """A map from id to row; removal fills holes from the end.

    The rows follow from the order of the calls alone, so a replay gives the same ones.
    Not safe for threads: the owner locks.

    Examples
    --------
    >>> slots = Slots()
    >>> slots.place(np.array([7, 5, 9])).tolist()
    [0, 1, 2]
    >>> sources, holes = slots.remove(np.array([7]))
    >>> sources.tolist(), holes.tolist(), slots.ids.tolist()
    ([2], [0], [9, 5])
    """

    def __init__(self, ids: Int64 | None = None) -> None:
        self._ids = np.empty(0, np.int64) if ids is None else np.array(ids, np.int64)
        self._count = len(self._ids)
        self._row = Table(self._count)
        self._row.put(self._ids, np.arange(self._count))
        if len(self._row) != self._count:
            raise ValueError("ids repeat")

    def __len__(self) -> int:
        return self._count

    def __contains__(self, id_: int) -> bool:
        return bool(self._row.find(np.array([id_], np.int64))[0] >= 0)

    @property
    def ids(self) -> Int64:
        """(n,) int64: the id of each row; a view, valid until the next change."""
        return self._ids[: self._count]

    def find(self, ids: Int64) -> Int64:
        """The rows of `ids`, -1 for those that have none."""
        return self._row.find(ids)

    def place(self, ids: Int64) -> Int64:
        """The rows of `ids`; new ids get new rows at the end."""
        before = self._count
        rows, self._count = self._row.place(ids, before)
        if self._count > before:
            if self._count > len(self._ids):
                room = np.empty(max(self._count, 2 * len(self._ids), 16), np.int64)
                room[:before] = self._ids[:before]
                self._ids = room
            self._ids[rows] = ids  # known ones keep theirs
        return rows

    def remove(self, ids: Int64) -> tuple[Int64, Int64]:
        """Forget those of `ids` that are there.

        Returns
        -------
        sources, holes : (m,) int64
            The owner copies row `sources[i]` to row `holes[i]`; no row is in both. After that
            the live rows are 0 … len(self)-1 again.
        """
        found = self.find(ids)
        doomed = np.unique(found[found >= 0])
        left = self._count - len(doomed)
        holes = doomed[doomed < left]
        sources = np.setdiff1d(np.arange(left, self._count), doomed, assume_unique=True)
        self._row.drop(self._ids[doomed])
        moved = self._ids[sources]
        self._ids[holes] = moved
        self._row.put(moved, holes)
        self._count = left
        return sources, holes

    @property
    def bytes(self) -> int:
        """Memory of the map, in bytes: 25 to 42 an id."""
        return self._ids.nbytes + self._row.nbytes


def grown(rows: Float32, count: int) -> Float32:
    """A copy of `rows` (n, d) with room for `count` rows; the new ones hold no values yet."""
    out = np.empty((count, rows.shape[1]), np.float32)
    out[: len(rows)] = rows
    return out
