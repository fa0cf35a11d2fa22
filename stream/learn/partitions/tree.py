"""The tree above the leaves: pairs of nodes joined by how densely they are linked."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from stream.learn.partitions.links import Links


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


def tree(links: Links) -> tuple[Join, ...]:
    """Agglomerate the leaves by E_ab/(K_a·K_b), the densest pair first.

    Nodes that share no link stay roots of their own. Time and memory go with leaves and pairs of
    linked leaves (times a logarithm).

    Returns
    -------
    tuple of Join
        At most one fewer than there are leaves. Equal links give equal trees.
    """
    near_of: dict[int, dict[int, float]] = {leaf: {} for leaf in np.unique(links.pair).tolist()}
    for (a, b), e in zip(links.pair.tolist(), links.weight.tolist(), strict=True):
        near_of[a][b] = near_of[a].get(b, 0.0) + e
        near_of[b][a] = near_of[b].get(a, 0.0) + e
    mass = dict(enumerate(links.mass.tolist()))
    total = sum(mass.values())
    heap = [
        (-e / (mass[a] * mass[b]), a, b)
        for a, near in near_of.items() for b, e in near.items() if a < b
    ]  # fmt: skip
    heapq.heapify(heap)
    joins: list[Join] = []
    fresh = len(links.mass)
    while heap:
        density, a, b = heapq.heappop(heap)
        if a not in near_of or b not in near_of:  # one has been joined since
            continue
        joins.append(Join(fresh, a, b, -density * total))
        mass[fresh] = mass[a] + mass[b]
        few, many = sorted((near_of.pop(a), near_of.pop(b)), key=len)
        for node, e in few.items():
            many[node] = many.get(node, 0.0) + e
        many.pop(a, None)
        many.pop(b, None)
        near_of[fresh] = many
        for node, e in many.items():
            near = near_of[node]
            near.pop(a, None)
            near.pop(b, None)
            near[fresh] = e
            heapq.heappush(heap, (-e / (mass[node] * mass[fresh]), node, fresh))
        fresh += 1
    return tuple(joins)
