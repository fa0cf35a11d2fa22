"""The arrays of the small learner, and how they grow.

One label slot beyond the last is always trained as a label that never occurs; a new label
takes it over, so that it starts with what its absence so far has taught.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.arrays import Spec, Specs, allocate, grow
from stream.learn.tree import state as trees
from stream.learn.tree.state import Tree

WINDOW = 4_096  # labelled events that neighbours are found in
POSTINGS = 256  # newest events kept for a sparse column
PROJECTED = 256  # width of the random projections
LAG = 8  # steps of least squares that are kept before they are settled
CONTEXT = 64  # labels whose history enters the third least-squares expert
LANES = 16  # experts, and a lane that stays 0: arrays of sixteen fill vector registers
LOGISTICS = 4
DISTINCT = 12  # exact values that a dense column is one-hot in
BINS = 20  # DISTINCT and 8 bins
MARKOV = 512
CARRIED = 64  # labels of the largest set that the re-ranker knows
KNOWN_SETS = 16_384  # label sets that are counted
FOLLOWED = 32_768  # successions of two label sets that are counted
FREQUENT = 12  # most frequent sets that are candidates
SET_FEATURES = 10

# sizes
EVENTS, LABELS, COLUMNS, LAST_SET, STORED = 0, 1, 2, 3, 4


class Columns(NamedTuple):
    """Features by column: the vocabulary, and online statistics for weighting and scaling."""

    keys: Any  # (table,) uint64 open addressing; 0 is free
    where: Any  # (table,) int32 column
    df: Any  # (columns,) events that had the feature
    mean: Any  # (columns, 2) of the value and of sign·log1p
    m2: Any  # (columns, 2)
    values: Any  # (columns, DISTINCT) distinct values seen
    distinct: Any  # (columns,) how many, DISTINCT + 1 for more


class Linear(NamedTuple):
    """AdaGrad logistics, see `stream.learn.small.linear`; labels contiguous."""

    w: Any  # (columns, 2·LOGISTICS, labels) weights and accumulators in turn
    binned: Any  # (binned, 2, labels) the same of the expert on bins, in dense rows
    wh: Any  # (2, labels, labels) from the last label set and its decayed mean
    gh: Any


class Squares(NamedTuple):
    """Recursive least squares on random projections."""

    omega: Any  # (columns, 2, PROJECTED)
    phase: Any  # (2, PROJECTED)
    p0: Any  # inverse covariances, of which only the lower triangles count
    p1: Any
    p2: Any
    p3: Any  # sparse rows only
    r0: Any  # (labels, width) weights
    r1: Any
    r2: Any
    r3: Any
    gain: Any  # (4, LAG, widest) the last gains, not yet in p
    scale: Any  # (4, LAG)
    step: Any  # (4, LAG, labels) what each label moved along its gain, not yet in r
    kept: Any  # (4,) int64, how many


class Memory(NamedTuple):
    """The window of labelled events, and what is counted of labels over time."""

    y: Any  # (WINDOW, labels) uint8: 1 given, 2 not looked for
    partial: Any  # (WINDOW,) uint8, whether some label was not looked for
    codes: Any  # (dense columns, WINDOW) int8 z-scores
    norm: Any  # (WINDOW,)
    bins: Any  # (dense columns, WINDOW) uint8
    seq: Any  # (sparse columns, POSTINGS) int64
    weight: Any  # (sparse columns, POSTINGS)
    posted: Any  # (sparse columns,) int64
    count: Any  # (labels,) float64
    missed: Any  # (labels,) float64 events in which it was not looked for
    last: Any  # (labels,) the last label set; what was not looked for stays
    ema: Any  # (2, labels) decayed means, 0.8 and 0.95
    forget: Any  # (labels,) int64: older exemplars do not vote
    mkeys: Any
    mcount: Any
    mtotal: Any


class Mixture(NamedTuple):
    """The online Newton mixture with its corrections, and the decisions' counts."""

    h: Any
    shared: Any
    leaf: Any  # (leaves, LANES)
    leaf_g: Any
    label: Any  # (labels, LANES)
    label_g: Any
    bias: Any
    bias_g: Any
    boost: Any  # (labels,) step size factor, above 1 after a drift alarm
    counts: Any  # TP, FP, FN of the decisions for micro-F1
    decided: Any  # (labels, 3) the same of each label, for macro-F1


