"""Which row belongs to which id: rows 0 … n-1 without a hole, so searches meet live rows only."""

from __future__ import annotations

import numpy as np

from indexes.base import PAD, Float32, Int64


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
        self._row = {id_: row for row, id_ in enumerate(self._ids.tolist())}
        if len(self._row) != self._count:
            raise ValueError("ids repeat")

    def __len__(self) -> int:
        return self._count

    def __contains__(self, id_: int) -> bool:
        return id_ in self._row

    @property
    def ids(self) -> Int64:
        """(n,) int64: the id of each row; a view, valid until the next change."""
        return self._ids[: self._count]

    def find(self, ids: Int64) -> Int64:
        """The rows of `ids`, -1 for those that have none."""
        get = self._row.get
        return np.array([get(id_, PAD) for id_ in ids.tolist()], np.int64)

    def place(self, ids: Int64) -> Int64:
        """The rows of `ids`; new ids get new rows at the end."""
        row = self._row
        rows = np.empty(len(ids), np.int64)
        for at, id_ in enumerate(ids.tolist()):
            known = row.get(id_)
            if known is None:
                known = self._append(id_)
            rows[at] = known
        return rows

    def _append(self, id_: int) -> int:
        at = self._count
        if at == len(self._ids):
            self._ids = np.concatenate([self._ids, np.empty(max(16, at), np.int64)])
        self._ids[at] = id_
        self._row[id_] = at
        self._count = at + 1
        return at

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
        for id_ in self._ids[doomed].tolist():
            del self._row[id_]
        moved = self._ids[sources]
        self._ids[holes] = moved
        self._row.update(zip(moved.tolist(), holes.tolist(), strict=True))
        self._count = left
        return sources, holes

    @property
    def bytes(self) -> int:
        """Memory of the map, in bytes, roughly: a dict entry and its two ints are about 150."""
        return self._ids.nbytes + 150 * len(self._row)


def grown(rows: Float32, count: int) -> Float32:
    """A copy of `rows` (n, d) with room for `count` rows; the new ones hold no values yet."""
    out = np.empty((count, rows.shape[1]), np.float32)
    out[: len(rows)] = rows
    return out
