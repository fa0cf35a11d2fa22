"""The re-ranker of whole label sets, and what it says of single labels.

Candidates are the likeliest prefixes, the set above one half, the sets of the nearest and of the
last events, and the most frequent sets. A softmax over them, trained by online Newton while the
truth is among them, gives each a probability; their sums are marginals that know which labels
go together. A second Newton step mixes those with the labels' own probabilities.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.keys import MIX, mixed, of_set
from stream.learn.newton import solve
from stream.learn.odds import logits, logs, sigmoids
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
SEATS = 256
PREFIXES = 8
_NEIGHBOURS = 30
_LAST = 6
DECAY = 0.9995
_EMPTY = np.uint64(0x5851F42D4C957F2D)
_OWN = 13.8  # log odds that enter the final mix, at most
_SURE = 9.2  # log odds of a label alone, at most


class Candidates(NamedTuple):
    """Room for the candidate sets of one event."""

    m: Any  # how many; which of them was true, -1 for none
    label: Any  # (MOST, CARRIED) int16
    n: Any
    key: Any
    seats: Any  # (SEATS,) int16 hash table of places, -1 for free
    likely: Any  # (2, CARRIED) int16, the likeliest labels in order, those above one half
    logs: Any  # (5, MOST) float32, what the logarithms among x are of
    x: Any  # (MOST, SET_FEATURES)
    q: Any  # (MOST,) probability
    votes: Any  # (MOST, 2) among the 5 and the 50 nearest
    marginal: Any  # (labels,)
    together: Any  # (labels,) its clipped logit
    own: Any  # (labels,) the labels' own probabilities
    who: Any  # the nearest events, nearest first
    best: Any
    weight: Any
    anything: Any  # (labels,) 0: no label is known before the event's labels come


def candidates(labels: int, neighbours: int, most: int = MOST) -> Candidates:
    """Room for `most` candidates in a space of `labels`."""
    return Candidates(
        np.zeros(2, np.int64),
        np.zeros((most, CARRIED), np.int16),
        np.zeros(most, np.int64),
        np.zeros(most, np.uint64),
        np.zeros(SEATS, np.int16),
        np.zeros((2, CARRIED), np.int16),
        np.zeros((5, most), np.float32),
        np.zeros((most, SET_FEATURES)),
        np.zeros(most),
        np.zeros((most, 2)),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(neighbours, np.int32),
        np.zeros(neighbours, np.float32),
        np.zeros(neighbours),
        np.zeros(labels, np.float32),
    )


@kernel
def key_of(labels: Any) -> Any:
    """The key of a label set; it fits an int64."""
    return (_EMPTY ^ of_set(labels)) >> np.uint64(1)


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
    both = (before ^ (key * MIX)) * MIX
    return (both ^ (both >> np.uint64(29))) | np.uint64(1)


@kernel
def _place(seats: Any, keys: Any, key: Any) -> Any:
    """The place of a candidate, or minus the free seat for it, less one."""
    at = np.int64(key) & (SEATS - 1)
    while seats[at] >= 0:
        if keys[seats[at]] == key:
            return seats[at]
        at = (at + 1) & (SEATS - 1)
    return -1 - at


@kernel
def _take(c: Candidates, seat: int, labels: Any, row: int, n: int, key: Any) -> int:
    """Take in labels[row, :n] at a free seat while there is room; its place, or -1."""
    at = c.m[0]
    if at == len(c.n):
        return -1
    c.seats[seat] = at
    c.key[at] = key
    c.n[at] = n
    for k in range(n):
        c.label[at, k] = labels[row, k]
    c.votes[at, 0] = 0
    c.votes[at, 1] = 0
    c.m[0] = at + 1
    return at


@kernel
def offer(c: Candidates, labels: Any, row: int, n: int, key: Any) -> int:
    """Take in labels[row, :n] unless it is there; its place, or -1 where no room is left."""
    at = _place(c.seats, c.key, key)
    return at if at >= 0 else _take(c, -1 - at, labels, row, n, key)


@kernel
def likeliest(p: Any, known: Any, labels: int, order: Any) -> int:
    """Into `order` the likeliest labels that are not known, likeliest first; returns how many."""
    most = min(PREFIXES, labels)
    n = 0
    for label in range(labels):
        if known[label] > 0 or (n == most and p[label] <= p[order[n - 1]]):
            continue
        at = min(n, most - 1)
        while at > 0 and p[order[at - 1]] < p[label]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = label
        n = min(n + 1, most)
    return n


@kernel
def gather(sizes: Any, sets: Sets, c: Candidates, p: Any, labels: int, found: int,
           beta: float) -> None:  # fmt: skip
    """Collect the candidate sets of an event with label probabilities p and neighbours c.who."""
    c.m[0] = 0
    c.seats[:] = -1
    n = likeliest(p, c.anything, labels, c.likely[0])
    raw = _EMPTY
    offer(c, c.likely, 0, 0, raw >> np.uint64(1))
    for size in range(1, n + 1):
        raw ^= mixed(c.likely[0, size - 1])
        offer(c, c.likely, 0, size, raw >> np.uint64(1))
    raw = _EMPTY
    size = 0
    for label in range(labels):
        if p[label] > 0.5:
            if size < CARRIED:
                c.likely[1, size] = label
                raw ^= mixed(label)
            size += 1
    c.m[1] = -1
    if size <= CARRIED:  # there is room: prefixes come before it
        c.m[1] = offer(c, c.likely, 1, size, raw >> np.uint64(1))
    few, many = float(min(found, 5)), 0.0
    for k in range(found):
        c.weight[k] = np.exp(beta * (c.best[k] - c.best[0]))
        many += c.weight[k]
    for k in range(found):
        slot = c.who[k]
        n, key = sets.n[slot], sets.key[slot]
        if n < 0:
            continue
        at = _place(c.seats, c.key, key)
        if at < 0 and k < _NEIGHBOURS:
            at = _take(c, -1 - at, sets.event, slot, n, key)
        if at >= 0:
            if k < 5:
                c.votes[at, 0] += 1.0 / few
            c.votes[at, 1] += c.weight[k] / many
    for k in range(min(_LAST, sizes[STORED])):
        slot = (sizes[STORED] - 1 - k) % WINDOW
        n, key = sets.n[slot], sets.key[slot]
        at = _place(c.seats, c.key, key)
        if n >= 0 and at < 0:
            _take(c, -1 - at, sets.event, slot, n, key)
    for k in range(FREQUENT):
        n, key = sets.top_n[k], sets.top_key[k]
        at = _place(c.seats, c.key, key)
        if n >= 0 and at < 0:
            _take(c, -1 - at, sets.top, k, n, key)


@kernel
def rank(sizes: Any, sets: Sets, c: Candidates, odds: Any, labels: int) -> None:
    """Probabilities of the candidate sets, and the marginals of the labels.

    `odds` (labels,) are the log odds of each label alone.
    """
    m = c.m[0]
    events = float(sizes[EVENTS])
    last = np.uint64(sizes[LAST_SET])
    before = _counted(sets.keys, sets.count, last)
    share, few, many, follows, size = c.logs[0], c.logs[1], c.logs[2], c.logs[3], c.logs[4]
    for at in range(m):
        x, key = c.x[at], c.key[at]
        gain = 0.0
        for k in range(c.n[at]):
            gain += min(_SURE, max(-_SURE, odds[c.label[at, k]]))
        count = _counted(sets.keys, sets.count, key)
        share[at] = (count + 0.3) / (events + 3.0)
        few[at] = c.votes[at, 0] + 0.05
        many[at] = c.votes[at, 1] + 0.02
        times = _counted(sets.pairs, sets.follows, _pair(last, key))
        follows[at] = (times + 2.0 * share[at]) / (before + 2.0)
        size[at] = (sets.size[c.n[at]] + 0.5) / (events + 10.0)
        x[0] = gain
        x[4] = 1.0 if key == last else 0.0
        x[7] = 1.0 if count == 0 else 0.0
        x[8] = 0.3 * c.n[at]
        x[9] = 1.0 if at == c.m[1] else 0.0
    for of in range(5):
        logs(c.logs[of], m)
    top = -np.inf
    for at in range(m):
        x = c.x[at]
        x[1], x[2], x[3], x[5], x[6] = share[at], few[at], many[at], follows[at], size[at]
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
def mix(sets: Sets, c: Candidates, odds: Any, labels: int, out: Any) -> None:
    """Final probabilities of labels from their own log odds, and their marginals."""
    logits(c.marginal, labels, c.together)
    for label in range(labels):
        z = sets.bias[label] + sets.final[0] * _bounded(odds[label])
        out[label] = z + sets.final[1] * c.together[label]
    sigmoids(out, labels, out)


@kernel
def _bounded(odds: float) -> float:
    return min(_OWN, max(-_OWN, odds))


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
            sets.h[i, j] = DECAY * sets.h[i, j] + total
            sets.h[j, i] = sets.h[i, j]
        sets.h[i, i] += (1 - DECAY) * SET_STIFFNESS
    sets.weight[:] -= solve(sets.h, mean - c.x[right])


@kernel
def learn_mix(
    sets: Sets, c: Candidates, odds: Any, y: Any, p: Any, known: Any, labels: int
) -> None:
    """One Newton step of the final mix, on the labels that were looked for."""
    h, g = sets.final_h, np.zeros(2)
    h *= DECAY
    for i in range(2):
        h[i, i] += (1 - DECAY) * STIFFNESS
    for label in range(labels):
        if known[label] == 0:
            continue
        residual = p[label] - y[label]
        own, together = _bounded(odds[label]), c.together[label]
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
