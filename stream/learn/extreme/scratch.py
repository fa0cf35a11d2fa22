"""Room for one event, and which parts are left out; whoever computes has their own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from stream.config import EXTREME_PARTS
from stream.learn.extreme import matching
from stream.learn.extreme.matching import Told
from stream.learn.extreme.state import (
    ALIKE,
    CANDIDATES,
    EXEMPLAR_LABELS,
    FEATURES,
    NEIGHBOURS,
    UNITS,
    Extreme,
)

ROW = 4_096  # terms of a row that count; the strongest of them are used
_VOTED = (NEIGHBOURS + ALIKE) * EXEMPLAR_LABELS

# places in `Scratch.off` of what can be left out, in the order of the settings
(
    OFF_TITLES, OFF_NAMES, OFF_PARTS, OFF_LINEAR, OFF_CENTROIDS, OFF_RECENCY, OFF_BIAS,
    OFF_INDEX, OFF_DESCRIPTIONS,
) = range(len(EXTREME_PARTS))  # fmt: skip

# places in `Scratch.n`
VOTED, NEAREST, FOUND, TERMS_N, ALIKE_N, OWN = range(6)


class Scratch(NamedTuple):
    """All of it."""

    n: Any  # voted labels, neighbours, candidates, terms, neighbours by title, and candidates
    # that were found without the index: they come first
    slot: Any
    weight: Any
    titled: Any
    dense: Any
    sums: Any  # (exemplars, 2): over all terms, over those of the title
    touched: Any
    best: Any
    who: Any
    alike: Any
    alike_who: Any
    index: Any  # (labels,) place among the voted, or -1
    seat: Any  # (labels,) place among the candidates, or -1
    voted: Any
    vote: Any  # (voted, 7): share, max, count, aged, per set size, by title, max by title
    told: Told
    candidate: Any
    x: Any  # (CANDIDATES, FEATURES)
    hidden: Any
    z: Any
    pairs: Any  # (CANDIDATES, 2) linear score, product with the centroid
    pair: Any
    p: Any
    residual: Any
    off: Any


def sized(state: Extreme) -> tuple[int, ...]:
    """What the sizes of room for `state` follow from."""
    exemplars, width = len(state.exemplars.n), state.exemplars.vector.shape[1]
    return exemplars, width, len(state.labels.count), len(state.names.key)


def scratch(state: Extreme, off: Collection[str] = ()) -> Scratch:
    """Room that fits `state`."""
    exemplars, width, labels, keys = sized(state)
    return Scratch(
        np.zeros(8, np.int64),
        np.zeros(ROW, np.int64),
        np.zeros(ROW, np.float32),
        np.zeros(ROW, np.bool_),
        np.zeros(width, np.float32),
        np.zeros((exemplars, 2), np.float32),
        np.zeros(exemplars, np.int32),
        np.zeros(NEIGHBOURS, np.float32),
        np.zeros(NEIGHBOURS, np.int32),
        np.zeros(ALIKE, np.float32),
        np.zeros(ALIKE, np.int32),
        np.full(labels, -1, np.int32),
        np.full(labels, -1, np.int32),
        np.zeros(_VOTED, np.int32),
        np.zeros((_VOTED, 7), np.float32),
        matching.room(labels, keys),
        np.zeros(CANDIDATES, np.int32),
        np.zeros((CANDIDATES, FEATURES), np.float32),
        np.zeros((CANDIDATES, UNITS), np.float32),
        np.zeros(CANDIDATES, np.float32),
        np.zeros((CANDIDATES, 2), np.float32),
        np.zeros(2, np.float32),
        np.zeros(CANDIDATES, np.float32),
        np.zeros(CANDIDATES, np.float32),
        np.array([part in off for part in EXTREME_PARTS]),
    )
