"""One event through the extreme learner: shortlist, candidate features, re-scoring, learning."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn import decide
from stream.learn.extreme import inputs, linear, matching, postings, rescorer, shortlist
from stream.learn.extreme.scratch import (
    FOUND,
    OFF_BIAS,
    OFF_CENTROIDS,
    OFF_LINEAR,
    OFF_NAMES,
    OFF_PARTS,
    OWN,
    TERMS_N,
    VOTED,
    Scratch,
)
from stream.learn.extreme.state import EVENTS, EXEMPLAR_LABELS, PARTIAL, STORED, Extreme
from stream.learn.looked import holds
from stream.learn.odds import sigmoid

_SHOWN_DECAY = 0.99
_WORTH_DECAY = 1.0 - 1.0 / 4_096  # of what the index brought, by events for which it was asked


@kernel
def forward(s: Extreme, t: Scratch, leaf_of: Any, words: Any, near: Any, similar: Any) -> None:
    """Candidates and their probabilities, into t, for the row weighed into t.

    `words` are the row's words in order. `near` (k,) int32 are label slots that the prototype
    index found, -1 for none, with their similarities.
    """
    mass = np.empty(2, np.float64)
    matching.clear(t.told)
    if not (t.off[OFF_NAMES] and t.off[OFF_PARTS]):
        matching.scan(s.names, words, t.told)
    shortlist.vote(s, t, mass)
    shortlist.gather(s, t, near, similar, mass)
    inputs.describe(s, t, mass, near, similar)
    m = t.n[FOUND]
    rescorer.logits(s.rescorer, t.x, m, t.hidden, t.z)
    for i in range(m):
        leaf = leaf_of[t.candidate[i]]
        if leaf >= 0 and not t.off[OFF_BIAS]:
            t.z[i] += s.rescorer.leaf[leaf]
        t.p[i] = sigmoid(t.z[i])
    for k in range(t.n[VOTED]):
        t.index[t.voted[k]] = -1
    for i in range(m):
        t.seat[t.candidate[i]] = -1


@kernel
def learn(
    s: Extreme, t: Scratch, leaf_of: Any, truth: Any, looked: Any, partial: bool, asked: bool
) -> None:
    """Learn one event that `forward` has just seen; `truth` is (c,) int32 label slots.

    Where it is `partial`, candidates in neither `looked` nor `truth` teach nothing. `asked` says
    whether the index had a say.
    """
    if asked:
        _weigh_index(s.rescorer.brought, t.candidate[t.n[OWN] : t.n[FOUND]], truth)
    terms = t.n[TERMS_N]
    m = t.n[FOUND]
    missed = len(truth)
    theta = decide.threshold(s.rescorer.counts)
    for i in range(m):
        label = t.candidate[i]
        y = 0.0
        for other in truth:
            if other == label:
                y = 1.0
                missed -= 1
        if partial and y == 0 and not holds(looked, label):
            t.residual[i] = 0
            continue
        t.residual[i] = t.p[i] - y
        own = s.labels.decided[label]
        decide.tell(own, t.p[i] > decide.label_threshold(own, theta), y > 0)
        decide.tell(s.rescorer.counts, t.p[i] > theta, y > 0)
        s.labels.shown[label] = s.labels.shown[label] * _SHOWN_DECAY + 1.0
        s.labels.hit[label] = s.labels.hit[label] * _SHOWN_DECAY + y
    s.rescorer.counts[decide.FN] += missed
    if not partial:
        matching.learn(s.names, t.told, truth)
    rescorer.descend(s.rescorer, t.x, m, t.hidden, t.residual)
    for i in range(m):
        label = t.candidate[i]
        residual = t.residual[i]
        leaf = leaf_of[label]
        if leaf >= 0 and not t.off[OFF_BIAS]:
            s.rescorer.leaf_g[leaf] += residual * residual
            s.rescorer.leaf[leaf] -= 0.05 * residual / np.sqrt(s.rescorer.leaf_g[leaf])
        if not t.off[OFF_LINEAR]:
            linear.descend(s.table, label, t.slot, t.weight, terms, residual, s.labels.boost[label])
    if not t.off[OFF_LINEAR]:
        _learn_missed(s, t, truth, m, terms)
    _learn_labels(s, t, truth, terms)
    s.sizes[EVENTS] += 1
    if partial:
        _count_looked(s, truth, looked)


@kernel
def _weigh_index(brought: Any, alone: Any, truth: Any) -> None:
    """Count true labels, and those that were candidates only for the index."""
    if not len(truth):
        return
    brought *= _WORTH_DECAY
    brought[0] += len(truth)
    for label in alone:
        for other in truth:
            if other == label:
                brought[1] += 1


@kernel
def _count_looked(s: Extreme, truth: Any, looked: Any) -> None:
    s.sizes[PARTIAL] += 1
    for label in looked:
        s.labels.looked[label] += 1
    for label in truth:
        if not holds(looked, label):
            s.labels.looked[label] += 1


@kernel
def _learn_missed(s: Extreme, t: Scratch, truth: Any, m: int, terms: int) -> None:
    """The linear expert alone learns the positives that the shortlist missed."""
    for label in truth:
        inside = False
        for i in range(m):
            if t.candidate[i] == label:
                inside = True
        if not inside:
            s.labels.decided[label, decide.FN] += 1
            linear.score(s.table, label, t.slot, t.weight, terms, t.pair)
            residual = sigmoid(t.pair[0] - 2.0) - 1.0
            linear.descend(s.table, label, t.slot, t.weight, terms, residual, s.labels.boost[label])


@kernel
def _learn_labels(s: Extreme, t: Scratch, truth: Any, terms: int) -> None:
    n = s.sizes[EVENTS]
    for label in truth:
        if not t.off[OFF_CENTROIDS]:
            change = linear.move(s.table, label, t.slot, t.weight, terms)
            s.labels.norm[label] = max(s.labels.norm[label] + change, 0.0)
        s.labels.count[label] += 1
        s.labels.last[label] = n + 1
        s.labels.boost[label] = 1.0 + (s.labels.boost[label] - 1.0) * 0.98


@kernel
def remember(s: Extreme, t: Scratch, truth: Any) -> None:
    """Keep the event as an exemplar."""
    terms = t.n[TERMS_N]
    width = s.exemplars.vector.shape[1]
    if width > 1:
        place = s.sizes[STORED] % len(s.exemplars.vector)
        s.exemplars.vector[place] = t.dense
    else:
        place = s.sizes[STORED] % len(s.exemplars.n)
        s.exemplars.title[place] = postings.insert(
            s.sizes, s.terms, t.slot, t.weight, t.titled, terms
        )
    n = min(len(truth), EXEMPLAR_LABELS)
    s.exemplars.n[place] = n
    for k in range(n):
        s.exemplars.label[place, k] = truth[k]
    s.sizes[STORED] += 1