class Sets(NamedTuple):
    """What is known of whole label sets, and the re-ranker over them."""

    event: Any  # (WINDOW, CARRIED) int16, the labels of the window's events
    n: Any  # (WINDOW,) int16, how many; -1 for too many
    key: Any  # (WINDOW,) uint64
    keys: Any  # (KNOWN_SETS,) uint64
    count: Any  # (KNOWN_SETS,) events that had the set
    pairs: Any  # (FOLLOWED,) uint64 key of a set and the one before it
    follows: Any  # (FOLLOWED,)
    top: Any  # (FREQUENT, CARRIED) int16, the most frequent sets
    top_n: Any  # (FREQUENT,) int16, -1 for none
    top_key: Any
    top_count: Any
    size: Any  # (CARRIED + 1,) events by the size of their set
    h: Any
    weight: Any
    final_h: Any  # (2, 2): of the mixture of label and set probabilities
    final: Any
    bias: Any
    bias_g: Any


class Small(NamedTuple):
    """All of it; `sizes` holds the counters named above."""

    sizes: Any
    columns: Columns
    linear: Linear
    squares: Squares
    memory: Memory
    mixture: Mixture
    sets: Sets
    tree: Tree


_COLUMNS: Specs = {
    "keys": Spec(("table",), np.uint64),
    "where": Spec(("table",), np.int32),
    "df": Spec(("columns",), np.uint32),
    "mean": Spec(("columns", 2), np.float64),
    "m2": Spec(("columns", 2), np.float64),
    "values": Spec(("columns", DISTINCT)),
    "distinct": Spec(("columns",), np.int32),
}
_LINEAR: Specs = {
    "w": Spec(("columns", 2 * LOGISTICS, "labels")),
    "binned": Spec(("binned", 2, "labels")),
    "wh": Spec((2, "labels", "labels")),
    "gh": Spec((2, "labels", "labels")),
}
_BASE = PROJECTED + 1
_WIDE = PROJECTED + 1 + 2 * CONTEXT
_SQUARES: Specs = {
    "omega": Spec(("columns", 2, PROJECTED)),
    "phase": Spec((2, PROJECTED)),
    "p0": Spec((_BASE, _BASE)),
    "p1": Spec((_BASE, _BASE)),
    "p2": Spec((_WIDE, _WIDE)),
    "p3": Spec((_BASE, _BASE)),
    "r0": Spec(("labels", _BASE)),
    "r1": Spec(("labels", _BASE)),
    "r2": Spec(("labels", _WIDE)),
    "r3": Spec(("labels", _BASE)),
    "gain": Spec((4, LAG, _WIDE)),
    "scale": Spec((4, LAG)),
    "step": Spec((4, LAG, "labels")),
    "kept": Spec((4,), np.int64),
}
_MEMORY: Specs = {
    "y": Spec((WINDOW, "labels"), np.uint8),
    "partial": Spec((WINDOW,), np.uint8),
    "codes": Spec(("dense", WINDOW), np.int8),
    "norm": Spec((WINDOW,)),
    "bins": Spec(("dense", WINDOW), np.uint8),
    "seq": Spec(("sparse", POSTINGS), np.int64),
    "weight": Spec(("sparse", POSTINGS)),
    "posted": Spec(("sparse",), np.int64),
    "count": Spec(("labels",), np.float64),
    "missed": Spec(("labels",), np.float64),
    "last": Spec(("labels",)),
    "ema": Spec((2, "labels")),
    "forget": Spec(("labels",), np.int64, -1),
    "mkeys": Spec((MARKOV,), np.uint64),
    "mcount": Spec((MARKOV, "labels")),
    "mtotal": Spec((MARKOV,)),
}
_MIXTURE: Specs = {
    "h": Spec((LANES, LANES), np.float64),
    "shared": Spec((LANES,), np.float64),
    "leaf": Spec(("leaves", LANES)),
    "leaf_g": Spec(("leaves", LANES), np.float32, 0.1),
    "label": Spec(("labels", LANES)),
    "label_g": Spec(("labels", LANES), np.float32, 0.1),
    "bias": Spec(("labels",)),
    "bias_g": Spec(("labels",), np.float32, 0.01),
    "boost": Spec(("labels",), np.float32, 1),
    "counts": Spec((3,), np.float64),
    "decided": Spec(("labels", 3)),
}
_SETS: Specs = {
    "event": Spec((WINDOW, CARRIED), np.int16),
    "n": Spec((WINDOW,), np.int16),
    "key": Spec((WINDOW,), np.uint64),
    "keys": Spec((KNOWN_SETS,), np.uint64),
    "count": Spec((KNOWN_SETS,)),
    "pairs": Spec((FOLLOWED,), np.uint64),
    "follows": Spec((FOLLOWED,)),
    "top": Spec((FREQUENT, CARRIED), np.int16),
    "top_n": Spec((FREQUENT,), np.int16, -1),
    "top_key": Spec((FREQUENT,), np.uint64),
    "top_count": Spec((FREQUENT,)),
    "size": Spec((CARRIED + 1,)),
    "h": Spec((SET_FEATURES, SET_FEATURES), np.float64),
    "weight": Spec((SET_FEATURES,), np.float64),
    "final_h": Spec((2, 2), np.float64),
    "final": Spec((2,), np.float64),
    "bias": Spec(("labels",)),
    "bias_g": Spec(("labels",), np.float32, 0.01),
}
SPECS = (_COLUMNS, _LINEAR, _SQUARES, _MEMORY, _MIXTURE, _SETS, trees.SPECS)
KINDS = (Columns, Linear, Squares, Memory, Mixture, Sets, Tree)

