"""Label prototypes, the source of truth that every index is a cache of.

A prototype is the decayed mean of the embeddings of a label's positives: the label centroid of
PRIME (Dahiya et al., NAACL 2025), learnt online. Means are kept as float16: over 200 positives
they stay within 2e-6 of float32 ones in cosine.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexes.base import Float32, Int64
from indexes.checks import as_ids, as_rows, entry
from indexes.half import LARGEST
from indexes.means import Means, halves, learn, put, room, row_bytes, unit
from indexes.slots import Slots

_SPARE = 64  # one label in so many is evicted beyond need, so that not every call evicts
_PLACE = 12 / 0.35 + 8  # bytes of an id in `Slots`, at most


class Changes(NamedTuple):
    """What an index needs to catch up: remove `removed` (m,), then upsert `ids` (n,).

    `vectors` is (n, d) float32, of length 1 (or zero).
    """

    ids: Int64
    vectors: Float32
    removed: Int64


def label_bytes(dimension: int) -> float:
    """Bytes of one label's prototype of so many floats, its place included."""
    return row_bytes(dimension) + _PLACE


def labels_within(capacity_bytes: int, dimension: int) -> int:
    """How many prototypes of so many floats fit into `capacity_bytes`; at least one."""
    return max(1, int(capacity_bytes / label_bytes(dimension)))


