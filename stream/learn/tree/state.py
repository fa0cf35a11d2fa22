"""The arrays of the tree, and how they grow.

Nodes and statistics are bounded: a leaf without a block of statistics still learns its label
rates, it only cannot split until a block is free.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn import adwin
from stream.learn.arrays import Spec, Specs, allocate, power

NODES = 255
MAIN_MOST = 191  # nodes up to which the tree itself splits; the rest is for alternates
DEPTH = 24
BLOCKS = 48
WATCHED = 64  # features that a leaf watches in sparse rows
DENSE_WATCHED = 128  # and at most in dense ones
BINS = 8

# sizes
ROOT, GROWN, FREED, BLOCKS_GROWN, BLOCKS_FREED, SPLITS, SWAPS, PRUNED = range(8)


# rows of `link`, node numbers unless said; -1 for none
FEATURE, PARENT, ALTERNATE, BLOCK, LEFT, RIGHT = range(6)
# rows of `number`
WIDTH, TICKS, QUIET, SPARE, LEVEL, STACK = range(6)
# rows of `real`
CUT, EVENTS, SUM, VARIANCE, RACE = range(5)
# rows of `use`, of `slot` and of `bed`
AGE, DUE, TRIES, TURN, BLOCK_STACK = range(5)
WATCH, SEEN = 0, 1
MEAN, SPREAD = 0, 1


class Tree(NamedTuple):
    """All of the tree, in few arrays, since each costs whenever a kernel is called.

    Node 0 is the first root, so that fresh arrays are a tree of one leaf.
    """

    sizes: Any  # (8,) int64, the counters named above
    link: Any  # (6, nodes) int32: the column tested (none in a leaf), parent, root of the
    # alternate, block of statistics, children
    number: Any  # (6, nodes) int64: three of the detector, whether in an alternate, depth, and
    # the stack of free nodes
    real: Any  # (8, nodes) float64: values above the cut go right (sparse rows: presence does);
    # events; two of the detector; four of a race against the alternate: events, sums of the
    # losses' difference and of its square, events since the alternate began
    k: Any  # (nodes, labels) events of each label
    used: Any  # (nodes, LEVELS) int32, of the detectors
    buckets: Any  # (2, nodes, LEVELS, BUCKETS + 1) their totals and spreads
    use: Any  # (5, blocks) int32: events since the block was taken, since the last attempt,
    # attempts, the dense column watched next, and the stack of free blocks
    slot: Any  # (2, blocks, watched) int32: column, and events
    bed: Any  # (2, blocks, watched): centre and scale of the bins
    total: Any  # (blocks, watched, bins) int32 events
    count: Any  # (blocks, watched, bins, labels) uint16 events of each label


SPECS: Specs = {
    "sizes": Spec((8,), np.int64),
    "link": Spec((6, NODES), np.int32, -1),
    "number": Spec((6, NODES), np.int64),
    "real": Spec((8, NODES), np.float64),
    "k": Spec((NODES, "labels")),
    "used": Spec((NODES, adwin.LEVELS), np.int32),
    "buckets": Spec((2, NODES, adwin.LEVELS, adwin.BUCKETS + 1)),
    "use": Spec((5, BLOCKS), np.int32),
    "slot": Spec((2, BLOCKS, "watched"), np.int32, -1),
    "bed": Spec((2, BLOCKS, "watched")),
    "total": Spec((BLOCKS, "watched", "bins"), np.int32),
    "count": Spec((BLOCKS, "watched", "bins", "labels"), np.uint16),
}


class Room(NamedTuple):
    """Scratch of one event; whoever computes has their own."""

    path: Any  # (2, DEPTH + 1) int32
    p: Any  # (labels,)
    present: Any  # (watched,) uint8
    means: Any  # (2,) float64


def capacities(columns: int, dense: bool) -> dict[str, int]:
    """The tree's own capacities, by those of the learner."""
    watched = min(power(columns, 1), DENSE_WATCHED) if dense else WATCHED
    return {"watched": watched, "bins": BINS if dense else 2}


def make(capacity: dict[str, int]) -> Tree:
    """A tree of one leaf, at capacities `labels`, `watched` and `bins`."""
    return allocate(Tree, SPECS, capacity)


def room(tree: Tree) -> Room:
    """Scratch that fits `tree`."""
    _, watched, _, labels = tree.count.shape
    return Room(
        np.zeros((2, DEPTH + 1), np.int32),
        np.zeros(labels, np.float32),
        np.zeros(watched, np.uint8),
        np.zeros(2, np.float64),
    )


@kernel
def bank(tree: Tree) -> adwin.Bank:
    """The nodes' detectors."""
    return adwin.Bank(
        tree.used, tree.buckets[0], tree.buckets[1], tree.number[WIDTH], tree.real[SUM],
        tree.real[VARIANCE], tree.number[TICKS], tree.number[QUIET],
    )  # fmt: skip
