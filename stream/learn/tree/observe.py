"""A leaf's statistics: counts by watched feature, bin and label.

Only the labels of the event are counted, so an event costs its watched features times its own
labels. Dense columns are cut into bins about the leaf's own mean, as estimated from a slot's
first events; sparse ones into absent and present, for the columns most frequent in the leaf's
first events, found by space-saving (Metwally, Agrawal, El Abbadi, ICDT 2005).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.tree import nodes
from stream.learn.tree.state import AGE, MEAN, SEEN, SPREAD, TURN, WATCH, Room, Tree

WARM = 25  # events that place a dense slot's bins
SCOUT = 50  # events that choose the columns of sparse rows
EDGES = (-1.3, -0.75, -0.35, 0.0, 0.35, 0.75, 1.3)
TINY = 1e-6  # least scale, so that a constant is told from all else


@kernel
def edge(mean: float, spread: float, at: int) -> Any:
    """The value that bins up to `at` do not exceed."""
    return np.float32(mean + EDGES[at] * spread)


@kernel
def _into(tree: Tree, block: int, slot: int, place: int, truth: Any) -> None:
    tree.total[block, slot, place] += 1
    row = tree.count[block, slot, place]
    for label in truth:
        row[label] += 1


@kernel
def clear(tree: Tree, block: int, slot: int, column: int) -> None:
    """Watch a column in a slot, from nothing."""
    tree.slot[WATCH, block, slot] = column
    tree.slot[SEEN, block, slot] = 0
    tree.bed[MEAN, block, slot] = 0
    tree.bed[SPREAD, block, slot] = 0
    tree.total[block, slot] = 0
    tree.count[block, slot] = 0


@kernel
def begin(tree: Tree, block: int, node: int, m: int) -> None:
    """Watch the dense columns, or as many as there are slots, other ones in each leaf."""
    watched = tree.slot.shape[2]
    start = 0 if m <= watched else (node * 7_919) % m
    for at in range(min(m, watched)):
        clear(tree, block, at, (start + at) % m)
    tree.use[TURN, block] = (start + watched) % max(m, 1)


@kernel
def dense(tree: Tree, block: int, x: Any, m: int, scale: float, truth: Any) -> None:
    """Count a dense row."""
    watch, seen = tree.slot[WATCH, block], tree.slot[SEEN, block]
    means, spreads = tree.bed[MEAN, block], tree.bed[SPREAD, block]
    for slot in range(min(m, len(watch))):
        if watch[slot] < 0:  # a column that came later
            clear(tree, block, slot, slot)
        value = nodes.value(x, watch[slot], m, scale)
        seen[slot] += 1
        if seen[slot] <= WARM:
            delta = value - means[slot]
            means[slot] += delta / seen[slot]
            spreads[slot] += delta * (value - means[slot])
            if seen[slot] == WARM:
                spreads[slot] = max(np.sqrt(spreads[slot] / WARM), TINY)
            continue
        place = 0
        for at in range(len(EDGES)):
            place += value > edge(means[slot], spreads[slot], at)
        _into(tree, block, slot, place, truth)


@kernel
def _scout(tree: Tree, block: int, column: Any, m: int) -> None:
    watch, seen = tree.slot[WATCH, block], tree.slot[SEEN, block]
    for j in range(m):
        least = 0
        for slot in range(len(watch)):
            if watch[slot] == column[j]:
                least = slot
                break
            if seen[slot] < seen[least]:
                least = slot
        watch[least] = column[j]
        seen[least] += 1


@kernel
def _settle(tree: Tree, block: int) -> None:
    """Sort the watched columns, so that a row finds its slots; unused slots come last."""
    watch = tree.slot[WATCH, block]
    for slot in range(len(watch)):
        if watch[slot] < 0:
            watch[slot] = np.iinfo(np.int32).max
    watch[:] = np.sort(watch)
    tree.slot[SEEN, block, :] = 0


@kernel
def sparse(tree: Tree, room: Room, block: int, column: Any, m: int, truth: Any) -> None:
    """Count a sparse row."""
    if tree.use[AGE, block] < SCOUT:
        _scout(tree, block, column, m)
        return
    if tree.use[AGE, block] == SCOUT:
        _settle(tree, block)
    watch = tree.slot[WATCH, block]
    room.present[:] = 0
    for j in range(m):
        low, high = 0, len(watch)
        while low < high:
            middle = (low + high) // 2
            if watch[middle] < column[j]:
                low = middle + 1
            else:
                high = middle
        if low < len(watch) and watch[low] == column[j]:
            room.present[low] = 1
    for slot in range(len(watch)):
        if watch[slot] == np.iinfo(np.int32).max:
            return
        tree.slot[SEEN, block, slot] += 1
        _into(tree, block, slot, room.present[slot], truth)
