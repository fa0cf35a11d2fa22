"""The cluster that an event is nearest to, and how alike the events of a cluster are.

Likeness is the mean cosine of an event and those of a cluster (average linkage). How much is enough
goes by what strangers have, which differs between texts and vectors: it is learnt from the stream.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.discovery.state import CLUSTERS, PAIRED, State

# standard deviations from the cosine of strangers to that of an event and those of its cluster
ALWAYS, _SINGLE = 1.5, 2.5  # that, and as many more where there is one, less for more
_ENOUGH = 0.6  # above that of strangers it is enough in any case: short vectors differ little
_STRANGERS = 64  # events
_PACE = 0.002  # of what is known of strangers


@kernel
def nearest_to(s: State, dots: Any) -> tuple[int, float]:
    """The cluster that an event is nearest to, -1 for none, and how near: from 1 on it is its.

    By the mean cosine to the cluster's events, in deviations from that of strangers: the more
    events, the less chance there is in a mean.
    """
    spread = deviation(s)
    nearest, best = -1, 0.0
    own, singles = -1.0, 0
    total = squares = 0.0
    for k in range(CLUSTERS):
        if s.distinct[k] <= 0:
            continue
        similar = dots[k] / s.weight[k]
        if s.distinct[k] == 1:
            singles += 1
            total += similar
            squares += similar * similar
            own = max(own, similar)
        chance = np.sqrt(s.squares[k]) / s.weight[k]
        near = (similar - s.pairs[0]) / min(spread * (ALWAYS + _SINGLE * chance), _ENOUGH)
        if near > best:
            nearest, best = k, near
    if singles > 1:
        s.sizes[PAIRED] += 1
        pace = max(_PACE, 1.0 / s.sizes[PAIRED])
        s.pairs[0] += pace * ((total - own) / (singles - 1) - s.pairs[0])
        s.pairs[1] += pace * ((squares - own * own) / (singles - 1) - s.pairs[1])
    if s.sizes[PAIRED] < _STRANGERS:
        return nearest, 0.0
    return nearest, best


@kernel
def deviation(s: State) -> float:
    """Standard deviation of the cosine of strangers."""
    return np.sqrt(max(s.pairs[1] - s.pairs[0] * s.pairs[0], 1e-6))


@kernel
def cohesion(s: State, cluster: int) -> float:
    """Mean cosine of two of a cluster's events, by weight; 0 for a single one."""
    pairs = s.weight[cluster] * s.weight[cluster] - s.squares[cluster]
    if s.distinct[cluster] < 2 or pairs <= 0:
        return 0.0
    return (s.norm[cluster] - s.squares[cluster]) / pairs
