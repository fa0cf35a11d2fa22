"""Taking and giving back nodes and blocks; the way of a row down the tree; rates of labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn import adwin
from stream.learn.tree.state import (
    AGE,
    ALTERNATE,
    BLOCK,
    BLOCK_STACK,
    BLOCKS,
    BLOCKS_FREED,
    BLOCKS_GROWN,
    CUT,
    DEPTH,
    DUE,
    EVENTS,
    FEATURE,
    FREED,
    GROWN,
    LEFT,
    LEVEL,
    NODES,
    PARENT,
    RIGHT,
    SEEN,
    SPARE,
    STACK,
    TRIES,
    WATCH,
    Tree,
    bank,
)

LIMIT = 1e6  # values beyond count as it
SHRINK = 8.0  # pseudo-events of the parent's rates in a node's


@kernel
def room_for(tree: Tree) -> int:
    """Nodes that can still be taken."""
    return NODES - 1 - tree.sizes[GROWN] + tree.sizes[FREED]


@kernel
def take_node(tree: Tree, parent: int, depth: int, spare: int) -> int:
    """A new leaf; the caller has looked at `room_for`."""
    if tree.sizes[FREED] > 0:
        tree.sizes[FREED] -= 1
        node = tree.number[STACK, tree.sizes[FREED]]
    else:
        tree.sizes[GROWN] += 1
        node = tree.sizes[GROWN]
    tree.link[FEATURE, node] = -1
    tree.link[LEFT:, node] = -1
    tree.link[PARENT, node] = parent
    tree.link[ALTERNATE, node] = -1
    tree.number[SPARE, node] = spare
    tree.number[LEVEL, node] = depth
    tree.real[EVENTS, node] = 0
    tree.k[node, :] = 0
    tree.link[BLOCK, node] = -1
    adwin.reset(bank(tree), node, 0)
    return node


@kernel
def blocks_left(tree: Tree) -> int:
    """Blocks that can still be taken."""
    return BLOCKS - tree.sizes[BLOCKS_GROWN] + tree.sizes[BLOCKS_FREED]


@kernel
def take_block(tree: Tree, node: int) -> None:
    """Give a leaf a block of statistics where one is free."""
    if tree.sizes[BLOCKS_FREED] > 0:
        tree.sizes[BLOCKS_FREED] -= 1
        block = tree.use[BLOCK_STACK, tree.sizes[BLOCKS_FREED]]
    elif tree.sizes[BLOCKS_GROWN] < BLOCKS:
        block = tree.sizes[BLOCKS_GROWN]
        tree.sizes[BLOCKS_GROWN] += 1
    else:
        return
    tree.link[BLOCK, node] = block
    tree.use[AGE, block] = 0
    tree.use[DUE, block] = 0
    tree.use[TRIES, block] = 0
    tree.slot[WATCH, block, :] = -1
    tree.slot[SEEN, block, :] = 0
    tree.total[block] = 0
    tree.count[block] = 0


@kernel
def give_block(tree: Tree, node: int) -> None:
    """Give back a node's block."""
    if tree.link[BLOCK, node] >= 0:
        tree.use[BLOCK_STACK, tree.sizes[BLOCKS_FREED]] = tree.link[BLOCK, node]
        tree.sizes[BLOCKS_FREED] += 1
        tree.link[BLOCK, node] = -1


@kernel
def following(tree: Tree, node: int, root: int) -> int:
    """The next node after `node`'s subtree, in the order of a walk from `root`; -1 at its end."""
    while node != root:
        parent = tree.link[PARENT, node]
        if tree.link[LEFT, parent] == node:
            return tree.link[RIGHT, parent]
        node = parent
    return -1


@kernel
def give_nodes(tree: Tree, root: int) -> None:
    """Give back a subtree that has no alternates."""
    node = root
    while node >= 0:
        after = tree.link[LEFT, node]
        if after < 0:
            after = following(tree, node, root)
        give_block(tree, node)
        tree.number[STACK, tree.sizes[FREED]] = node
        tree.sizes[FREED] += 1
        node = after


@kernel
def value(x: Any, column: int, m: int, scale: float) -> Any:
    """A dense row's value in a column, 0 where it has none."""
    if column >= m:
        return np.float32(0)
    return np.float32(min(LIMIT, max(-LIMIT, x[column] * scale)))


@kernel
def goes_right(
    tree: Tree, node: int, column: Any, x: Any, m: int, scale: float, dense: bool
) -> int:
    """Whether the row goes to the node's right child: 1 or 0."""
    feature = tree.link[FEATURE, node]
    if dense:
        return 1 if value(x, feature, m, scale) > tree.real[CUT, node] else 0
    for j in range(m):
        if column[j] == feature:
            return 1
    return 0


@kernel
def descend(
    tree: Tree, start: int, column: Any, x: Any, m: int, scale: float, dense: bool, path: Any
) -> int:
    """Write the row's nodes from `start` to its leaf into `path`; returns how many."""
    node = start
    for at in range(DEPTH + 1):
        path[at] = node
        if tree.link[FEATURE, node] < 0:
            return at + 1
        node = tree.link[LEFT + goes_right(tree, node, column, x, m, scale, dense), node]
    return DEPTH + 1


@kernel
def rates(tree: Tree, path: Any, length: int, labels: int, p: Any) -> None:
    """Refine `p`, the parent's rates, by each node of a path: (k + s·p)/(n + s)."""
    for at in range(length):
        node = path[at]
        weight = 1.0 / (tree.real[EVENTS, node] + SHRINK)
        k = tree.k[node]
        for label in range(labels):
            p[label] = (k[label] + SHRINK * p[label]) * weight
