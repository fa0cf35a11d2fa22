"""What the re-scorer is told of each candidate."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.extreme import linear, matching
from stream.learn.extreme.matching import INSIDE, PART, TITLE, TITLE_PART, WORDS
from stream.learn.extreme.scratch import (
    FOUND,
    NEAREST,
    OFF_CENTROIDS,
    OFF_INDEX,
    OFF_LINEAR,
    OFF_NAMES,
    OFF_PARTS,
    OFF_RECENCY,
    TERMS_N,
    Scratch,
)
from stream.learn.extreme.shortlist import ASKED, RECENCY
from stream.learn.extreme.state import EVENTS, LABELS, PARTIAL, Extreme

_CLIP = 6.0


@kernel
def _odds(share: float) -> float:
    return np.log((share + 0.01) / (1.01 - share))


@kernel
def describe(s: Extreme, t: Scratch, mass: Any, near: Any, similar: Any) -> None:
    """The features of every candidate.

    A loop over the candidates for each kind, since to call a kernel with all of `s` and `t` costs
    more than most candidates do.
    """
    m = t.n[FOUND]
    neighbours = t.n[NEAREST]
    top = t.best[0] if neighbours > 0 else np.float32(0)
    mean = np.float32(0)
    for k in range(neighbours):
        mean += t.best[k]
    mean /= max(neighbours, 1)
    for i in range(m):
        x = t.x[i]
        x[:] = 0
        x[18] = top
        x[19] = mean
        x[20] = 1.0
    _votes(t.candidate, m, t.index, t.vote, mass, t.x)
    _labels(s, t, m)
    for i in range(m):
        x = t.x[i]
        x[15] = x[14] * x[1]
        x[21] = x[5] * x[8]
    _names(s, t, m)
    for k in range(0 if t.off[OFF_INDEX] else len(near)):
        if similar[k] == ASKED:
            continue
        if 0 <= near[k] < s.sizes[LABELS] and t.seat[near[k]] >= 0:
            t.x[t.seat[near[k]], 16] = 1.0
            t.x[t.seat[near[k]], 17] = similar[k]


@kernel
def _votes(candidate: Any, m: int, index: Any, vote: Any, mass: Any, rows: Any) -> None:
    scale = 1.0 / mass[0] if mass[0] > 0 else 0.0
    for i in range(m):
        x = rows[i]
        at = index[candidate[i]]
        if at < 0:
            x[0] = _odds(0.0)
            continue
        share = vote[at, 0] * scale
        x[0] = _odds(share)
        x[1] = vote[at, 1]
        x[2] = np.log1p(vote[at, 2])
        x[3] = vote[at, 3] * scale
        x[4] = vote[at, 4] * scale
        x[5] = share
        x[6] = 1.0 if share > 0 else 0.0
        x[24] = vote[at, 5] / mass[1] if mass[1] > 0 else 0.0
        x[25] = vote[at, 6]


@kernel
def _labels(s: Extreme, t: Scratch, m: int) -> None:
    n = s.sizes[EVENTS]
    linear.scores(s.table, t.candidate, m, t.slot, t.weight, t.n[TERMS_N], t.pairs)
    for i in range(m):
        x = t.x[i]
        label = t.candidate[i]
        count = np.float64(s.labels.count[label])
        looked = n - s.sizes[PARTIAL] + np.int64(s.labels.looked[label])
        x[7] = np.log((count + 1.0) / (looked + 2.0)) * 0.2
        x[8] = 1.0 / (1.0 + count)
        if not t.off[OFF_RECENCY]:
            age = n - s.labels.last[label]
            x[9] = np.exp(-age / RECENCY)
            x[10] = np.exp(-age / 50.0)
            x[11] = 1.0 if age <= 1 else 0.0
        shown = (s.labels.hit[label] + 0.5) / (s.labels.shown[label] + 2.0)
        x[12] = np.log(shown / (1.0 - shown))
        if not t.off[OFF_LINEAR]:
            x[13] = min(_CLIP, max(-_CLIP, t.pairs[i, 0]))
        norm = s.labels.norm[label]
        if norm > 1e-12 and not t.off[OFF_CENTROIDS]:
            # where slots are shared it knows no bound
            x[14] = min(_CLIP, max(-_CLIP, t.pairs[i, 1] / np.sqrt(norm)))


@kernel
def _names(s: Extreme, t: Scratch, m: int) -> None:
    for i in range(m):
        x = t.x[i]
        label = t.candidate[i]
        x[26] = -2.0
        at = t.told.at[label]
        if label < len(s.names.of) and s.names.of[label, 0] >= 0:
            x[22] = 1.0
        if at < 0:
            continue
        said = t.told.said[at]
        how = matching.kind(said)
        if how >= 0 and not t.off[OFF_NAMES]:
            share = matching.precision(s.names, label, how)
            x[26] = np.log((share + 0.01) / (1.01 - share))
            x[27] = 1.0
            x[28] = how
            x[29] = 0.25 * said[WORDS]
            x[30] = np.log1p(said[TITLE] + said[matching.BODY])
            x[31] = np.log1p(said[INSIDE])
        if said[PART] > 0 and not t.off[OFF_PARTS]:
            whole = matching.whole(s.names, label)
            x[32] = said[PART] / max(whole, 1e-3)
            x[33] = said[TITLE_PART] / max(whole, 1e-3)
            x[23] = 0.1 * said[PART]
