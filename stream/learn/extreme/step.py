"""One event through the extreme learner: shortlist, candidate features, re-scoring, learning."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.extreme import linear, postings, rescorer
from stream.learn.extreme.state import (
    CANDIDATES,
    EVENTS,
    EXEMPLAR_LABELS,
    FEATURES,
    LABELS,
    NEIGHBOURS,
    SHORTLIST,
    STORED,
    UNITS,
    Extreme,
)
from stream.learn.jit import kernel
from stream.learn.small.mixture import sigmoid, threshold

ROW = 4_096  # terms of a row that count; the strongest of them are used
_VOTED = NEIGHBOURS * EXEMPLAR_LABELS
_CLIP = 6.0
_RECENCY = 2_000.0
_SHOWN_DECAY = 0.99


class Scratch(NamedTuple):
    """Room for one event; whoever computes has their own."""

    n: Any  # voted labels, neighbours, candidates, terms of the row
    slot: Any
    weight: Any
    dense: Any
    sums: Any
    touched: Any
    best: Any
    who: Any
    index: Any  # (labels,) place among the voted, or -1
    voted: Any
    vote: Any  # (voted, 5): share, max, count, aged, per set size
    candidate: Any
    x: Any  # (CANDIDATES, FEATURES)
    hidden: Any
    z: Any
    pair: Any
    p: Any
    residual: Any


def scratch(state: Extreme) -> Scratch:
    """Room that fits `state`."""
    exemplars, width = len(state.exemplars.n), state.exemplars.vector.shape[1]
    return Scratch(
        np.zeros(4, np.int64),
        np.zeros(ROW, np.int64),
        np.zeros(ROW, np.float32),
        np.zeros(width, np.float32),
        np.zeros(exemplars, np.float32),
        np.zeros(exemplars, np.int32),
        np.zeros(NEIGHBOURS, np.float32),
        np.zeros(NEIGHBOURS, np.int32),
        np.full(len(state.labels.count), -1, np.int32),
        np.zeros(_VOTED, np.int32),
        np.zeros((_VOTED, 5), np.float32),
        np.zeros(CANDIDATES, np.int32),
        np.zeros((CANDIDATES, FEATURES), np.float32),
        np.zeros((CANDIDATES, UNITS), np.float32),
        np.zeros(CANDIDATES, np.float32),
        np.zeros(2, np.float32),
        np.zeros(CANDIDATES, np.float32),
        np.zeros(CANDIDATES, np.float32),
    )


@kernel
def forward(s: Extreme, t: Scratch, leaf_of: Any, near: Any, similar: Any) -> None:
    """Candidates and their probabilities, into t, for the row weighed into t.

    `near` (k,) int32 are label slots that the prototype index found, -1 for none, with their
    similarities.
    """
    mass = _vote(s, t)
    m = _shortlist(s, t, near)
    _describe(s, t, m, mass, leaf_of, near, similar)
    rescorer.logits(s.rescorer, t.x, m, t.hidden, t.z)
    for i in range(m):
        leaf = leaf_of[t.candidate[i]]
        if leaf >= 0:
            t.z[i] += s.rescorer.leaf[leaf]
        t.p[i] = sigmoid(t.z[i])
    for k in range(t.n[1]):
        for label in s.exemplars.label[t.who[k], : s.exemplars.n[t.who[k]]]:
            t.index[label] = -1
    for i in range(m):
        t.index[t.candidate[i]] = -1
    t.n[2] = m


@kernel
def _vote(s: Extreme, t: Scratch) -> float:
    """Votes of the nearest exemplars, weight sim³; returns their mass."""
    now = s.sizes[STORED]
    room = len(s.exemplars.n)
    if s.exemplars.vector.shape[1] > 1:
        room = len(s.exemplars.vector)
    mass, voted = 0.0, 0
    for k in range(t.n[1]):
        place = t.who[k]
        similarity = t.best[k]
        w = similarity * similarity * similarity
        mass += w
        age = (now - 1 - place) % room
        seq = now - 1 - age
        aged = w * np.exp(-age / _RECENCY)
        n = s.exemplars.n[place]
        for label in s.exemplars.label[place, :n]:
            if seq < s.labels.forget[label] or s.labels.retired[label]:
                continue
            at = t.index[label]
            if at < 0:
                at = voted
                voted += 1
                t.index[label] = at
                t.voted[at] = label
                t.vote[at, :] = 0
            t.vote[at, 0] += w
            t.vote[at, 1] = max(t.vote[at, 1], similarity)
            t.vote[at, 2] += 1
            t.vote[at, 3] += aged
            t.vote[at, 4] += w / n
    t.n[0] = voted
    return mass


@kernel
def _shortlist(s: Extreme, t: Scratch, near: Any) -> int:
    """The best voted labels, then what the index found; t.index becomes the vote's place."""
    voted = t.n[0]
    key = np.empty(voted, np.float32)
    for at in range(voted):
        key[at] = -(t.vote[at, 0] + 0.02 * t.vote[at, 1])
    order = np.argsort(key, kind="mergesort")
    m = min(voted, SHORTLIST)
    for i in range(m):
        t.candidate[i] = t.voted[order[i]]
    if voted > SHORTLIST:  # a label found again by the index is taken in below
        for i in range(SHORTLIST, voted):
            t.index[t.voted[order[i]]] = -2 - order[i]
    known = s.sizes[LABELS]
    for label in near:
        if label < 0 or label >= known or m >= len(t.candidate) or s.labels.retired[label]:
            continue
        if t.index[label] < 0:
            place = voted if t.index[label] == -1 else -2 - t.index[label]
            t.index[label] = place if place < voted else _VOTED
            t.candidate[m] = label
            m += 1
    return m


