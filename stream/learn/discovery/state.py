"""What discovery holds, as named arrays of fixed size.

Weights fade by half every `memory` events. They are kept in forward decay (Cormode et al. 2009):
an event weighs more the later it comes, and all are scaled down together once in a while, so that
nothing has to be done to the clusters that an event does not touch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.arrays import Spec, Specs, nbytes

CLUSTERS = 256
WIDTH = 2_048  # of the sketch that carries a row, a power of two
TERMS = 1 << 17  # slots of the table of features
FEW = 128  # coordinates of a single event that are noted
CARRIED = 8  # labels counted a cluster
WORDS = 64  # of 64 bits each, that tell which texts a cluster has seen
BINS = 100  # of probabilities

# sizes
EVENTS, TOLD, BORN, JUDGED, PAIRED = range(5)


class State(NamedTuple):
    """All that is counted."""

    sizes: Any
    scale: Any  # (3,) an event's weight now; weights of the events judged and unexplained
    table: Any  # (TERMS, 3) events with a feature, its mean and its variance where it is there
    total: Any  # (1,) events that the table has counted
    passed: Any  # (BINS,) decayed count of labelled events by their best probability
    pairs: Any  # (2,) mean and mean square of the cosine of an event and a cluster not its own
    sums: Any  # (WIDTH, CLUSTERS) weighted sum of the rows of a cluster, a row a coordinate
    first: Any  # (CLUSTERS, FEW) coordinates of the one event of a cluster
    firsts: Any  # (CLUSTERS,) how many those are, -1 where there are more, or more events
    norm: Any  # (CLUSTERS,) squared length of that sum
    weight: Any  # (CLUSTERS,) of unexplained events
    squares: Any  # (CLUSTERS,) of their squared weights
    core: Any  # (CLUSTERS,) weight of those of them that were near its centre
    explained: Any  # (CLUSTERS,) weight of explained events that were as near
    labelled: Any  # (CLUSTERS,) weight of unexplained events that carry labels
    labels: Any  # (CLUSTERS, CARRIED) those that they carry most, -1 for none
    carried: Any  # (CLUSTERS, CARRIED) weight of each, at most
    doubt: Any  # (CLUSTERS, CARRIED) how much of that may be others'
    told: Any  # (CLUSTERS,) distinct events when it was proposed last, 0 for never
    born: Any  # (CLUSTERS,) number of the cluster, 0 for none
    distinct: Any  # (CLUSTERS,) events that differ
    fresh: Any  # (CLUSTERS,) of them, those since it was last looked at
    seen: Any  # (CLUSTERS, WORDS) bits of the hashes of its texts


SPECS: Specs = {
    "sizes": Spec((5,), np.int64),
    "scale": Spec((3,), np.float64),
    "table": Spec((TERMS, 3)),
    "total": Spec((1,), np.float64),
    "passed": Spec((BINS,), np.float64),
    "pairs": Spec((2,), np.float64),
    "sums": Spec((WIDTH, CLUSTERS)),
    "first": Spec((CLUSTERS, FEW), np.int16),
    "firsts": Spec((CLUSTERS,), np.int64),
    "norm": Spec((CLUSTERS,), np.float64),
    "weight": Spec((CLUSTERS,), np.float64),
    "squares": Spec((CLUSTERS,), np.float64),
    "core": Spec((CLUSTERS,), np.float64),
    "explained": Spec((CLUSTERS,), np.float64),
    "labelled": Spec((CLUSTERS,), np.float64),
    "labels": Spec((CLUSTERS, CARRIED), np.int32, -1),
    "carried": Spec((CLUSTERS, CARRIED), np.float64),
    "doubt": Spec((CLUSTERS, CARRIED), np.float64),
    "told": Spec((CLUSTERS,), np.float64),
    "born": Spec((CLUSTERS,), np.int64),
    "distinct": Spec((CLUSTERS,), np.int64),
    "fresh": Spec((CLUSTERS,), np.int64),
    "seen": Spec((CLUSTERS, WORDS), np.uint64),
}
BYTES = nbytes(SPECS, {})
"""Of all arrays."""
