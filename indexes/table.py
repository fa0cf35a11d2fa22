"""A map from int64 ids to int32 numbers without a Python object per entry.

Open addressing with linear probing; a removed entry is closed up by moving the ones behind it, so
there are no tombstones, and the same calls give the same table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes._jit import kernel
from indexes.base import Int64

NONE = -1  # found for an id that is not there; no value may be it
_FREE = -1  # the key of a free place; ids are never negative
_LEAST = 16
# Fuller than this, and runs of taken places grow long.
_FULL = 0.7


@kernel
def at(keys: Any, id_: Any) -> Any:
    """The place of an id, or the free place where it would go."""
    mask = np.uint64(len(keys) - 1)
    mixed = np.uint64(id_) * np.uint64(0x9E3779B97F4A7C15)
    place = (mixed ^ (mixed >> np.uint64(32))) & mask
    while keys[place] != _FREE and keys[place] != id_:
        place = (place + np.uint64(1)) & mask
    return place


@kernel
def _find(keys: Any, values: Any, ids: Any, out: Any) -> None:
    for i in range(len(ids)):
        place = at(keys, ids[i])
        out[i] = NONE if keys[place] == _FREE else values[place]


@kernel
def _put(keys: Any, values: Any, ids: Any, given: Any) -> Any:
    """Set each id's value; returns how many ids are new. There must be room."""
    new = 0
    for i in range(len(ids)):
        place = at(keys, ids[i])
        if keys[place] == _FREE:
            keys[place] = ids[i]
            new += 1
        values[place] = given[i]
    return new


@kernel
def _place(keys: Any, values: Any, ids: Any, start: Any, out: Any) -> Any:
    """Values of ids into `out`; new ids get `start`, `start` + 1, … in order."""
    following = start
    for i in range(len(ids)):
        place = at(keys, ids[i])
        if keys[place] == _FREE:
            keys[place] = ids[i]
            values[place] = following
            following += 1
        out[i] = values[place]
    return following


@kernel
def _drop(keys: Any, values: Any, ids: Any) -> Any:
    """Forget ids; returns how many were there."""
    mask = np.uint64(len(keys) - 1)
    gone = 0
    for i in range(len(ids)):
        hole = at(keys, ids[i])
        if keys[hole] == _FREE:
            continue
        gone += 1
        place = (hole + np.uint64(1)) & mask
        while keys[place] != _FREE:
            mixed = np.uint64(keys[place]) * np.uint64(0x9E3779B97F4A7C15)
            home = (mixed ^ (mixed >> np.uint64(32))) & mask
            # It may move back to the hole unless its home lies behind the hole.
            if ((place - home) & mask) >= ((place - hole) & mask):
                keys[hole] = keys[place]
                values[hole] = values[place]
                hole = place
            place = (place + np.uint64(1)) & mask
        keys[hole] = _FREE
    return gone


class Table:
    """Ids and their numbers. Not safe for threads: the owner locks.

    Parameters
    ----------
    room : int
        Entries to make room for; it grows by doubling.

    Examples
    --------
    >>> table = Table()
    >>> table.put(np.array([7, 5]), np.array([1, 2]))
    >>> table.find(np.array([5, 6, 7])).tolist()
    [2, -1, 1]
    """

    def __init__(self, room: int = 0) -> None:
        self._count = 0
        self._open(room)

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory, in bytes: 12 a place, of which up to seven in ten are taken."""
        return self._keys.nbytes + self._values.nbytes

    def find(self, ids: Int64) -> Int64:
        """The numbers of `ids` (n,), -1 for those that are not there."""
        out = np.empty(len(ids), np.int64)
        _find(self._keys, self._values, ids, out)
        return out

    def put(self, ids: Int64, numbers: NDArray[np.integer[Any]]) -> None:
        """Set the numbers of `ids`; of repeats the last wins."""
        self._reserve(len(ids))
        self._count += int(_put(self._keys, self._values, ids, numbers))

    def place(self, ids: Int64, start: int) -> tuple[Int64, int]:
        """The numbers of `ids`; new ones get `start` and up. Also the next number after that."""
        self._reserve(len(ids))
        out = np.empty(len(ids), np.int64)
        following = int(_place(self._keys, self._values, ids, start, out))
        self._count += following - start
        return out, following

    def drop(self, ids: Int64) -> int:
        """Forget ids; how many were there."""
        gone = int(_drop(self._keys, self._values, ids))
        self._count -= gone
        return gone

    def _reserve(self, more: int) -> None:
        if self._count + more > _FULL * len(self._keys):
            taken = self._keys != _FREE
            keys, values = self._keys[taken], self._values[taken]
            self._open(max(self._count + more, 2 * self._count))
            _put(self._keys, self._values, keys, values)

    def _open(self, room: int) -> None:
        size = _LEAST
        while size * _FULL < room:
            size *= 2
        self._keys = np.full(size, _FREE, np.int64)
        self._values = np.empty(size, np.int32)