RIDGES = (0.1, 1.0, 0.3, 1.0)
START = np.array([0.125] * 7 + [0.0, 0.05, 0.0] + [0.125] * 4 + [0.05, 0.0])
STIFFNESS = 60.0
_DRAWN = 64  # columns whose projections are drawn together; capacities are its multiples
SET_START = np.array([0.7, 0.15, 0.1, 0.1, 0.0, 0.1, 0.1, 0.0, 0.0, 0.3])
SET_STIFFNESS = 5.0
FINAL_START = (0.4, 0.6)  # of the labels own probabilities and of the sets marginals


def capacities(labels: int, columns: int, leaves: int, dense: bool) -> dict[str, int]:
    """All capacities from the three that vary."""
    return {
        "labels": labels,
        "columns": columns,
        "table": 4 * columns,
        "binned": columns * BINS if dense else 1,
        "dense": columns if dense else 1,
        "sparse": 1 if dense else columns,
        "leaves": leaves,
        **trees.capacities(columns, dense),
    }


def make(capacity: dict[str, int], seed: int) -> Small:
    """Fresh state."""
    parts: list[Any] = [
        allocate(kind, specs, capacity) for kind, specs in zip(KINDS, SPECS, strict=True)
    ]
    small = Small(np.zeros(8, np.int64), *parts)
    for p, ridge in zip(small.squares[2:6], RIDGES, strict=True):
        p[np.diag_indices(len(p))] = 1.0 / ridge
    _draw(small.squares, seed, 0)
    small.mixture.h[np.diag_indices(LANES)] = STIFFNESS
    small.mixture.shared[:] = START
    small.sets.h[np.diag_indices(SET_FEATURES)] = SET_STIFFNESS
    small.sets.weight[:] = SET_START
    small.sets.final_h[np.diag_indices(2)] = STIFFNESS
    small.sets.final[:] = FINAL_START
    return small


def enlarge(small: Small, capacity: dict[str, int], seed: int) -> Small:
    """`small` at larger capacities."""
    parts: list[Any] = [
        grow(part, specs, capacity) for part, specs in zip(small[1:], SPECS, strict=True)
    ]
    grown = Small(small.sizes, *parts)
    if capacity["table"] != len(small.columns.keys):
        _rehash(small.columns, grown.columns)
    _draw(grown.squares, seed, len(small.squares.omega))
    return grown


def _draw(squares: Squares, seed: int, have: int) -> None:
    """Draw the projections of the columns from `have` on, each block from a seed of its own."""
    for low in range(have, len(squares.omega), _DRAWN):
        rng = np.random.default_rng([seed, low // _DRAWN])
        rng.standard_normal(out=squares.omega[low : low + _DRAWN], dtype=np.float32)
    if not have:
        squares.phase[:] = 2 * np.pi * np.random.default_rng(seed).random((2, PROJECTED))


def _rehash(old: Columns, new: Columns) -> None:
    new.keys[:] = 0
    new.where[:] = 0
    mask = len(new.keys) - 1
    used = np.flatnonzero(old.keys)
    for key, column in zip(old.keys[used].tolist(), old.where[used].tolist(), strict=True):
        at = key & mask
        while new.keys[at] != 0:
            at = (at + 1) & mask
        new.keys[at] = key
        new.where[at] = column
