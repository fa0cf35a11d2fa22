"""When a cluster is proposed as a possible new label, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream.learn.discovery.kept import Kept
from stream.learn.discovery.nearest import cohesion
from stream.learn.discovery.state import EVENTS, TOLD, State
from stream.types import DriftEvent

AGAIN = 2.0  # times as many distinct events as when it was proposed
_ABOVE = 0.5  # of what is explained elsewhere, to be unexplained here
_KNOWN = 0.5  # share of the labelled events from which a label is what the cluster is about
_SOME = 0.2  # share of the events that are labelled, from which that says something
_LABELS = 3  # told


def unexplained(s: State, cluster: int) -> float:
    """Share of unexplained events near a cluster's centre."""
    whole = float(s.core[cluster] + s.explained[cluster])
    return float(s.core[cluster]) / whole if whole > 0 else 0.0


def carried(s: State, cluster: int) -> list[tuple[int, float]]:
    """The labels that a cluster's labelled events carry most, and in which share of them."""
    whole = float(s.labelled[cluster])
    if whole <= 0:
        return []
    shares = (s.carried[cluster] - s.doubt[cluster]) / whole
    found = zip(s.labels[cluster].tolist(), shares.tolist(), strict=True)
    return sorted((pair for pair in found if pair[0] >= 0), key=lambda pair: (-pair[1], pair[0]))


def ready(s: State, cluster: int, size: int, share: float) -> bool:
    """Whether to propose a cluster now.

    Parameters
    ----------
    size
        Distinct events, and their weight, at least.
    share
        Share of the events of which one is told at most.
    """
    distinct = s.distinct[cluster]
    if min(s.weight[cluster] / s.scale[0], distinct) < size or distinct < AGAIN * s.told[cluster]:
        return False
    if s.sizes[TOLD] + 1 > share * s.sizes[EVENTS]:
        return False
    usual = s.scale[2] / max(s.scale[1], 1.0)
    known = s.labelled[cluster] >= _SOME * s.weight[cluster] and carried(s, cluster)[0][1] >= _KNOWN
    return not known and unexplained(s, cluster) >= usual + _ABOVE * (1 - usual)


def proposal(
    s: State, cluster: int, kept: Kept, names: Sequence[str], position: int
) -> DriftEvent:  # fmt: skip
    """What is told; the cluster counts as told."""
    again = s.told[cluster] > 0
    s.told[cluster] = s.distinct[cluster]
    s.sizes[TOLD] += 1
    labels = carried(s, cluster)[:_LABELS]
    evidence = {
        "size": int(s.distinct[cluster]),
        "weight": float(s.weight[cluster] / s.scale[0]),
        "unexplained": unexplained(s, cluster),
        "cohesion": cohesion(s, cluster),
        "events": kept.ids(cluster),
        "terms": kept.typical(cluster, s.table, float(s.total[0])),
        "labels": [[names[slot], share] for slot, share in labels],
        "labelled": float(np.minimum(1.0, s.labelled[cluster] / s.weight[cluster])),
        "again": bool(again),
    }
    return DriftEvent("possible_label", f"cluster/{int(s.born[cluster])}", position, evidence)
