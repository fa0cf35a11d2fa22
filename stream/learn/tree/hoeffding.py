"""The tree's two calls: label probabilities of a row, and learning an event.

A Hoeffding adaptive tree for label sets, after Domingos & Hulten (KDD 2000), Bifet & Gavaldà
(IDA 2009) and, for the gain, Neves et al. (ECAI 2025); see the modules for where it differs.
"""

from __future__ import annotations

from typing import Any

from stream.jit import kernel
from stream.learn import adwin
from stream.learn.tree import drift, nodes, observe, split
from stream.learn.tree.state import (
    AGE,
    ALTERNATE,
    BLOCK,
    DUE,
    EVENTS,
    ROOT,
    TRIES,
    Room,
    Tree,
    bank,
)

RESTART = 60_000  # events of a block, below what its counts can hold
PATIENCE = 10  # attempts after which a leaf chooses anew what it watches


@kernel
def score(
    tree: Tree, room: Room, column: Any, x: Any, m: int, scale: float, is_dense: bool,
    labels: int, prior: Any, out: Any,
) -> None:  # fmt: skip
    """Label rates of the leaf that a row reaches, into out[:labels]; changes nothing.

    Parameters
    ----------
    column, x, m
        The row's m columns (int32) and values (float32); in dense rows, columns 0 … m - 1.
    scale
        Factor that makes values comparable across events.
    prior
        (labels,) rates that the root's are shrunk to.
    """
    path = room.path[0]
    length = nodes.descend(tree, tree.sizes[ROOT], column, x, m, scale, is_dense, path)
    out[:labels] = prior[:labels]
    nodes.rates(tree, path, length, labels, out)


@kernel
def loss(p: Any, truth: Any, labels: int, base: float) -> float:
    """The Brier score over twice that of constant rates, at most 1.

    Relative, so that rare labels in a large space move the detectors like common ones do.
    """
    total = 0.0
    for label in range(labels):
        total += p[label] * p[label]
    for label in truth:
        total += 1.0 - 2.0 * p[label]
    return min(1.0, total / (2.0 * base))


@kernel
def _base(prior: Any, labels: int) -> float:
    total = 0.05
    for label in range(labels):
        total += prior[label] * (1.0 - prior[label])
    return total


@kernel
def _grow(
    tree: Tree, room: Room, path: Any, length: int, column: Any, x: Any, m: int, scale: float,
    is_dense: bool, truth: Any, labels: int,
) -> None:  # fmt: skip
    """Count an event in the nodes of its path, and in its leaf's statistics; split the leaf."""
    for at in range(length):
        node = path[at]
        tree.real[EVENTS, node] += 1
        for label in truth:
            tree.k[node, label] += 1
    leaf = path[length - 1]
    if tree.link[BLOCK, leaf] < 0:
        nodes.take_block(tree, leaf)
    block = tree.link[BLOCK, leaf]
    if block < 0:
        return
    if is_dense:
        if tree.use[AGE, block] == 0:
            observe.begin(tree, block, leaf, m)
        observe.dense(tree, block, x, m, scale, truth)
    else:
        observe.sparse(tree, room, block, column, m, truth)
    tree.use[AGE, block] += 1
    tree.use[DUE, block] += 1
    if tree.use[DUE, block] < split.GRACE:
        return
    tree.use[DUE, block] = 0
    tree.use[TRIES, block] += 1
    if split.attempt(tree, leaf, labels, m, is_dense):
        return
    crowded = nodes.blocks_left(tree) == 0
    tired = not is_dense and tree.use[TRIES, block] >= PATIENCE
    if crowded or tired or tree.use[AGE, block] >= RESTART:
        nodes.give_block(tree, leaf)


@kernel
def _alternates(
    tree: Tree, room: Room, length: int, column: Any, x: Any, m: int, scale: float,
    is_dense: bool, truth: Any, labels: int, prior: Any, own: float, base: float,
) -> None:  # fmt: skip
    """Score and teach the alternates along a path, and decide their races, highest first."""
    path, other = room.path[0], room.path[1]
    for at in range(length):
        node = path[at]
        alternate = tree.link[ALTERNATE, node]
        if alternate < 0:
            continue
        below = nodes.descend(tree, alternate, column, x, m, scale, is_dense, other)
        room.p[:labels] = prior[:labels]
        nodes.rates(tree, path, at, labels, room.p)
        nodes.rates(tree, other, below, labels, room.p)
        verdict = drift.judge(tree, node, own, loss(room.p, truth, labels, base))
        _grow(
            tree, room, other, below, column, x, m, scale, is_dense, truth, labels
        )  # fmt: skip
        if verdict > 0:
            drift.swap(tree, node)
            return
        if verdict < 0:
            drift.prune(tree, node)


@kernel
def learn(
    tree: Tree, room: Room, column: Any, x: Any, m: int, scale: float, is_dense: bool,
    truth: Any, labels: int, prior: Any, adapt: bool,
) -> None:  # fmt: skip
    """Learn an event: a row as in `score`, and `truth`, the (c,) int32 labels that it has.

    `adapt` turns the detectors and the alternates on.
    """
    path = room.path[0]
    length = nodes.descend(tree, tree.sizes[ROOT], column, x, m, scale, is_dense, path)
    if adapt:
        room.p[:labels] = prior[:labels]
        nodes.rates(tree, path, length, labels, room.p)
        base = _base(prior, labels)
        own = loss(room.p, truth, labels, base)
        detectors = bank(tree)
        for at in range(length):
            node = path[at]
            cut = adwin.update(detectors, node, own, drift.DELTA, room.means)
            if cut and room.means[1] > room.means[0]:
                drift.begin(tree, node)
    _grow(tree, room, path, length, column, x, m, scale, is_dense, truth, labels)
    if adapt:
        _alternates(
            tree, room, length, column, x, m, scale, is_dense, truth, labels, prior, own, base
        )  # fmt: skip
