"""The tree above the leaves: pairs of nodes joined by how densely they are linked."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from stream.learn.partitions.company import row_of
from stream.learn.partitions.partitioner import Partitioner
from stream.learn.partitions.state import SLOTS


@dataclass(frozen=True, slots=True)
class Join:
    """An inner node.

    Parameters
    ----------
    node
        Its number; inner nodes are numbered from the highest leaf number on, in order of joining.
    left, right
        The two nodes below it, leaves or inner ones, the smaller number first.
    density
        E_ab·ΣK/(K_a·K_b): links between the two over what chance would put there, so 1 means as
        many as if there were no groups.
    """

    node: int
    left: int
    right: int
    density: float


def tree(partitioner: Partitioner) -> tuple[Join, ...]:
    """Agglomerate the leaves by E_ab/(K_a·K_b), the densest pair first.

    Nodes that share no link stay roots of their own. Time and memory go with leaves and pairs of
    linked leaves (times a logarithm), which labels' slots bound.

    Parameters
    ----------
    partitioner
        Between two calls of its `observe`; it is not changed.

    Returns
    -------
    tuple of Join
        At most one fewer than there are leaves. Equal states give equal trees.
    """
    links, mass = _leaf_links(partitioner)
    total = sum(mass.values())
    heap = [
        (-e / (mass[a] * mass[b]), a, b)
        for a, near in links.items() for b, e in near.items() if a < b
    ]  # fmt: skip
    heapq.heapify(heap)
    joins: list[Join] = []
    fresh = partitioner.highest
    while heap:
        density, a, b = heapq.heappop(heap)
        if a not in links or b not in links:  # one has been joined since
            continue
        joins.append(Join(fresh, a, b, -density * total))
        mass[fresh] = mass[a] + mass[b]
        few, many = sorted((links.pop(a), links.pop(b)), key=len)
        for node, e in few.items():
            many[node] = many.get(node, 0.0) + e
        many.pop(a, None)
        many.pop(b, None)
        links[fresh] = many
        for node, e in many.items():
            near = links[node]
            near.pop(a, None)
            near.pop(b, None)
            near[fresh] = e
            heapq.heappush(heap, (-e / (mass[node] * mass[fresh]), node, fresh))
        fresh += 1
    return tuple(joins)


def _leaf_links(partitioner: Partitioner) -> tuple[dict[int, dict[int, float]], dict[int, float]]:
    """Co-occurrence between leaves, symmetric; and of each leaf, links within counted twice."""
    labels, leaf_of = partitioner.state.labels, partitioner.leaf_of
    links: dict[int, dict[int, float]] = {}
    mass: dict[int, float] = {}
    for leaf in range(partitioner.highest):
        for label in partitioner.members(leaf).tolist():
            near = links.setdefault(leaf, {})
            mass.setdefault(leaf, 0.0)
            row = int(row_of(partitioner.state, label))
            for slot in range(SLOTS if row >= 0 else 0):
                other = int(labels.co[row, slot])
                if other < 0:
                    break
                w, home = float(labels.w[row, slot]), int(leaf_of[other])
                mass[leaf] += w
                if home < 0 or w <= 0:
                    continue
                mass[home] = mass.get(home, 0.0) + w
                if home != leaf:
                    near[home] = near.get(home, 0.0) + w
                    there = links.setdefault(home, {})
                    there[leaf] = there.get(leaf, 0.0) + w
    return links, mass