@kernel
def _odds(share: float) -> float:
    return np.log((share + 0.01) / (1.01 - share))


@kernel
def _describe(
    s: Extreme, t: Scratch, m: int, mass: float, leaf_of: Any, near: Any, similar: Any
) -> None:
    """The features of every candidate."""
    n = s.sizes[EVENTS]
    neighbours = t.n[1]
    top = t.best[0] if neighbours > 0 else np.float32(0)
    mean = np.float32(0)
    for k in range(neighbours):
        mean += t.best[k]
    mean /= max(neighbours, 1)
    scale = 1.0 / mass if mass > 0 else 0.0
    terms = t.n[3]
    for i in range(m):
        label = t.candidate[i]
        x = t.x[i]
        x[:] = 0
        at = t.index[label]
        if at < t.n[0]:
            share = t.vote[at, 0] * scale
            x[0] = _odds(share)
            x[1] = t.vote[at, 1]
            x[2] = np.log1p(t.vote[at, 2])
            x[3] = t.vote[at, 3] * scale
            x[4] = t.vote[at, 4] * scale
            x[5] = share
            x[6] = 1.0
        else:
            x[0] = _odds(0.0)
        count = np.float64(s.labels.count[label])
        x[7] = np.log((count + 1.0) / (n + 2.0)) * 0.2
        x[8] = 1.0 / (1.0 + count)
        age = n - s.labels.last[label]
        x[9] = np.exp(-age / _RECENCY)
        x[10] = np.exp(-age / 50.0)
        x[11] = 1.0 if age <= 1 else 0.0
        shown = (s.labels.hit[label] + 0.5) / (s.labels.shown[label] + 2.0)
        x[12] = np.log(shown / (1.0 - shown))
        linear.score(s.table, label, t.slot, t.weight, terms, t.pair)
        x[13] = min(_CLIP, max(-_CLIP, t.pair[0]))
        norm = s.labels.norm[label]
        centroid = t.pair[1] / np.sqrt(norm) if norm > 1e-12 else 0.0
        x[14] = min(_CLIP, max(-_CLIP, centroid))  # where slots are shared it knows no bound
        x[15] = x[14] * x[1]
        x[18] = top
        x[19] = mean
        x[20] = 1.0
        x[21] = x[5] * x[8]
    for k in range(len(near)):
        for i in range(m):
            if t.candidate[i] == near[k]:
                t.x[i, 16] = 1.0
                t.x[i, 17] = similar[k]
    _companions(t, m, leaf_of)


