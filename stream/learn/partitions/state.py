"""The arrays of the partitioner: about 300 bytes a label, nothing a pair of labels.

Most of it is the labels' company, which may be kept of fewer labels than there are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.arrays import Spec, Specs

SLOTS = 32  # co-labels remembered of a label
LEAF = 128  # labels of a leaf at most
USED = 32  # labels of an event at most
KAPPA = 100.0  # a label's memory, in events of its own
HALF_LIFE = 50_000.0  # of the global rates, in events

# sizes
EVENTS, LABELS, LEAVES, FREE, ROWS = 0, 1, 2, 3, 4
# rows of company in use, labels that lost or were refused one, and whether labels have rows of
# other numbers than their own, as from when there are more labels than rows
TAKEN, EVICTED, MAPPED = 5, 6, 7

# kinds of delta rows: kind, event, leaf, other leaf, label
NEW, MOVE, SPLIT, MERGE, MEMBER, OPEN = 0, 1, 2, 3, 4, 5


class LabelState(NamedTuple):
    """Per label."""

    co: Any  # (company, SLOTS) int32, -1 for free
    w: Any  # (company, SLOTS)
    seat: Any  # (labels, 2) int32, once MAPPED: the row of a label, the label of a row; -1 for none
    n: Any  # decayed count of its own events with company
    rate: Any  # float64 global rate, inflated by the growth factor
    mu: Any  # hit rate: another label of the event is in its leaf
    cusum: Any
    trials: Any  # int32
    moves: Any  # int32
    leaf: Any  # int32, -1 before it was seen in company
    place: Any  # int32 position in the leaf's members


class LeafState(NamedTuple):
    """Per leaf."""

    member: Any  # (leaves, LEAF) int32
    size: Any  # int32, 0 for a number not in use
    mass: Any  # float64 Σ n of its members
    mu: Any
    cusum: Any
    trials: Any  # int32
    hits: Any  # int32 since it was last tested for a split
    looked: Any  # int32 hits since it was last looked at for a merge
    free: Any  # int32 stack of numbers given back


class Partitions(NamedTuple):
    """All of it; `growth` is (2,) float64: the inflation of rates, and their inflated sum."""

    sizes: Any
    growth: Any
    labels: LabelState
    leaves: LeafState


LABEL_SPECS: Specs = {
    "co": Spec(("company", SLOTS), np.int32, -1),
    "w": Spec(("company", SLOTS)),
    "seat": Spec(("labels", 2), np.int32, -1),
    "n": Spec(("labels",)),
    "rate": Spec(("labels",), np.float64),
    "mu": Spec(("labels",)),
    "cusum": Spec(("labels",)),
    "trials": Spec(("labels",), np.int32),
    "moves": Spec(("labels",), np.int32),
    "leaf": Spec(("labels",), np.int32, -1),
    "place": Spec(("labels",), np.int32),
}
LEAF_SPECS: Specs = {
    "member": Spec(("leaves", LEAF), np.int32),
    "size": Spec(("leaves",), np.int32),
    "mass": Spec(("leaves",), np.float64),
    "mu": Spec(("leaves",)),
    "cusum": Spec(("leaves",)),
    "trials": Spec(("leaves",), np.int32),
    "hits": Spec(("leaves",), np.int32),
    "looked": Spec(("leaves",), np.int32),
    "free": Spec(("leaves",), np.int32),
}
