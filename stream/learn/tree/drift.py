"""Alternate subtrees: grown where the loss rises, raced in pairs, swapped in or pruned.

Bifet, Gavaldà, "Adaptive learning from evolving data streams" (IDA 2009). There the two
subtrees' errors are compared as if independent; here their losses on the same events are, whose
difference varies far less, by the empirical Bernstein bound (Maurer, Pontil, COLT 2009).
"""

from __future__ import annotations

import numpy as np

from stream.jit import kernel
from stream.learn import adwin
from stream.learn.tree import nodes
from stream.learn.tree.state import (
    ALTERNATE,
    LEFT,
    LEVEL,
    PARENT,
    PRUNED,
    RACE,
    ROOT,
    SPARE,
    SWAPS,
    Tree,
    bank,
)

DELTA = 0.01  # of the detectors
SURE = 0.05  # of the races
WARM = 100  # events that an alternate learns before it is judged
LONGEST = 3_000  # events after which an alternate that is no better goes
EVERY = 16


@kernel
def begin(tree: Tree, node: int) -> None:
    """Grow an alternate of a node, from nothing."""
    if tree.link[ALTERNATE, node] >= 0 or nodes.room_for(tree) < 1:
        return
    tree.link[ALTERNATE, node] = nodes.take_node(
        tree, tree.link[PARENT, node], tree.number[LEVEL, node], 1
    )
    tree.real[RACE:, node] = 0


@kernel
def judge(tree: Tree, node: int, own: float, other: float) -> int:
    """Count a pair of losses; returns 1 to swap the alternate in, -1 to prune it, else 0."""
    race = tree.real[RACE:, node]
    race[3] += 1
    if race[3] <= WARM:
        return 0
    difference = own - other
    race[0] += 1
    race[1] += difference
    race[2] += difference * difference
    n = race[0]
    if n % EVERY != 0 or n < 2 * EVERY:
        return 0
    mean = race[1] / n
    variance = max(0.0, race[2] / n - mean * mean) * n / (n - 1)
    log = np.log(2.0 / SURE)
    bound = np.sqrt(2.0 * variance * log / n) + 7.0 * 2.0 * log / (3.0 * (n - 1))
    if mean > bound:
        return 1
    if mean < -bound or n >= LONGEST:
        return -1
    return 0


@kernel
def prune(tree: Tree, node: int) -> None:
    """Give back a node's alternate."""
    nodes.give_nodes(tree, tree.link[ALTERNATE, node])
    tree.link[ALTERNATE, node] = -1
    tree.sizes[PRUNED] += 1


@kernel
def swap(tree: Tree, node: int) -> None:
    """Put a node's alternate in its place, and give back the node's subtree."""
    new, parent = tree.link[ALTERNATE, node], tree.link[PARENT, node]
    tree.link[ALTERNATE, node] = -1
    below = node
    while below >= 0:
        if tree.link[ALTERNATE, below] >= 0:
            prune(tree, below)
        after = tree.link[LEFT, below]
        below = after if after >= 0 else nodes.following(tree, below, node)
    nodes.give_nodes(tree, node)
    if parent < 0:
        tree.sizes[ROOT] = new
    else:
        side = 0 if tree.link[LEFT, parent] == node else 1
        tree.link[LEFT + side, parent] = new
    below = new
    while below >= 0:
        tree.number[SPARE, below] = 0
        adwin.reset(bank(tree), below, 0)
        after = tree.link[LEFT, below]
        below = after if after >= 0 else nodes.following(tree, below, new)
    tree.sizes[SWAPS] += 1
