"""Bookkeeping of leaves: who is in which, and the rows that report every change."""

from __future__ import annotations

from typing import Any

from stream.jit import kernel
from stream.learn.partitions.state import EVENTS, FREE, LEAF, LEAVES, OPEN, ROWS, Partitions


@kernel
def report(p: Partitions, rows: Any, kind: int, leaf: int, other: int, label: int) -> None:
    """Append a delta row."""
    at = p.sizes[ROWS]
    rows[at, 0] = kind
    rows[at, 1] = p.sizes[EVENTS]
    rows[at, 2] = leaf
    rows[at, 3] = other
    rows[at, 4] = label
    p.sizes[ROWS] = at + 1


@kernel
def open_leaf(p: Partitions, rows: Any) -> int:
    """The number of a new, empty leaf."""
    if p.sizes[FREE] > 0:
        p.sizes[FREE] -= 1
        leaf = p.leaves.free[p.sizes[FREE]]
    else:
        leaf = p.sizes[LEAVES]
        p.sizes[LEAVES] += 1
    p.leaves.mass[leaf] = 0
    p.leaves.mu[leaf] = 0
    p.leaves.cusum[leaf] = 0
    p.leaves.trials[leaf] = 0
    p.leaves.hits[leaf] = 0
    p.leaves.looked[leaf] = 0
    report(p, rows, OPEN, leaf, -1, -1)
    return leaf


@kernel
def join(p: Partitions, label: int, leaf: int) -> None:
    """Put a label that is in no leaf into one with room."""
    place = p.leaves.size[leaf]
    p.leaves.member[leaf, place] = label
    p.leaves.size[leaf] = place + 1
    p.leaves.mass[leaf] += p.labels.n[label]
    p.labels.leaf[label] = leaf
    p.labels.place[label] = place


@kernel
def leave(p: Partitions, label: int) -> None:
    """Take a label out of its leaf; an empty leaf's number is given back."""
    leaf = p.labels.leaf[label]
    last = p.leaves.size[leaf] - 1
    moved = p.leaves.member[leaf, last]
    place = p.labels.place[label]
    p.leaves.member[leaf, place] = moved
    p.labels.place[moved] = place
    p.leaves.size[leaf] = last
    p.leaves.mass[leaf] = max(0.0, p.leaves.mass[leaf] - p.labels.n[label])
    p.labels.leaf[label] = -1
    if last == 0:
        p.leaves.free[p.sizes[FREE]] = leaf
        p.sizes[FREE] += 1


@kernel
def has_room(p: Partitions, leaf: int) -> bool:
    """Whether one more label fits."""
    return p.leaves.size[leaf] < LEAF
