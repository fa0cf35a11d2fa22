"""The partitioner: feeds events to the kernels and hands out what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stream.jit import kernel
from stream.learn.arrays import allocate, dump, grow, nbytes, power, restore
from stream.learn.partitions import observe, restructure
from stream.learn.partitions.company import number, row_bytes
from stream.learn.partitions.state import (
    EVENTS,
    EVICTED,
    FREE,
    LABEL_SPECS,
    LABELS,
    LEAF,
    LEAF_SPECS,
    LEAVES,
    MAPPED,
    MEMBER,
    MERGE,
    MOVE,
    NEW,
    OPEN,
    ROWS,
    SLOTS,
    SPLIT,
    USED,
    LabelState,
    LeafState,
    Partitions,
)

_ROOM = 1 << 15  # delta rows
# What an event may need at most: each of its labels opens two leaves and has its leaf settled and
# split into communities of three.
_EVENT_ROWS = USED * (3 * LEAF + 8)
_EVENT_LEAVES = USED * (LEAF // 3 + 2)
_KINDS: dict[int, Literal["new", "move", "split", "merge"]] = {
    NEW: "new",
    MOVE: "move",
    SPLIT: "split",
    MERGE: "merge",
}


@dataclass(frozen=True, slots=True)
class PartitionDelta:
    """One change of the partitions.

    - `new`: `labels[0]` joined `leaf`.
    - `move`: `labels[0]` went from `leaf` to `other`.
    - `split`: `labels` went from `leaf` to the new leaf `other`.
    - `merge`: all labels of `leaf` went to `other`; `leaf` is gone.

    A leaf is gone too when its last label moves; its number may be used again.
    """

    kind: Literal["new", "move", "split", "merge"]
    event: int
    leaf: int
    other: int
    labels: tuple[int, ...]


class Partitioner:
    """Clusters labels online by co-occurrence; deterministic, O(c²) for an event of c labels.

    Parameters
    ----------
    company
        Labels whose company is remembered at most, at least 64; beyond that the least frequent
        give way, and keep their partition.
    """

    def __init__(self, company: int = 1 << 30) -> None:
        self._company = company
        self._capacity = capacities(0, 0, company)
        self.state = Partitions(
            np.zeros(8, np.int64),
            np.array([1.0, 0.0]),
            allocate(LabelState, LABEL_SPECS, self._capacity),
            allocate(LeafState, LEAF_SPECS, self._capacity),
        )
        self._rows = np.zeros((_ROOM, 5), np.int64)
        self.opened: list[int] = []
        """Leaf numbers taken into use by the last `observe`, perhaps again."""

    @property
    def leaf_of(self) -> Any:
        """(capacity,) int32: the leaf of each label, -1 for none; changes with `observe`."""
        return self.state.labels.leaf

    @property
    def leaves(self) -> int:
        """Leaves in use."""
        return int(self.state.sizes[LEAVES] - self.state.sizes[FREE])

    @property
    def highest(self) -> int:
        """One above the highest leaf number ever used."""
        return int(self.state.sizes[LEAVES])

    @property
    def evicted(self) -> int:
        """How often a label's company was forgotten for another's, or found no room."""
        return int(self.state.sizes[EVICTED])

    def members(self, leaf: int) -> Any:
        """Labels of a leaf, (size,) int32; empty when the number is not in use."""
        return self.state.leaves.member[leaf, : self.state.leaves.size[leaf]]

    def add_labels(self, total: int) -> None:
        """Make room for `total` labels, and for one more that learners train as never occurring."""
        self._reserve(total + 1, self.highest)
        self.state.sizes[LABELS] = max(total, int(self.state.sizes[LABELS]))

    def observe(self, truths: Any, bounds: Any, partial: Any = None) -> list[PartitionDelta]:
        """Learn events in order.

        Parameters
        ----------
        truths, bounds
            Label slots of all events in a row (int32), and (n + 1,) int64 bounds of each.
        partial
            (n,) bool, whether not all labels were looked for. Such an event says who occurs
            together, but not that a label is without its usual company; None for no event.

        Returns
        -------
        list of PartitionDelta
            Every change, in order; enough to rebuild the partitions.
        """
        deltas: list[PartitionDelta] = []
        self.opened.clear()
        done, total = 0, len(bounds) - 1
        partial = np.zeros(total, np.bool_) if partial is None else partial
        while done < total:
            stop = min(done + 64, total)
            need = int(self.state.sizes[LEAVES]) + (stop - done) * 2 * USED + _EVENT_LEAVES
            self._reserve(len(self.leaf_of), need)
            self.state.sizes[ROWS] = 0
            done = _observe(self.state, truths, bounds, partial, done, stop, self._rows)
            rows = self._rows[: self.state.sizes[ROWS]]
            self.opened.extend(rows[rows[:, 0] == OPEN, 2].tolist())
            deltas.extend(_deltas(rows))
        return deltas

    def arrays(self) -> dict[str, Any]:
        """The state by name, not copied."""
        return {
            "partitions.sizes": self.state.sizes,
            "partitions.growth": self.state.growth,
            **dump(self.state.labels, "partitions.labels"),
            **dump(self.state.leaves, "partitions.leaves"),
        }

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        self.state = Partitions(
            np.array(arrays["partitions.sizes"]),
            np.array(arrays["partitions.growth"]),
            restore(LabelState, arrays, "partitions.labels"),
            restore(LeafState, arrays, "partitions.leaves"),
        )
        self._capacity = {
            "labels": len(self.state.labels.leaf),
            "leaves": len(self.state.leaves.size),
            "company": len(self.state.labels.co),
        }

    def _reserve(self, labels: int, leaves: int) -> None:
        capacity = capacities(
            max(labels, self._capacity["labels"]),
            max(leaves, self._capacity["leaves"]),
            max(self._company, self._capacity["company"]),
        )
        if capacity != self._capacity:
            before, self._capacity = self._capacity["company"], capacity
            self.state = Partitions(
                self.state.sizes,
                self.state.growth,
                grow(self.state.labels, LABEL_SPECS, capacity),
                grow(self.state.leaves, LEAF_SPECS, capacity),
            )
            if capacity["company"] < capacity["labels"] and not self.state.sizes[MAPPED]:
                number(self.state, before)


def capacities(labels: int, leaves: int, company: int) -> dict[str, int]:
    """Capacities for so many labels and leaves, of which `company` have a row at most."""
    room = power(labels, 64)
    return {"labels": room, "leaves": power(leaves, 64), "company": min(room, company)}


def memory(labels: int, leaves: int, company: int, events: int) -> dict[str, int]:
    """Bytes that so many labels and leaves take, by what for; `events` are observed at a time."""
    room = capacities(labels + 1, leaves + events * 2 * USED + _EVENT_LEAVES, company)
    rows = room["company"] * row_bytes()
    every = nbytes(LABEL_SPECS, room)
    return {
        "company": rows,
        "labels": every - rows,
        "leaves": nbytes(LEAF_SPECS, room) + 40 * _ROOM,
    }


def _deltas(rows: Any) -> list[PartitionDelta]:
    deltas: list[PartitionDelta] = []
    for kind, event, leaf, other, label in rows[rows[:, 0] != OPEN].tolist():
        if kind == MEMBER:
            last = deltas[-1]
            deltas[-1] = PartitionDelta(
                "split", last.event, last.leaf, last.other, (*last.labels, label)
            )
        else:
            labels = (label,) if label >= 0 else ()
            deltas.append(PartitionDelta(_KINDS[kind], event, leaf, other, labels))
    return deltas


@kernel
def _observe(
    p: Partitions, truths: Any, bounds: Any, partial: Any, start: int, stop: int, rows: Any
) -> int:
    """Events start to stop, as far as delta rows and leaves have room; where it stopped."""
    labels = np.zeros(USED, np.int32)
    leaf = np.zeros(SLOTS, np.int32)
    score = np.zeros(SLOTS, np.float32)
    for i in range(start, stop):
        if p.sizes[ROWS] + _EVENT_ROWS > len(rows):
            return i
        if p.sizes[LEAVES] + _EVENT_LEAVES > len(p.leaves.size):
            return i
        c = observe.sample(truths[bounds[i] : bounds[i + 1]], p.sizes[EVENTS], labels)
        if c >= 2:
            observe.count(p, labels, c)
            observe.place(p, labels, c, leaf, score, rows)
            if not partial[i]:
                observe.drift(p, labels, c, leaf, score, rows)
            for k in range(c):
                observe.settle(p, labels[k], leaf, score, rows)
            for k in range(c):
                if observe.ripe(p, p.labels.leaf[labels[k]]):
                    restructure.look(p, p.labels.leaf[labels[k]], leaf, score, rows)
                if observe.due(p, p.labels.leaf[labels[k]]):
                    restructure.test(p, p.labels.leaf[labels[k]], rows)
        p.sizes[EVENTS] += 1
    return stop
