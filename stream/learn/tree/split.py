"""When and where a leaf splits.

The gain is the drop of Σ_l H(p_l), the entropy of a multivariate Bernoulli (Neves et al., ECAI
2025; Esteban et al., 2025), in nats. Hoeffding's bound (Domingos, Hulten, KDD 2000) is taken of
the gain over the leaf's own entropy, which lies in [0, 1] whatever the number of labels. The
gain must also pay for the second set of rates (the null split of the same paper, its threshold
by BIC), else ties would grow trees out of noise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.tree import nodes, observe
from stream.learn.tree.state import (
    BLOCK,
    CUT,
    DEPTH,
    EVENTS,
    FEATURE,
    LEFT,
    LEVEL,
    MAIN_MOST,
    MEAN,
    NODES,
    SEEN,
    SPARE,
    SPLITS,
    SPREAD,
    TURN,
    WATCH,
    Tree,
)

GRACE = 50  # events between attempts
DELTA = 1e-3
TIE = 0.25
LEAST = 10  # events on each side
PENALTY = 1.5
_TABLE = 8_192
_XLOGX = np.concatenate([[0.0], np.arange(1, _TABLE) * np.log(np.arange(1, _TABLE))])


@kernel
def xlogx(count: int) -> float:
    """count·ln count."""
    if count < _TABLE:
        return _XLOGX[count]
    return count * np.log(np.float64(count))


class Work(NamedTuple):
    """Scratch of one attempt."""

    found: Any  # (8,) float64
    gains: Any  # (watched,) float64
    children: Any  # (bins,) float64
    left: Any  # (bins,) int64
    listed: Any  # (labels,) int64
    whole: Any  # (labels,) int64 events of each label in a slot


@kernel
def work(tree: Tree) -> Work:
    """Scratch that fits `tree`; attempts are rare enough for fresh memory."""
    _, watched, bins, labels = tree.count.shape
    return Work(
        np.zeros(8), np.zeros(watched), np.zeros(bins), np.zeros(bins, np.int64),
        np.zeros(labels, np.int64), np.zeros(labels, np.int64),
    )  # fmt: skip


@kernel
def gain(tree: Tree, own: Work, block: int, slot: int, labels: int) -> int:
    """The best cut of a slot.

    Returns
    -------
    int
        The last bin of its left side, -1 for none. `own.found` then holds, from place 3: gain
        per event in nats, the leaf's entropy, events, and the price of a split in nats.
    """
    total, count = tree.total[block, slot], tree.count[block, slot]
    bins = len(total)
    events = 0
    for at in range(bins):
        events += total[at]
        own.left[at] = events
        own.children[at] = 0
    if events < 2 * LEAST:
        return -1
    before, price = 0.0, 0.0
    listed = 0
    for label in range(labels):
        own.whole[label] = 0
    for at in range(bins):
        for label in range(labels):
            own.whole[label] += count[at, label]
    for label in range(labels):
        k = own.whole[label]
        if 0 < k < events:
            own.listed[listed] = label
            listed += 1
            before += xlogx(events) - xlogx(k) - xlogx(events - k)
            price += 0.5 * np.log(1.0 + k * (events - k) / np.float64(events))
    for which in range(listed):
        label = own.listed[which]
        k = own.whole[label]
        mine = 0
        for at in range(bins - 1):
            mine += count[at, label]
            n = own.left[at]
            rest = events - n
            theirs = k - mine
            own.children[at] += (
                xlogx(n) - xlogx(mine) - xlogx(n - mine)
                + xlogx(rest) - xlogx(theirs) - xlogx(rest - theirs)
            )  # fmt: skip
    best, where = 0.0, -1
    for at in range(bins - 1):
        if own.left[at] < LEAST or events - own.left[at] < LEAST:
            continue
        drop = before - own.children[at]
        if drop > best:
            best, where = drop, at
    own.found[3] = best / events
    own.found[4] = before / events
    own.found[5] = events
    own.found[6] = price
    return where


@kernel
def attempt(tree: Tree, node: int, labels: int, m: int, is_dense: bool) -> bool:
    """Split a leaf if that pays; returns whether it did."""
    block = tree.link[BLOCK, node]
    own = work(tree)
    first, second = 0.0, 0.0
    slot, place = -1, -1
    for at in range(tree.slot.shape[2]):
        own.gains[at] = 0
        where = gain(tree, own, block, at, labels) if tree.slot[SEEN, block, at] > 0 else -1
        if where < 0:
            continue
        share = own.found[3] / max(own.found[4], 1e-9)
        own.gains[at] = share
        if share > first:
            first, second = share, first
            slot, place = at, where
            own.found[:3] = own.found[3:6]
            own.found[7] = own.found[6]
        elif share > second:
            second = share
    if slot < 0 or tree.number[LEVEL, node] >= DEPTH:
        return False
    events = own.found[2]
    choices = tree.slot.shape[2] * (tree.total.shape[2] - 1)
    pays = events * own.found[0] > PENALTY * own.found[7] + np.log(choices)
    bound = np.sqrt(np.log(1.0 / DELTA) / (2.0 * events))
    most = NODES if tree.number[SPARE, node] else MAIN_MOST
    if not pays or (first - second <= bound and bound >= TIE):
        if is_dense:
            _rotate(tree, own, block, m)
        return False
    if nodes.room_for(tree) < 2 + NODES - most:
        return False
    _divide(tree, node, slot, place, labels, is_dense)
    return True


@kernel
def _divide(tree: Tree, node: int, slot: int, place: int, labels: int, is_dense: bool) -> None:
    """Make a leaf an inner node; its children start with what their bins have counted."""
    block = tree.link[BLOCK, node]
    tree.link[FEATURE, node] = tree.slot[WATCH, block, slot]
    if is_dense:
        mean, spread = tree.bed[MEAN, block, slot], tree.bed[SPREAD, block, slot]
        tree.real[CUT, node] = observe.edge(mean, spread, place)
    for side in range(2):
        new = nodes.take_node(tree, node, tree.number[LEVEL, node] + 1, tree.number[SPARE, node])
        tree.link[LEFT + side, node] = new
        low, high = (0, place + 1) if side == 0 else (place + 1, tree.total.shape[2])
        for at in range(low, high):
            tree.real[EVENTS, new] += tree.total[block, slot, at]
            for label in range(labels):
                tree.k[new, label] += tree.count[block, slot, at, label]
    nodes.give_block(tree, node)
    tree.sizes[SPLITS] += 1


@kernel
def _rotate(tree: Tree, own: Work, block: int, m: int) -> None:
    """Give the slots of columns that tell little to columns that are not watched."""
    watched = tree.slot.shape[2]
    if m <= watched:
        return
    best = 0.0
    for slot in range(watched):
        best = max(best, own.gains[slot])
    for slot in range(watched):
        if own.gains[slot] >= 0.5 * best:
            continue
        column = tree.use[TURN, block]
        tree.use[TURN, block] = (column + 1) % m
        known = False
        for other in range(watched):
            known |= tree.slot[WATCH, block, other] == column
        if not known:
            observe.clear(tree, block, slot, column)
