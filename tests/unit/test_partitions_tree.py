"""The tree above the leaves is built from links, and says what joins what."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from stream.learn.partitions.company import row_of
from stream.learn.partitions.links import links
from stream.learn.partitions.partitioner import Partitioner
from stream.learn.partitions.tree import Join, tree
from stream.source.planted import GraphWalks
from tests.unit.test_partitions import flat, make


def dense(partitioner: Partitioner) -> tuple[list[Join], dict[int, set[int]]]:
    """The same by looking at every pair of nodes each time, on whole matrices."""
    labels, leaf_of = partitioner.state.labels, partitioner.leaf_of
    leaves = partitioner.highest
    e = np.zeros((2 * leaves, 2 * leaves))
    for label in np.flatnonzero(leaf_of >= 0):
        row = row_of(partitioner.state, label)
        for other, w in zip(labels.co[row], labels.w[row], strict=True):
            if other >= 0:
                e[leaf_of[label], leaf_of[other]] += w
    e = e + e.T
    mass, total = e.sum(1), e.sum()
    below = {leaf: {leaf} for leaf in range(leaves) if len(partitioner.members(leaf))}
    alive, joins = set(below), []
    while True:
        pairs = [
            (-e[a, b] / (mass[a] * mass[b]), a, b)
            for a, b in combinations(sorted(alive), 2)
            if e[a, b] > 0
        ]
        if not pairs:
            return joins, below
        density, a, b = min(pairs)
        node = leaves + len(joins)
        joins.append(Join(node, a, b, -density * total))
        e[node] = e[a] + e[b]
        e[:, node] = e[:, a] + e[:, b]
        mass[node] = mass[a] + mass[b]
        alive = alive - {a, b} | {node}
        below[node] = below[a] | below[b]


@pytest.mark.parametrize("seed", [1, 2])
def test_it_joins_what_a_search_over_all_pairs_would(seed: int) -> None:
    partitioner = make(400)
    partitioner.observe(*GraphWalks(400, seed=seed).draw(6_000))
    expected, below = dense(partitioner)
    found = tree(links(partitioner))
    assert len(found) > 10
    assert [(x.node, x.left, x.right) for x in found] == [
        (x.node, x.left, x.right) for x in expected
    ]
    assert [x.density for x in found] == pytest.approx([x.density for x in expected], rel=1e-9)
    assert found == tree(links(partitioner))
    assert json.loads(json.dumps([asdict(x) for x in found]))[0]["node"] == partitioner.highest
    roots = set(below) - {x for join in found for x in (join.left, join.right)}
    assert len(roots) + len(found) == partitioner.leaves


def test_groups_that_meet_more_often_are_joined_first_and_strangers_never() -> None:
    rng = np.random.default_rng(0)
    groups = [list(range(at, at + 6)) for at in range(0, 36, 6)]
    near = {0: 1, 1: 0, 2: 3, 3: 2}  # 4 and 5 keep to themselves

    def event() -> list[int]:
        group = int(rng.integers(6))
        picked = rng.permutation(groups[group])[:3].tolist()
        if group in near and rng.random() < 0.25:
            other = near[group] if rng.random() < 0.8 else int(rng.integers(4))
            picked += rng.permutation(groups[other])[:1].tolist()
        return sorted(set(picked))

    partitioner = make(36)
    partitioner.observe(*flat([event() for _ in range(4_000)]))
    leaf = [int(partitioner.leaf_of[group[0]]) for group in groups]
    assert len(set(leaf)) == partitioner.leaves == 6
    joins: Any = tree(links(partitioner))
    pairs = [{join.left, join.right} for join in joins]
    assert len(pairs) == 3
    assert {leaf[0], leaf[1]} in pairs[:2]
    assert {leaf[2], leaf[3]} in pairs[:2]
    assert pairs[2] == {joins[0].node, joins[1].node}
    assert joins[0].density >= joins[1].density > joins[2].density


def test_nothing_learnt_has_no_tree() -> None:
    assert tree(links(make(5))) == ()
