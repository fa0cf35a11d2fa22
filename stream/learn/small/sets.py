"""The re-ranker of whole label sets, and what it says of single labels.

Candidates are the likeliest prefixes, the set above one half, the sets of the nearest and of the
last events, and the most frequent sets. A softmax over them, trained by online Newton while the
truth is among them, gives each a probability; their sums are marginals that know which labels
go together. A second Newton step mixes those with the labels' own probabilities.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.jit import kernel
from stream.learn.newton import solve
from stream.learn.odds import logit, sigmoid
from stream.learn.small.state import (
    CARRIED,
    EVENTS,
    FREQUENT,
    LAST_SET,
    SET_FEATURES,
    SET_STIFFNESS,
    STIFFNESS,
    STORED,
    WINDOW,
    Sets,
)

MOST = 64  # candidates
PREFIXES = 8
_NEIGHBOURS = 30
_LAST = 6
_DECAY = 0.9995
_EMPTY = np.uint64(0x5851F42D4C957F2D)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SURE = 1e-4


class Candidates(NamedTuple):
    """Room for the candidate sets of one event."""

    m: Any  # how many; which of them was true, -1 for none
    label: Any  # (MOST, CARRIED) int16
    n: Any
    key: Any
    x: Any  # (MOST, SET_FEATURES)
    q: Any  # (MOST,) probability
    votes: Any  # (MOST, 2) among the 5 and the 50 nearest
    marginal: Any  # (labels,)
    own: Any  # (labels,) the labels' own probabilities
    who: Any  # the nearest events, nearest first
    best: Any


def candidates(labels: int, neighbours: int) -> Candidates:
    """Room for a space of `labels`."""
    return Candidates(
        np.zeros(2, np.int64),
        np.zeros((MOST, CARRIED), np.int16),
        np.zeros(MOST, np.int64),
        np.zeros(MOST, np.uint64),
        np.zeros((MOST, SET_FEATURES)),
        np.zeros(MOST),
        np.zeros((MOST, 2)),
        np.zeros(labels),
        np.zeros(labels, np.float32),
        np.zeros(neighbours, np.int32),
        np.zeros(neighbours, np.float32),
    )


@kernel
def key_of(labels: Any) -> Any:
    """The key of a label set, whatever its order (Zobrist 1970)."""
    key = _EMPTY
    for label in labels:
        mixed = (np.uint64(label) + np.uint64(1)) * _MIX
        key ^= (mixed ^ (mixed >> np.uint64(31))) * _MIX
    return key >> np.uint64(1)


@kernel
def _find(keys: Any, key: Any) -> int:
    """The place of a key among four, or -1."""
    first = np.int64(key % np.uint64(len(keys) // 4)) * 4
    for at in range(first, first + 4):
        if keys[at] == key:
            return at
    return -1


@kernel
def _bump(keys: Any, count: Any, key: Any) -> float:
    """Count a key; the least of its four gives way where all are taken. Returns its count."""
    at = _find(keys, key)
    if at < 0:
        at = np.int64(key % np.uint64(len(keys) // 4)) * 4
        for other in range(at + 1, at + 4):
            if count[other] < count[at]:
                at = other
        keys[at] = key
        count[at] = 0
    count[at] += 1
    return count[at]


@kernel
def _counted(keys: Any, count: Any, key: Any) -> float:
    at = _find(keys, key)
    return count[at] if at >= 0 else 0.0


@kernel
def _pair(before: Any, key: Any) -> Any:
    mixed = (before ^ (key * _MIX)) * _MIX
    return (mixed ^ (mixed >> np.uint64(29))) | np.uint64(1)


@kernel
def _offer(c: Candidates, labels: Any, key: Any) -> int:
    """Take in a candidate unless it is there or no room is left; its place, or -1."""
    m = c.m[0]
    for at in range(m):
        if c.key[at] == key:
            return at
    if m == MOST:
        return -1
    c.key[m] = key
    c.n[m] = len(labels)
    for k in range(len(labels)):
        c.label[m, k] = labels[k]
    c.votes[m] = 0
    c.m[0] = m + 1
    return m


@kernel
def gather(sizes: Any, sets: Sets, c: Candidates, p: Any, labels: int, found: int,
           beta: float) -> None:  # fmt: skip
    """Collect the candidate sets of an event with label probabilities p and neighbours c.who."""
    c.m[0] = 0
    order = np.empty(min(PREFIXES, labels), np.int64)
    n = 0
    for label in range(labels):
        if n == len(order) and p[label] <= p[order[n - 1]]:
            continue
        at = min(n, len(order) - 1)
        while at > 0 and p[order[at - 1]] < p[label]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = label
        n = min(n + 1, len(order))
    for size in range(n + 1):
        _offer(c, order[:size], key_of(order[:size]))
    half = np.empty(CARRIED, np.int64)
    size = 0
    for label in range(labels):
        if p[label] > 0.5:
            if size < CARRIED:
                half[size] = label
            size += 1
    c.m[1] = -1
    if size <= CARRIED:
        c.m[1] = _offer(c, half[:size], key_of(half[:size]))
    few, many = float(min(found, 5)), 0.0
    weight = np.empty(found)
    for k in range(found):
        weight[k] = np.exp(beta * (c.best[k] - c.best[0]))
        many += weight[k]
    for k in range(found):
        slot = c.who[k]
        if sets.n[slot] < 0:
            continue
        at = -1
        if k < _NEIGHBOURS:
            at = _offer(c, sets.event[slot, : sets.n[slot]], sets.key[slot])
        else:
            for other in range(c.m[0]):
                if c.key[other] == sets.key[slot]:
                    at = other
        if at >= 0:
            if k < 5:
                c.votes[at, 0] += 1.0 / few
            c.votes[at, 1] += weight[k] / many
    for k in range(min(_LAST, sizes[STORED])):
        slot = (sizes[STORED] - 1 - k) % WINDOW
        if sets.n[slot] >= 0:
            _offer(c, sets.event[slot, : sets.n[slot]], sets.key[slot])
    for k in range(FREQUENT):
        if sets.top_n[k] >= 0:
            _offer(c, sets.top[k, : sets.top_n[k]], sets.top_key[k])


@kernel
def rank(sizes: Any, sets: Sets, c: Candidates, p: Any, labels: int) -> None:
    """Probabilities of the candidate sets, and the marginals of the labels."""
    m = c.m[0]
    events = float(sizes[EVENTS])
    last = np.uint64(sizes[LAST_SET])
    before = _counted(sets.keys, sets.count, last)
    top = -np.inf
    for at in range(m):
        x, key = c.x[at], c.key[at]
        gain = 0.0
        for k in range(c.n[at]):
            own = min(1 - _SURE, max(_SURE, p[c.label[at, k]]))
            gain += np.log(own / (1 - own))
        count = _counted(sets.keys, sets.count, key)
        share = (count + 0.3) / (events + 3.0)
        x[0] = gain
        x[1] = np.log(share)
        x[2] = np.log(c.votes[at, 0] + 0.05)
        x[3] = np.log(c.votes[at, 1] + 0.02)
        x[4] = 1.0 if key == last else 0.0
        follows = _counted(sets.pairs, sets.follows, _pair(last, key))
        x[5] = np.log((follows + 2.0 * share) / (before + 2.0))
        x[6] = np.log((sets.size[c.n[at]] + 0.5) / (events + 10.0))
        x[7] = 1.0 if count == 0 else 0.0
        x[8] = 0.3 * c.n[at]
        x[9] = 1.0 if at == c.m[1] else 0.0
        total = 0.0
        for f in range(SET_FEATURES):
            total += sets.weight[f] * x[f]
        c.q[at] = total
        top = max(top, total)
    mass = 0.0
    for at in range(m):
        c.q[at] = np.exp(c.q[at] - top)
        mass += c.q[at]
    c.marginal[:labels] = 0
    for at in range(m):
        c.q[at] /= mass
        for k in range(c.n[at]):
            c.marginal[c.label[at, k]] += c.q[at]


@kernel
def mix(sets: Sets, c: Candidates, labels: int, out: Any) -> None:
    """Final probabilities of labels from their own, kept in c.own, and their marginals."""
    for label in range(labels):
        z = sets.bias[label] + sets.final[0] * _odds(c.own[label])
        out[label] = sigmoid(z + sets.final[1] * logit(c.marginal[label]))


@kernel
def _odds(p: float) -> float:
    p = min(1 - 1e-6, max(1e-6, np.float64(p)))
    return np.log(p / (1 - p))


@kernel
def learn(sets: Sets, c: Candidates, truth: Any) -> None:
    """One Newton step of the set weights, where the truth is a candidate."""
    key = key_of(truth)
    right = -1
    for at in range(c.m[0]):
        if c.key[at] == key:
            right = at
    if right < 0:
        return
    mean = np.zeros(SET_FEATURES)
    for at in range(c.m[0]):
        for f in range(SET_FEATURES):
            mean[f] += c.q[at] * c.x[at, f]
    for i in range(SET_FEATURES):
        for j in range(i + 1):
            total = 0.0
            for at in range(c.m[0]):
                total += c.q[at] * (c.x[at, i] - mean[i]) * (c.x[at, j] - mean[j])
            sets.h[i, j] = _DECAY * sets.h[i, j] + total
            sets.h[j, i] = sets.h[i, j]
        sets.h[i, i] += (1 - _DECAY) * SET_STIFFNESS
    sets.weight[:] -= solve(sets.h, mean - c.x[right])


@kernel
def learn_mix(sets: Sets, c: Candidates, y: Any, p: Any, known: Any, labels: int) -> None:
    """One Newton step of the final mix, on the labels that were looked for."""
    h, g = sets.final_h, np.zeros(2)
    h *= _DECAY
    for i in range(2):
        h[i, i] += (1 - _DECAY) * STIFFNESS
    for label in range(labels):
        if known[label] == 0:
            continue
        residual = p[label] - y[label]
        own, together = _odds(c.own[label]), logit(c.marginal[label])
        curve = max(p[label] * (1 - p[label]), 0.002)
        g[0] += residual * own
        g[1] += residual * together
        h[0, 0] += curve * own * own
        h[0, 1] += curve * own * together
        h[1, 1] += curve * together * together
        sets.bias_g[label] += residual * residual
        sets.bias[label] -= 0.01 * residual / np.sqrt(sets.bias_g[label])
    h[1, 0] = h[0, 1]
    sets.final[:] -= solve(h, g)


@kernel
def remember(sizes: Any, sets: Sets, truth: Any, partial: bool) -> None:
    """Keep the set of the exemplar that is being stored; one known in part is no candidate."""
    slot = sizes[STORED] % WINDOW
    sets.key[slot] = key_of(truth)
    sets.n[slot] = -1
    if len(truth) <= CARRIED and not partial:
        sets.n[slot] = len(truth)
        for k in range(len(truth)):
            sets.event[slot, k] = truth[k]


@kernel
def count(sizes: Any, sets: Sets, truth: Any) -> None:
    """Count a set, its size, and that it followed the last one."""
    key = key_of(truth)
    times = _bump(sets.keys, sets.count, key)
    _bump(sets.pairs, sets.follows, _pair(np.uint64(sizes[LAST_SET]), key))
    if len(truth) > CARRIED:
        return
    sets.size[len(truth)] += 1
    least = 0
    for k in range(FREQUENT):
        if sets.top_n[k] >= 0 and sets.top_key[k] == key:
            sets.top_count[k] = times
            return
        if sets.top_count[k] < sets.top_count[least]:
            least = k
    if times > sets.top_count[least]:
        sets.top_key[least] = key
        sets.top_count[least] = times
        sets.top_n[least] = len(truth)
        for k in range(len(truth)):
            sets.top[least, k] = truth[k]


@kernel
def choose(c: Candidates, out: Any) -> None:
    """The likeliest set, into `out` (labels,) bool."""
    out[:] = False
    at = np.argmax(c.q[: c.m[0]])
    for k in range(c.n[at]):
        out[c.label[at, k]] = True
