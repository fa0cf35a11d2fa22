"""The arrays of the extreme learner. Only those with an axis `labels` ever grow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.arrays import Spec, Specs, allocate, grow
from stream.learn.extreme.names import NAMES, Names, rehash

EXEMPLAR_LABELS = 16  # labels kept of an exemplar
DENSE_WINDOW = 8_192  # exemplars kept of dense rows
INSERT, QUERY = 64, 48  # strongest terms posted, and asked for
COVER = 0.98  # share of a row's squared length that the terms asked for need not go beyond
TERMS = 32  # strongest terms of the linear expert and the centroids
RING = 2_048  # newest exemplars posted under a term
CLASSES = 10  # ring sizes 4, 8, … RING
TITLES = 16  # strongest title terms asked for, whatever their rank
NEIGHBOURS = 50
ALIKE = 20  # nearest by title
SHORTLIST = 60  # voted labels
NAME_LABELS = 10  # labels whose name occurs
PART_LABELS = 8  # labels of whose name parts occur
CANDIDATES = 192  # the shortlist, and what the index adds
FEATURES = 34
UNITS = 24

# first weights of the skip: vote share, top similarity, linear, centroid, constant
START = {5: 2.5, 1: 0.3, 13: 0.3, 14: 0.3, 20: -3.0}

# sizes
EVENTS, LABELS, STORED, FREE = 0, 1, 2, 3
PARTIAL = 7  # events that said which labels were looked for


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
    title: Any  # (exemplars,) length of its title's part
    vector: Any  # (DENSE_WINDOW, width) unit rows, for dense input


class Labels(NamedTuple):
    """What is counted of each label."""

    count: Any
    looked: Any  # uint32 of the partial events, those in which it was looked for
    last: Any  # int64 event of its last positive
    shown: Any  # decayed count of shortlists that held it
    hit: Any  # those of them where it was true
    boost: Any  # step size factor, above 1 after a drift alarm
    forget: Any  # int64: votes of older exemplars do not count for it
    norm: Any  # squared norm of its centroid sum
    retired: Any
    decided: Any  # (labels, 3) TP, FP, FN of its decisions, for macro-F1


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
    counts: Any  # TP, FP, FN of the decisions for micro-F1
    brought: Any  # true labels where the index was asked, and those that it alone brought


class Extreme(NamedTuple):
    """All of it; `table` is (slots, 4): weight, accumulator, centroid sum, unused."""

    sizes: Any
    terms: Terms
    exemplars: Exemplars
    labels: Labels
    rescorer: Rescorer
    names: Names
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
    "title": Spec(("exemplars",)),
    "vector": Spec(("window", "width")),
}
_LABELS: Specs = {
    "count": Spec(("labels",), np.uint32),
    "looked": Spec(("labels",), np.uint32),
    "last": Spec(("labels",), np.int64, -(1 << 40)),
    "shown": Spec(("labels",)),
    "hit": Spec(("labels",)),
    "boost": Spec(("labels",), np.float32, 1),
    "forget": Spec(("labels",), np.int64, -1),
    "norm": Spec(("labels",)),
    "retired": Spec(("labels",), np.uint8),
    "decided": Spec(("labels", 3)),
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
    "brought": Spec((2,), np.float64),
}
_SPECS = (_TERMS, _EXEMPLARS, _LABELS, _RESCORER, NAMES)
KINDS = (Terms, Exemplars, Labels, Rescorer, Names)


def capacities(
    exemplars: int, hash_bits: int, linear_bits: int, width: int, labels: int, leaves: int
) -> dict[str, int]:
    """All capacities; `width` is that of dense rows, 0 for sparse ones."""
    return {
        "terms": 1 << hash_bits,
        "pool": 4 if width else max(exemplars * INSERT * 2, 4_096),
        "exemplars": exemplars,
        "window": min(exemplars, DENSE_WINDOW) if width else 1,
        "width": max(width, 1),
        "labels": labels,
        "leaves": leaves,
        **naming(16),
        "table": 1 << linear_bits,
    }


def naming(labels: int) -> dict[str, int]:
    """Capacities of the table of names of so many labels."""
    return {"named": labels, "keys": 4 * labels}


def make(capacity: dict[str, int], seed: int) -> Extreme:
    """Fresh state."""
    parts: list[Any] = [
        allocate(kind, specs, capacity) for kind, specs in zip(KINDS, _SPECS, strict=True)
    ]
    table = np.zeros((capacity["table"], 4), np.float32)
    terms, exemplars, labels, rescorer, names = parts
    sizes = np.zeros(8, np.int64)
    state = Extreme(sizes, terms, exemplars, labels, rescorer, names, table)
    rng = np.random.default_rng(seed)
    state.rescorer.w1[:] = rng.normal(0, 0.3, state.rescorer.w1.shape)
    state.rescorer.out[:] = rng.normal(0, 0.02, UNITS)
    for feature, weight in START.items():
        state.rescorer.skip[feature] = weight
    return state


def enlarge(state: Extreme, capacity: dict[str, int]) -> Extreme:
    """`state` with room for more labels, partitions and names."""
    parts: list[Any] = [
        grow(part, specs, capacity) for part, specs in zip(state[1:-1], _SPECS, strict=True)
    ]
    terms, exemplars, labels, rescorer, names = parts
    if len(names.bucket) != len(state.names.bucket):
        rehash(names)
    return Extreme(state.sizes, terms, exemplars, labels, rescorer, names, state.table)
