"""How partitions are linked: co-occurrence summed over their labels, in one compiled pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.partitions.partitioner import Partitioner
from stream.learn.partitions.state import MAPPED, SLOTS, Partitions


class Links(NamedTuple):
    """Links between leaves at one moment, a few numbers for each pair that has any.

    Parameters
    ----------
    pair
        (n, 2) int32 leaves; each pair once in either order or in both.
    weight
        (n,) float64 decayed co-occurrence.
    mass
        (leaves,) float64, links of each leaf, those within it counted twice.
    """

    pair: Any
    weight: Any
    mass: Any


def links(partitioner: Partitioner) -> Links:
    """Sum the company of all labels by leaf; O(labels), nothing is changed."""
    p, leaves = partitioner.state, partitioner.highest
    mass, room = np.zeros(leaves), np.zeros(leaves)
    none = np.zeros((0, 2), np.int32), np.zeros(0)
    n = _sum(p, partitioner.leaf_of, leaves, mass, room, *none)
    pair, weight = np.zeros((n, 2), np.int32), np.zeros(n)
    mass[:] = 0
    _sum(p, partitioner.leaf_of, leaves, mass, room, pair, weight)
    return Links(pair, weight, mass)


def strongest(found: Links, most: int) -> Links:
    """At most so many pairs, those with the most links for their size."""
    if len(found.weight) <= most:
        return found
    a, b = found.pair.T
    density = found.weight / (found.mass[a] * found.mass[b])
    kept = np.sort(np.argpartition(-density, most)[:most])
    return Links(found.pair[kept], found.weight[kept], found.mass)


@kernel
def _sum(
    p: Partitions, leaf_of: Any, leaves: int, mass: Any, room: Any, pair: Any, weight: Any
) -> int:
    """The number of pairs; they are written where there is room for them."""
    n = 0
    near = np.empty(leaves, np.int32)
    for leaf in range(leaves):
        found = 0
        for place in range(p.leaves.size[leaf]):
            label = p.leaves.member[leaf, place]
            row = p.labels.seat[label, 0] if p.sizes[MAPPED] else label
            if row < 0:
                continue
            for slot in range(SLOTS):
                other = p.labels.co[row, slot]
                if other < 0:
                    break
                w = np.float64(p.labels.w[row, slot])
                mass[leaf] += w
                home = leaf_of[other]
                if home < 0 or w <= 0:
                    continue
                mass[home] += w
                if home == leaf:
                    continue
                if room[home] == 0:
                    near[found] = home
                    found += 1
                room[home] += w
        for k in range(found):
            home = near[k]
            if n < len(weight):
                pair[n, 0], pair[n, 1] = leaf, home
                weight[n] = room[home]
            n += 1
            room[home] = 0
    return n
