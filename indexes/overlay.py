"""The rows that changed since a generation was made, searchable as soon as they are linked.

Rows are only ever added, and a row links to the one that was first in its list before it. So what
was there at one moment can be handed out without copying the rows: the first row of each list,
and which rows are dead, are all that has to be kept of that moment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes._jit import kernel
from indexes.base import Float32, Int64
from indexes.codes import encode
from indexes.generation import Delta, Lists, is_hidden
from indexes.sketch import sketch, words
from indexes.table import Table

_LEAST = 1_024
_WRITTEN = ("ids", "high", "low", "scale", "bits", "facts", "lists", "following")  # once


@kernel
def _link(delta: Any, first: Any, before: Any) -> None:
    """Link rows from `first` on; hide or kill what held their ids `before` (see `Overlay`)."""
    for i in range(len(before)):
        row = first + i
        list_ = delta.lists[row]
        delta.following[row] = delta.head[list_]
        delta.head[list_] = row
        if before[i] != -1:
            _drop(delta, before[i])


@kernel
def _drop(delta: Any, place: Any) -> None:
    if place >= 0:
        delta.hidden[place >> 3] |= np.uint8(1) << np.uint8(place & 7)
    else:
        delta.dead[-2 - place] = 1


@kernel
def _drop_all(delta: Any, places: Any) -> None:
    for place in places:
        _drop(delta, place)


@kernel
def _relink(delta: Any, rows: Any, table_ids: Any) -> Any:
    """Places of live rows, for a table, in order; the number of them."""
    count = 0
    for row in range(len(rows.ids)):
        if not is_hidden(delta.hidden, row):
            table_ids[0, count], table_ids[1, count] = rows.ids[row], row
            count += 1
    for row in range(len(delta.ids)):
        if not delta.dead[row]:
            table_ids[0, count], table_ids[1, count] = delta.ids[row], -2 - row
            count += 1
    return count


class Overlay:
    """The changes to one generation, and where each id is by now. The owner locks.

    An id's place is its row in the generation, or -2 - its row here; -1 if it is nowhere.

    Parameters
    ----------
    rows : Lists
        The generation.
    centres : (m, d) float32
        Of its lists.
    delta : Delta or None
        Changes to begin with, whose rows are shared (they are not written again); None for none.
    """

    def __init__(self, rows: Lists, centres: Float32, delta: Delta | None = None) -> None:
        self._centres = centres
        lists, width = len(rows.start) - 1, rows.high.shape[1]
        self.used = 0 if delta is None else len(delta.ids)
        if delta is None:
            self.delta = _room(_LEAST, width, lists, len(rows.ids))
            self._places = Table(len(rows.ids))
            self._places.put(rows.ids, np.arange(len(rows.ids), dtype=np.int32))
        else:
            self.delta = _adopted(delta, _room(0, width, lists, len(rows.ids)))
            pairs = np.empty((2, len(rows.ids) + self.used), np.int64)
            pairs = pairs[:, : _relink(delta, rows, pairs)]
            self._places = Table(pairs.shape[1])
            self._places.put(pairs[0], pairs[1])

    def __len__(self) -> int:
        """Ids in all, those of the generation too."""
        return len(self._places)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, of the rows here and of all places."""
        return sum(int(part.nbytes) for part in self.delta) + self._places.nbytes

    def write(self, ids: Int64, lists: NDArray[np.int32], values: Float32) -> None:
        """Write rows for distinct `ids`; nobody sees them before `link`."""
        part, to = self._ready(ids, lists), self.delta
        encode(values, to.high[part], to.low[part], to.scale[part])
        self._sketch(part)

    def copy(self, from_: Delta, rows: Int64, lists: NDArray[np.int32]) -> None:
        """Write and link the `rows` (n,) of other changes, whose ids are distinct."""
        ids = from_.ids[rows]
        part = self._ready(ids, lists)
        for name in ("high", "low", "scale"):
            np.take(getattr(from_, name), rows, axis=0, out=getattr(self.delta, name)[part])
        self._sketch(part)
        self.link(ids)

    def _sketch(self, part: slice) -> None:
        to = self.delta
        sketch(
            to.high[part], to.low[part], to.scale[part], to.lists[part], self._centres,
            to.bits[part], to.facts[part],
        )  # fmt: skip

    def _ready(self, ids: Int64, lists: NDArray[np.int32]) -> slice:
        self._grow(len(ids))
        part = slice(self.used, self.used + len(ids))
        self.delta.ids[part], self.delta.lists[part] = ids, lists
        self.delta.dead[part] = 0
        return part

    def link(self, ids: Int64) -> None:
        """Let the rows just written be seen, in place of older ones; `ids` are distinct."""
        before = self._places.find(ids)
        _link(self.delta, self.used, before)
        self._places.put(ids, -2 - np.arange(self.used, self.used + len(ids)))
        self.used += len(ids)

    def drop(self, ids: Int64) -> int:
        """Let ids, which are distinct, be seen no more; how many were there."""
        places = self._places.find(ids)
        _drop_all(self.delta, places[places != -1])
        return self._places.drop(ids)

    def has(self, ids: Int64) -> NDArray[np.bool_]:
        """(n,): which of `ids` are there."""
        found: NDArray[np.bool_] = self._places.find(ids) != -1
        return found

    def frozen(self) -> Delta:
        """The changes as they are now: rows shared, what may still change copied."""
        used, now = self.used, self.delta
        shared = {name: getattr(now, name)[:used] for name in _WRITTEN}
        return Delta(
            **shared, head=now.head.copy(), dead=now.dead[:used].copy(), hidden=now.hidden.copy()
        )

    def _grow(self, more: int) -> None:
        size = len(self.delta.ids)
        if self.used + more > size:
            old = self.delta
            size = max(self.used + more, 2 * size)
            made = _room(size, old.high.shape[1], len(old.head), 0)._replace(hidden=old.hidden)
            _copy(old, made, self.used)
            self.delta = made


def _room(size: int, width: int, lists: int, hidden: int) -> Delta:
    return Delta(
        ids=np.empty(size, np.int64), high=np.empty((size, width), np.int8),
        low=np.empty((size, width), np.int8), scale=np.empty(size, np.float32),
        bits=np.empty((size, words(width)), np.uint64), facts=np.empty((size, 2), np.float32),
        lists=np.empty(size, np.int32), following=np.empty(size, np.int32),
        head=np.full(lists, -1, np.int32), dead=np.zeros(size, np.uint8),
        hidden=np.zeros(hidden // 8 + 1, np.uint8),
    )  # fmt: skip


def _adopted(delta: Delta, empty: Delta) -> Delta:
    """Changes to go on with: kernels are compiled for arrays that can be written to."""
    parts, used = delta._asdict(), len(delta.ids)
    for name, part in parts.items():
        like = getattr(empty, name)
        size = len(like) if name in ("head", "hidden") else used
        if part.dtype != like.dtype or part.shape != (size, *like.shape[1:]):
            raise ValueError(f"{name} of the changes is {part.dtype} {part.shape}")
    kept = {name: np.require(parts.pop(name), None, ["C", "W"]) for name in _WRITTEN}
    return Delta(**kept, **{name: part.copy() for name, part in parts.items()})


def _copy(from_: Delta, to: Delta, used: int) -> None:
    for name in (*_WRITTEN, "dead"):
        getattr(to, name)[:used] = getattr(from_, name)[:used]
    to.head[:] = from_.head
