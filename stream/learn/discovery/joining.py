"""Micro-clusters that turn out to be one, joined: DenStream's offline phase, for one cluster."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.discovery.clusters import clear, count_label
from stream.learn.discovery.nearest import ALWAYS, deviation
from stream.learn.discovery.state import CARRIED, CLUSTERS, WIDTH, State

ALIKE = 0.35  # cosine of two centres from which they are one, where few strangers are as near


@kernel
def join(s: State, cluster: int, dots: Any, out: Any) -> int:
    """Take into a cluster all that lie where it lies.

    `dots` (CLUSTERS,) float32 is room; `out` (CLUSTERS,) int64 takes the clusters that are gone,
    of which the number is returned.
    """
    dots[:] = 0
    for at in range(WIDTH):
        value, row = s.sums[at, cluster], s.sums[at]
        for k in range(CLUSTERS):
            dots[k] += value * row[k]
    gone = 0
    own, weight = s.norm[cluster], s.weight[cluster]
    strangers = s.pairs[0] + ALWAYS * deviation(s)
    for k in range(CLUSTERS):
        if k == cluster or s.distinct[k] <= 0:
            continue
        least = max(ALIKE * np.sqrt(own * s.norm[k]), strangers * weight * s.weight[k])
        if dots[k] < least:
            continue
        s.norm[cluster] += 2 * np.float64(dots[k]) + s.norm[k]
        for at in range(WIDTH):
            s.sums[at, cluster] += s.sums[at, k]
        for array in (s.weight, s.squares, s.core, s.explained, s.labelled, s.told):
            array[cluster] += array[k]
        s.distinct[cluster] += s.distinct[k]
        s.seen[cluster] |= s.seen[k]
        for at in range(CARRIED):
            if s.labels[k, at] >= 0:
                count_label(s, cluster, s.labels[k, at], s.carried[k, at])
        s.firsts[cluster] = -1
        clear(s, k)
        out[gone] = k
        gone += 1
    return gone
