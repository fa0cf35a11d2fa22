"""Label prototypes, the source of truth that every index is a cache of.

A prototype is the decayed mean of the embeddings of a label's positives: the label centroid of
PRIME (Dahiya et al., NAACL 2025), learnt online.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexes._jit import kernel
from indexes.base import Float32, Int64
from indexes.checks import as_ids, as_rows, entry
from indexes.slots import Slots, grown


@kernel
def _learn(means: Float32, weights: Float32, slots: Int64, rows: Float32, window: float) -> None:
    """Move each slot's mean by 1 / its weight, one after another; one row may serve all slots."""
    many = len(rows) > 1
    for i in range(len(slots)):
        slot = slots[i]
        weight = min(weights[slot] + 1.0, window)
        weights[slot] = weight
        step = np.float32(1.0 / weight)
        row = i if many else 0
        for t in range(means.shape[1]):
            means[slot, t] += step * (rows[row, t] - means[slot, t])


@kernel
def _unit(means: Float32, slots: Int64, out: Float32) -> None:
    """Copy rows at length 1; a slot of -1, or a mean of zero, gives zeros."""
    for i in range(len(slots)):
        slot = slots[i]
        if slot < 0:
            continue
        square = np.float32(0.0)
        for t in range(means.shape[1]):
            square += means[slot, t] * means[slot, t]
        if square > 0.0:
            scale = np.float32(1.0) / np.sqrt(square)
            for t in range(means.shape[1]):
                out[i, t] = means[slot, t] * scale