class Prototypes:
    """A decayed mean per label.

    The n-th positive of a label moves its mean by 1/n of the way, from `window` positives on by
    1/window. Learning takes positives one after another, so how they are cut into calls leaves
    no trace. For one thread at a time.

    Parameters
    ----------
    dimension : int
        Width of the embedding, in floats.
    window : float
        Positives that a mean remembers, at least 1.
    capacity : int
        Labels to make room for at the start; it grows by doubling.
    capacity_bytes : int or None
        Memory beyond which the labels with the fewest positives, and of those the ones not taught
        for longest, are evicted and counted; None: no limit.
    least_move : float
        A changed label is drained once the cosine between its mean and the one last drained may
        have fallen below 1 - `least_move`. How far it turned is summed up, so it may be drained
        earlier than that, never later.

    Examples
    --------
    >>> prototypes = Prototypes(2)
    >>> prototypes.learn(np.array([3, 3]), np.array([[1, 0], [0, 1]], np.float32))
    >>> prototypes.vectors(np.array([3])).round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """

    def __init__(
        self,
        dimension: int,
        *,
        window: float = 200.0,
        capacity: int = 0,
        capacity_bytes: int | None = None,
        least_move: float = 0.0,
    ) -> None:
        if dimension < 1:
            raise ValueError(f"dimension must be at least 1, not {dimension}")
        if not window >= 1:
            raise ValueError(f"window must be at least 1 positive, not {window}")
        if not 0 <= least_move < 1:
            raise ValueError(f"least_move must be at least 0 and below 1, not {least_move}")
        if capacity_bytes is not None and capacity_bytes < 1:
            raise ValueError(f"capacity_bytes must be at least 1, not {capacity_bytes}")
        self._dimension, self._window = dimension, np.float32(window)
        self._least = np.float32(math.acos(1 - least_move))
        self._most = None if capacity_bytes is None else labels_within(capacity_bytes, dimension)
        self._slots = Slots()
        self._rows = room(capacity, dimension)
        self._taught = self._evicted = 0
        self._order = np.empty(0, np.int64)  # changed ids, first changed first
        self._changed = 0
        self._removed: dict[int, None] = {}  # an ordered set

    @property
    def dimension(self) -> int:
        """Width of the embedding, in floats."""
        return self._dimension

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def ids(self) -> Int64:
        """(n,) int64: the labels that have a prototype; a copy."""
        return self._slots.ids.copy()

    @property
    def pending(self) -> int:
        """Labels to be drained: those that moved far enough, and the removed."""
        return self._changed + len(self._removed)

    @property
    def evicted(self) -> int:
        """Labels evicted, in all, because memory was full."""
        return self._evicted

    @property
    def memory_bytes(self) -> int:
        """Bytes held, spare rows included; the changes, which are drained, are not counted."""
        return sum(int(part.nbytes) for part in self._rows) + self._slots.bytes

    def learn(self, ids: ArrayLike, rows: ArrayLike) -> None:
        """Learn positives; evict where memory is full.

        Parameters
        ----------
        ids : (n,) int64
            Labels, new ones among them; one may repeat.
        rows : (n, d) or (d,) float32
            The embedding of each one's positive; (d,) serves all, as the labels of one event.

        Raises
        ------
        DimensionMismatch, ValueError
            A row of another width, a negative id, a value not finite or larger than a float16
            holds; nothing was changed.
        """
        keys = as_ids(ids)
        given = np.asarray(rows)
        if given.ndim == 1:
            values = as_rows(given[np.newaxis], 1, self._dimension)
        else:
            values = as_rows(given, len(keys), self._dimension)
        if max(values.max(initial=0.0), -values.min(initial=0.0)) > LARGEST:
            raise ValueError(f"vectors must be within ±{LARGEST:g}, the largest that is kept")
        if not len(keys):
            return
        slots = self._room(keys)
        order = self._order_room(len(keys))
        self._changed += int(
            learn(self._rows, slots, keys, values, self._window, self._taught, self._least, order)
        )
        self._taught += len(keys)
        if self._removed:
            for id_ in keys.tolist():
                self._removed.pop(id_, None)
        if self._most is not None and len(self._slots) > self._most:
            self._evict(len(self._slots) - self._most + self._most // _SPARE)

    def retire(self, ids: ArrayLike) -> int:
        """Forget those that are there; return how many were."""
        keys = as_ids(ids)
        _, first = np.unique(keys, return_index=True)
        known = keys[np.sort(first)]
        known = known[self._slots.find(known) >= 0]
        sources, holes = self._slots.remove(known)
        put(self._rows, holes, self._rows, sources)
        waiting = self._order[: self._changed]
        left = waiting[~np.isin(waiting, known)]
        self._order[: len(left)], self._changed = left, len(left)
        self._removed.update(dict.fromkeys(known.tolist()))
        return len(known)

    def discount(self, ids: ArrayLike, factor: float) -> None:
        """Multiply what the past of these labels weighs by `factor`, 0 to 1; unknown ids pass.

        The means stay; new positives move them faster. At 0 the next one replaces the mean.
        """
        if not 0 <= factor <= 1:
            raise ValueError(f"factor must be between 0 and 1, not {factor}")
        slots = np.unique(self._slots.find(as_ids(ids)))
        self._rows.weights[slots[slots >= 0]] *= np.float32(factor)

    def vectors(self, ids: ArrayLike) -> Float32:
        """(n, d) float32: prototypes at length 1; zeros for an id that has none."""
        slots = self._slots.find(as_ids(ids))
        out = np.zeros((len(slots), self._dimension), np.float32)
        unit(self._rows.means, slots, out)
        return out

    def weights(self, ids: ArrayLike) -> Float32:
        """(n,) float32: positives that each mean stands for, at most `window`; 0 without one."""
        slots = self._slots.find(as_ids(ids))
        out = np.zeros(len(slots), np.float32)
        out[slots >= 0] = self._rows.weights[slots[slots >= 0]]
        return out

    def drain_dirty(self, most: int | None = None) -> Changes:
        """Take what changed since it was last taken, in the order of the changes.

        Parameters
        ----------
        most : int or None
            Changed labels taken at most; removed ones are always all taken.
        """
        taken = min(self._changed, self._changed if most is None else most)
        ids = self._order[:taken].copy()
        self.drained(ids)
        removed = np.array(list(self._removed), np.int64)
        self._removed.clear()
        return Changes(ids, self.vectors(ids), removed)

    def drained(self, ids: ArrayLike) -> None:
        """Take it that an index has these labels as they are now: they have not moved since."""
        slots = self._slots.find(as_ids(ids))
        slots = slots[slots >= 0]
        self._rows.turned[slots] = 0.0
        self._rows.dirty[slots] = 0
        waiting = self._order[: self._changed]
        left = waiting[self._rows.dirty[self._slots.find(waiting)] == 1]
        self._order[: len(left)], self._changed = left, len(left)

    def snapshot(self, *, copied: bool = True) -> dict[str, NDArray[np.generic]]:
        """The whole state as named arrays: a copy, or views that change with the next call."""
        count = len(self)
        parts = {name: part[:count] for name, part in self._rows._asdict().items()}
        rows = {name: part.copy() if copied else part for name, part in parts.items()}
        return rows | {
            "ids": self._slots.ids.copy(),
            "means": rows["means"].view(np.float16),
            "changed": self._order[: self._changed].copy(),
            "removed": np.array(list(self._removed), np.int64),
            "counts": np.array([self._taught, self._evicted], np.int64),
        }

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Replace the state by that of `snapshot`; learning goes on to the bit.

        Raises
        ------
        ValueError
            It is not such a state (`DimensionMismatch` where the width differs).
        """
        slots = Slots(as_ids(entry(state, "ids")))
        count = len(slots)
        given = {name: entry(state, name) for name in Means._fields}
        given["means"] = halves(given["means"], count, self._dimension)
        for name, part in given.items():
            if part.ndim != 1 + (name == "means") or len(part) != count:
                raise ValueError(f"snapshot has {part.shape} {name} for {count} labels")
        rows = room(self._enough(count), self._dimension)  # the next label is not to wait for it
        put(rows, slice(count), Means(**given), slice(count))
        changed, removed = as_ids(entry(state, "changed")), as_ids(entry(state, "removed"))
        taught, evicted = entry(state, "counts").tolist()
        self._slots, self._rows = slots, rows
        self._order, self._changed = changed.copy(), len(changed)
        self._removed = dict.fromkeys(removed.tolist())
        self._taught, self._evicted = taught, evicted

    def _room(self, keys: Int64) -> Int64:
        before = len(self._slots)
        slots = self._slots.place(keys)
        after = len(self._slots)
        if after > before:
            size = len(self._rows.weights)
            if after > size:
                made = room(max(after, self._enough(size)), self._dimension)
                put(made, slice(before), self._rows, slice(before))
                self._rows = made
            else:  # rows that others left behind
                put(self._rows, slice(before, after), room(1, self._dimension), slice(1))
        return slots

    def _enough(self, labels: int) -> int:
        """How many rows to make where so many are too few; memory that is not used costs none."""
        wanted = max(2 * labels, 16)
        return max(labels, min(wanted, self._most or wanted))

    def _order_room(self, more: int) -> Int64:
        if self._changed + more > len(self._order):
            made = np.empty(max(self._changed + more, 2 * len(self._order)), np.int64)
            made[: self._changed] = self._order[: self._changed]
            self._order = made
        return self._order[self._changed :]

    def _evict(self, count: int) -> None:
        live = len(self._slots)
        count = min(count, live - 1)
        worth = self._rows.weights[:live].astype(np.float64) * 2.0**32 + self._rows.touched[:live]
        least = np.sort(np.argpartition(worth, count)[:count])
        self._evicted += self.retire(self._slots.ids[least])
