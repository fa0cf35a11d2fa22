"""The arrays of the extreme learner. Only those with an axis `labels` ever grow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.arrays import Spec, Specs, allocate, grow

EXEMPLAR_LABELS = 16  # labels kept of an exemplar
DENSE_WINDOW = 8_192  # exemplars kept of dense rows
INSERT, QUERY = 64, 48  # strongest terms posted, and asked for
TERMS = 32  # strongest terms of the linear expert and the centroids
RING = 2_048  # newest exemplars posted under a term
CLASSES = 10  # ring sizes 4, 8, … RING
NEIGHBOURS = 50
SHORTLIST = 60
CANDIDATES = 192  # the shortlist, and what the index adds
FEATURES = 24
UNITS = 24

# first weights of the skip: vote share, top similarity, linear, centroid, constant
START = {5: 2.5, 1: 0.3, 13: 0.3, 14: 0.3, 20: -3.0}

# sizes
EVENTS, LABELS, STORED, FREE = 0, 1, 2, 3


class Terms(NamedTuple):
    """Document frequencies and posting rings of hashed features."""

    df: Any
    at: Any  # int32 start of the ring in the pool
    size: Any  # int32 its size, 0 for none
    written: Any  # uint32 postings ever written to the ring
    seq: Any  # (pool,) uint32 exemplar number, modulo 2^32
    weight: Any  # (pool,)
    free: Any  # (CLASSES,) int64 heads of the lists of free rings, -1 for none


class Exemplars(NamedTuple):
    """The bounded memory of labelled events."""

    label: Any  # (exemplars, EXEMPLAR_LABELS) int32
    n: Any  # (exemplars,) uint8
    vector: Any  # (DENSE_WINDOW, width) unit rows, for dense input


class Labels(NamedTuple):
    """What is counted of each label."""

    count: Any
    last: Any  # int64 event of its last positive
    shown: Any  # decayed count of shortlists that held it
    hit: Any  # those of them where it was true
    boost: Any  # step size factor, above 1 after a drift alarm
    forget: Any  # int64: votes of older exemplars do not count for it
    norm: Any  # squared norm of its centroid sum
    scale: Any  # weight of the next positive in the centroid sum
    retired: Any


class Rescorer(NamedTuple):
    """UNITS rectified units beside a linear skip, with AdaGrad accumulators; corrections."""

    w1: Any
    w1_g: Any
    out: Any
    out_g: Any
    skip: Any
    skip_g: Any
    leaf: Any  # (leaves,) bias of a partition
    leaf_g: Any
    counts: Any  # TP, FP, FN of the decisions


class Extreme(NamedTuple):
    """All of it; `table` is (slots, 4): weight, accumulator, centroid sum, unused."""

    sizes: Any
    terms: Terms
    exemplars: Exemplars
    labels: Labels
    rescorer: Rescorer
    table: Any


_TERMS: Specs = {
    "df": Spec(("terms",), np.uint32),
    "at": Spec(("terms",), np.int32),
    "size": Spec(("terms",), np.int32),
    "written": Spec(("terms",), np.uint32),
    "seq": Spec(("pool",), np.uint32),
    "weight": Spec(("pool",)),
    "free": Spec((CLASSES,), np.int64, -1),
}
_EXEMPLARS: Specs = {
    "label": Spec(("exemplars", EXEMPLAR_LABELS), np.int32),
    "n": Spec(("exemplars",), np.uint8),
    "vector": Spec(("window", "width")),
}
_LABELS: Specs = {
    "count": Spec(("labels",), np.uint32),
    "last": Spec(("labels",), np.int64, -(1 << 40)),
    "shown": Spec(("labels",)),
    "hit": Spec(("labels",)),
    "boost": Spec(("labels",), np.float32, 1),
    "forget": Spec(("labels",), np.int64, -1),
    "norm": Spec(("labels",)),
    "scale": Spec(("labels",), np.float32, 1),
    "retired": Spec(("labels",), np.uint8),
}
_RESCORER: Specs = {
    "w1": Spec((UNITS, FEATURES)),
    "w1_g": Spec((UNITS, FEATURES), np.float32, 1),
    "out": Spec((UNITS,)),
    "out_g": Spec((UNITS,), np.float32, 1),
    "skip": Spec((FEATURES,)),
    "skip_g": Spec((FEATURES,), np.float32, 1),
    "leaf": Spec(("leaves",)),
    "leaf_g": Spec(("leaves",), np.float32, 1),
    "counts": Spec((3,), np.float64),
}
_SPECS = (_TERMS, _EXEMPLARS, _LABELS, _RESCORER)
KINDS = (Terms, Exemplars, Labels, Rescorer)


def capacities(
    exemplars: int, hash_bits: int, linear_bits: int, width: int, labels: int, leaves: int
) -> dict[str, int]:
    """All capacities; `width` is that of dense rows, 0 for sparse ones."""
    return {
        "terms": 1 << hash_bits,
        "pool": 4 if width else min(max(exemplars * INSERT * 2, 4_096), 1 << 24),
        "exemplars": exemplars,
        "window": min(exemplars, DENSE_WINDOW) if width else 1,
        "width": max(width, 1),
        "labels": labels,
        "leaves": leaves,
        "table": 1 << linear_bits,
    }


def make(capacity: dict[str, int], seed: int) -> Extreme:
    """Fresh state."""
    parts: list[Any] = [
        allocate(kind, specs, capacity) for kind, specs in zip(KINDS, _SPECS, strict=True)
    ]
    terms, exemplars, labels, rescorer = parts
    table = np.zeros((capacity["table"], 4), np.float32)
    state = Extreme(np.zeros(8, np.int64), terms, exemplars, labels, rescorer, table)
    rng = np.random.default_rng(seed)
    state.rescorer.w1[:] = rng.normal(0, 0.3, state.rescorer.w1.shape)
    state.rescorer.out[:] = rng.normal(0, 0.02, UNITS)
    for feature, weight in START.items():
        state.rescorer.skip[feature] = weight
    return state


def enlarge(state: Extreme, capacity: dict[str, int]) -> Extreme:
    """`state` with room for more labels and partitions."""
    parts: list[Any] = [
        grow(part, specs, capacity) for part, specs in zip(state[1:5], _SPECS, strict=True)
    ]
    terms, exemplars, labels, rescorer = parts
    return Extreme(state.sizes, terms, exemplars, labels, rescorer, state.table)