class Changes(NamedTuple):
    """What an index needs to catch up: remove `removed` (m,), then upsert `ids` (n,).

    `vectors` is (n, d) float32, of length 1 (or zero).
    """

    ids: Int64
    vectors: Float32
    removed: Int64


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

    Examples
    --------
    >>> prototypes = Prototypes(2)
    >>> prototypes.learn(np.array([3, 3]), np.array([[1, 0], [0, 1]], np.float32))
    >>> prototypes.vectors(np.array([3])).round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """

    def __init__(self, dimension: int, *, window: float = 200.0, capacity: int = 0) -> None:
        if dimension < 1:
            raise ValueError(f"dimension must be at least 1, not {dimension}")
        if not window >= 1:
            raise ValueError(f"window must be at least 1 positive, not {window}")
        self._dimension, self._window = dimension, float(window)
        self._slots = Slots()
        self._means = np.empty((capacity, dimension), np.float32)
        self._weights = np.empty(capacity, np.float32)
        # As ordered sets: first changed, first drained.
        self._dirty: dict[int, None] = {}
        self._removed: dict[int, None] = {}

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
        """Labels changed or retired since they were last drained."""
        return len(self._dirty) + len(self._removed)

    @property
    def memory_bytes(self) -> int:
        """Bytes held, spare rows included; the dirty set, which is drained, is not counted."""
        return self._means.nbytes + self._weights.nbytes + self._slots.bytes

    def learn(self, ids: ArrayLike, rows: ArrayLike) -> None:
        """Learn positives.

        Parameters
        ----------
        ids : (n,) int64
            Labels, new ones among them; one may repeat.
        rows : (n, d) or (d,) float32
            The embedding of each one's positive; (d,) serves all, as the labels of one event.

        Raises
        ------
        DimensionMismatch, ValueError
            A row of another width, a negative id, a value not finite; nothing was changed.
        """
        keys = as_ids(ids)
        given = np.asarray(rows)
        if given.ndim == 1:
            values = as_rows(given[np.newaxis], 1, self._dimension)
        else:
            values = as_rows(given, len(keys), self._dimension)
        if not len(keys):
            return
        slots = self._room(keys)
        _learn(self._means, self._weights, slots, values, self._window)
        self._touch(keys)

    def retire(self, ids: ArrayLike) -> int:
        """Forget those that are there; return how many were."""
        keys = as_ids(ids)
        known = [id_ for id_ in dict.fromkeys(keys.tolist()) if id_ in self._slots]
        sources, holes = self._slots.remove(np.array(known, np.int64))
        self._means[holes] = self._means[sources]
        self._weights[holes] = self._weights[sources]
        for id_ in known:
            self._dirty.pop(id_, None)
            self._removed[id_] = None
        return len(known)

    def discount(self, ids: ArrayLike, factor: float) -> None:
        """Multiply what the past of these labels weighs by `factor`, 0 to 1; unknown ids pass.

        The means stay; new positives move them faster. At 0 the next one replaces the mean.
        """
        if not 0 <= factor <= 1:
            raise ValueError(f"factor must be between 0 and 1, not {factor}")
        slots = np.unique(self._slots.find(as_ids(ids)))
        self._weights[slots[slots >= 0]] *= np.float32(factor)

    def vectors(self, ids: ArrayLike) -> Float32:
        """(n, d) float32: prototypes at length 1; zeros for an id that has none."""
        return self._unit(self._slots.find(as_ids(ids)))

    def weights(self, ids: ArrayLike) -> Float32:
        """(n,) float32: positives that each mean stands for, at most `window`; 0 without one."""
        slots = self._slots.find(as_ids(ids))
        out = np.zeros(len(slots), np.float32)
        out[slots >= 0] = self._weights[slots[slots >= 0]]
        return out

    def drain_dirty(self, most: int | None = None) -> Changes:
        """Take what changed since it was last taken, in the order of the changes.

        Parameters
        ----------
        most : int or None
            Changed labels taken at most; retired ones are always all taken.
        """
        taken = list(self._dirty)[:most]
        for id_ in taken:
            del self._dirty[id_]
        removed = np.array(list(self._removed), np.int64)
        self._removed.clear()
        ids = np.array(taken, np.int64)
        return Changes(ids, self.vectors(ids), removed)

    def snapshot(self, *, copied: bool = True) -> dict[str, NDArray[np.generic]]:
        """The whole state as named arrays: a copy, or views that change with the next call."""
        count = len(self)
        ids, means, weights = self._slots.ids, self._means[:count], self._weights[:count]
        return {
            "ids": ids.copy() if copied else ids,
            "means": means.copy() if copied else means,
            "weights": weights.copy() if copied else weights,
            "dirty": np.array(list(self._dirty), np.int64),
            "removed": np.array(list(self._removed), np.int64),
        }

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Replace the state by that of `snapshot`; learning goes on to the bit.

        Takes the arrays over where they can be written to.

        Raises
        ------
        ValueError
            It is not such a state (`DimensionMismatch` where the width differs).
        """
        slots = Slots(as_ids(entry(state, "ids")))
        means = as_rows(entry(state, "means"), len(slots), self._dimension)
        means = np.require(means, requirements="W")
        weights = as_rows(entry(state, "weights")[:, np.newaxis], len(slots), 1)[:, 0].copy()
        dirty, removed = as_ids(entry(state, "dirty")), as_ids(entry(state, "removed"))
        self._slots, self._means, self._weights = slots, means, weights
        self._dirty = dict.fromkeys(dirty.tolist())
        self._removed = dict.fromkeys(removed.tolist())

    def _room(self, keys: Int64) -> Int64:
        before = len(self._slots)
        slots = self._slots.place(keys)
        after = len(self._slots)
        if after > before:
            if after > len(self._means):
                size = max(after, 2 * len(self._means), 16)
                self._means = grown(self._means, size)
                self._weights = np.resize(self._weights, size)
            self._means[before:after] = 0.0
            self._weights[before:after] = 0.0
        return slots

    def _touch(self, keys: Int64) -> None:
        for id_ in keys.tolist():
            self._dirty[id_] = None
            self._removed.pop(id_, None)

    def _unit(self, slots: Int64) -> Float32:
        out = np.zeros((len(slots), self._dimension), np.float32)
        _unit(self._means, slots, out)
        return out