@kernel
def _companions(t: Scratch, m: int, leaf_of: Any) -> None:
    """How much of the votes goes to other candidates of the same partition."""
    for i in range(m):
        leaf = leaf_of[t.candidate[i]]
        if leaf < 0:
            continue
        total = np.float32(0)
        for j in range(m):
            if j != i and leaf_of[t.candidate[j]] == leaf:
                total += t.x[j, 5]
        t.x[i, 22] = total
        t.x[i, 23] = 1.0


@kernel
def learn(s: Extreme, t: Scratch, leaf_of: Any, truth: Any) -> None:
    """Learn one event that `forward` has just seen; `truth` is (c,) int32 label slots."""
    terms = t.n[3]
    m = t.n[2]
    missed = len(truth)
    theta = threshold(s.rescorer.counts)
    for i in range(m):
        label = t.candidate[i]
        y = 0.0
        for other in truth:
            if other == label:
                y = 1.0
                missed -= 1
        t.residual[i] = t.p[i] - y
        chosen = t.p[i] > theta
        if chosen:
            s.rescorer.counts[0 if y > 0 else 1] += 1
        elif y > 0:
            s.rescorer.counts[2] += 1
        s.labels.shown[label] = s.labels.shown[label] * _SHOWN_DECAY + 1.0
        s.labels.hit[label] = s.labels.hit[label] * _SHOWN_DECAY + y
    s.rescorer.counts[2] += missed
    rescorer.descend(s.rescorer, t.x, m, t.hidden, t.residual)
    for i in range(m):
        label = t.candidate[i]
        residual = t.residual[i]
        leaf = leaf_of[label]
        if leaf >= 0:
            s.rescorer.leaf_g[leaf] += residual * residual
            s.rescorer.leaf[leaf] -= 0.05 * residual / np.sqrt(s.rescorer.leaf_g[leaf])
        linear.descend(s.table, label, t.slot, t.weight, terms, residual, s.labels.boost[label])
    _learn_missed(s, t, truth, m, terms)
    _learn_labels(s, t, truth, terms)
    s.sizes[EVENTS] += 1


@kernel
def _learn_missed(s: Extreme, t: Scratch, truth: Any, m: int, terms: int) -> None:
    """The linear expert alone learns the positives that the shortlist missed."""
    for label in truth:
        inside = False
        for i in range(m):
            if t.candidate[i] == label:
                inside = True
        if not inside:
            linear.score(s.table, label, t.slot, t.weight, terms, t.pair)
            residual = sigmoid(t.pair[0] - 2.0) - 1.0
            linear.descend(s.table, label, t.slot, t.weight, terms, residual, s.labels.boost[label])


@kernel
def _learn_labels(s: Extreme, t: Scratch, truth: Any, terms: int) -> None:
    n = s.sizes[EVENTS]
    for label in truth:
        scale = s.labels.scale[label]
        change = linear.move(s.table, label, t.slot, t.weight, terms, scale)
        s.labels.norm[label] = max(s.labels.norm[label] + change, 0.0)
        s.labels.count[label] += 1
        s.labels.last[label] = n + 1
        s.labels.boost[label] = 1.0 + (s.labels.boost[label] - 1.0) * 0.98


@kernel
def remember(s: Extreme, t: Scratch, truth: Any) -> None:
    """Keep the event as an exemplar."""
    terms = t.n[3]
    width = s.exemplars.vector.shape[1]
    if width > 1:
        place = s.sizes[STORED] % len(s.exemplars.vector)
        s.exemplars.vector[place] = t.dense
    else:
        place = s.sizes[STORED] % len(s.exemplars.n)
        postings.insert(s.sizes, s.terms, t.slot, t.weight, terms)
    n = min(len(truth), EXEMPLAR_LABELS)
    s.exemplars.n[place] = n
    for k in range(n):
        s.exemplars.label[place, k] = truth[k]
    s.sizes[STORED] += 1
