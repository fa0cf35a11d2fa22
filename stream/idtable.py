"""A table from label ids to slots: open addressing over plain arrays, about 16 bytes a label.

Ids are hashes, so that their low bits spread well. Nothing is ever taken out. Writing is for one
thread; others may read meanwhile, and find what was there when they began.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.types import Int32, Int64


class IdTable:
    """Ids by slot, and slots by id.

    Parameters
    ----------
    ids
        (n,) int64, all different: the ids of slots 0 … n-1.

    Examples
    --------
    >>> table = IdTable(np.array([7, 9]))
    >>> table.append(23)
    >>> [table.find(identity) for identity in (23, 9, 8)]
    [2, 1, -1]
    """

    def __init__(self, ids: Int64 | None = None) -> None:
        given = np.zeros(0, np.int64) if ids is None else np.asarray(ids, np.int64)
        self._count = len(given)
        room = 64
        while room < len(given) + 1:
            room *= 2
        self._place(given, room)

    def __reduce__(self) -> tuple[type[IdTable], tuple[Int64]]:
        return IdTable, (self.ids.copy(),)

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> Int64:
        """(n,) int64 by slot; a view."""
        return self._arrays[1][: self._count]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in self._arrays)

    def find(self, identity: int) -> int:
        """The slot of an id, -1 for none."""
        table, ids, at = self._table, self._ids, identity & self._mask
        while (slot := table[at]) >= 0:
            if ids[slot] == identity:
                return slot
            at = (at + 1) & self._mask
        return -1

    def find_all(self, ids: Int64) -> Int32:
        """The slots of many ids, of the same shape, -1 for none."""
        out = np.full(ids.shape, -1, np.int32)
        wanted = np.ascontiguousarray(ids, np.int64).reshape(-1)
        _find_all(*self._arrays, wanted, out.reshape(-1))
        return out

    def append(self, identity: int) -> None:
        """Give an id that is not there the next slot."""
        if self._count == len(self._ids):
            self._place(self.ids, 2 * self._count)
        at = identity & self._mask
        while self._table[at] >= 0:
            at = (at + 1) & self._mask
        self._ids[self._count] = identity
        self._table[at] = self._count  # last: from here on readers find it
        self._count += 1

    def extend(self, ids: Int64) -> None:
        """Give (n,) ids that are not there, and all different, the next slots."""
        count, total = self._count, self._count + len(ids)
        if total > len(self._ids):
            room = len(self._ids)
            while room < total:
                room *= 2
            self._place(np.concatenate([self.ids, ids]), room)
        elif len(ids):
            _extend(*self._arrays, count, np.ascontiguousarray(ids, np.int64))
        self._count = total

    def _place(self, ids: Int64, room: int) -> None:
        """Make arrays with room for `room` ids, of which these are there."""
        table, whole = np.full(2 * room, -1, np.int32), np.zeros(room, np.int64)
        _extend(table, whole, 0, np.ascontiguousarray(ids))
        self._mask = 2 * room - 1
        # Scalars of a memoryview are plain ints, and several times as fast as an array's.
        self._table, self._ids = table.data, whole.data
        self._arrays = table, whole  # together, for readers of other threads


@kernel
def _extend(table: Any, whole: Any, count: int, ids: Any) -> None:
    mask = len(table) - 1
    for i in range(len(ids)):
        at = ids[i] & mask
        while table[at] >= 0:
            at = (at + 1) & mask
        whole[count + i] = ids[i]
        table[at] = count + i  # last, as in `append`


@kernel
def _find_all(table: Any, ids: Any, wanted: Any, out: Any) -> None:
    mask = len(table) - 1
    for i in range(len(wanted)):
        at = wanted[i] & mask
        while table[at] >= 0:
            if ids[table[at]] == wanted[i]:
                out[i] = table[at]
                break
            at = (at + 1) & mask
