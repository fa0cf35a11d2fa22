"""What one event does: co-occurrence, placing, drift of membership, moves; O(c·SLOTS + c²)."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.partitions.company import seat
from stream.learn.partitions.leaves import has_room, join, leave, open_leaf, report
from stream.learn.partitions.state import (
    HALF_LIFE,
    KAPPA,
    LEAF,
    MAPPED,
    MOVE,
    NEW,
    SLOTS,
    USED,
    Partitions,
)

_GROW = 2.0 ** (1.0 / HALF_LIFE)
_HIT = -1.0986  # ln(1/3): a hit is three times as likely as after a drift
_LABEL_ALARM = 6.0
_LEAF_ALARM = 8.0
_FADE = 0.3  # what is kept of the links of a leaf that has drifted
_CALM = 0.3  # standard deviations that a label's next move must be worth, for each that it made
# Hits before a leaf is looked at or tested: of its own, for each label, and for each event with it.
_LOOK, _LOOKS = 10, 0.25
_TEST, _TESTS = 25, 0.5
_AGE = 0.125
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@kernel
def sample(truth: Any, event: int, out: Any) -> int:
    """At most USED distinct labels of an event, chosen by a hash of label and event; how many."""
    if len(truth) <= USED:
        c = 0
        for label in truth:
            if not (out[:c] == label).any():
                out[c] = label
                c += 1
        return c
    labels = np.unique(truth)
    keys = np.empty(len(labels), np.uint64)
    for k in range(len(labels)):
        key = (np.uint64(labels[k]) * np.uint64(1_000_003) ^ np.uint64(event)) * _GOLDEN
        keys[k] = (key ^ (key >> np.uint64(31))) * _GOLDEN
    order = np.argsort(keys, kind="mergesort")
    c = min(len(labels), USED)
    for k in range(c):
        out[k] = labels[order[k]]
    return c


@kernel
def count(p: Partitions, labels: Any, c: int) -> None:
    """Rates of all labels, and who was seen with whom, on each label's own clock."""
    growth = p.growth[0] * _GROW
    for k in range(c):
        p.labels.rate[labels[k]] += growth
    p.growth[0] = growth
    p.growth[1] += growth * c
    if growth > 1e200:
        p.labels.rate[:] /= growth
        p.growth[1] /= growth
        p.growth[0] = 1.0
    share = np.float32(1.0 / (c - 1))
    keep = np.float32(1.0 - 1.0 / KAPPA)
    for k in range(c):
        label = labels[k]
        old = p.labels.n[label]
        row = p.labels.seat[label, 0] if p.sizes[MAPPED] else label
        if row < 0:
            row = seat(p, label)
        p.labels.n[label] = p.labels.n[label] * keep + np.float32(1)
        leaf = p.labels.leaf[label]
        if leaf >= 0:
            p.leaves.mass[leaf] += p.labels.n[label] - old
        if row < 0:
            continue
        p.labels.w[row] *= keep
        for other in range(c):
            if other != k:
                _meet(p, row, labels[other], share)


@kernel
def _meet(p: Partitions, row: int, other: int, share: float) -> None:
    """Add to a slot; when all are taken, the least one gives way or gives up as much."""
    co, w = p.labels.co, p.labels.w  # no views of rows: numba would count references to them
    least, free = 0, -1
    for s in range(SLOTS):
        if co[row, s] == other:
            w[row, s] += share
            return
        if co[row, s] < 0:
            if free < 0:
                free = s
        elif co[row, least] < 0 or w[row, s] < w[row, least]:
            least = s
    if free >= 0:
        co[row, free] = other
        w[row, free] = share
    elif w[row, least] <= share:
        co[row, least] = other
        w[row, least] = share
    else:
        w[row, least] -= share


@kernel
def scores(p: Partitions, label: int, leaf: Any, score: Any) -> int:
    """Co-occurrence beyond chance of a label with each leaf it is linked to; how many leaves."""
    row = p.labels.seat[label, 0] if p.sizes[MAPPED] else label
    if row < 0:
        return 0
    chance = p.labels.n[label] / p.growth[1]
    found = 0
    for s in range(SLOTS):
        other = p.labels.co[row, s]
        if other < 0:
            continue
        excess = p.labels.w[row, s] - chance * p.labels.rate[other]
        home = p.labels.leaf[other]
        if excess <= 0 or home < 0:
            continue
        at = 0
        while at < found and leaf[at] != home:
            at += 1
        if at == found:
            leaf[at] = home
            score[at] = 0
            found += 1
        score[at] += excess
    return found


@kernel
def place(p: Partitions, labels: Any, c: int, leaf: Any, score: Any, rows: Any) -> None:
    """Labels without a leaf join the one that they are linked to most, or open one."""
    for k in range(c):
        label = labels[k]
        if p.labels.leaf[label] >= 0:
            continue
        found = scores(p, label, leaf, score)
        best = -1
        for at in range(found):
            if has_room(p, leaf[at]) and (best < 0 or score[at] > score[best]):
                best = at
        home = leaf[best] if best >= 0 else -1
        if p.sizes[MAPPED] and p.labels.seat[label, 0] < 0:
            home = _beside(p, labels, c)
        if home < 0:
            home = open_leaf(p, rows)
        join(p, label, home)
        report(p, rows, NEW, home, -1, label)


@kernel
def _beside(p: Partitions, labels: Any, c: int) -> int:
    """The first leaf of an event's labels that has room, -1 for none."""
    for k in range(c):
        leaf = p.labels.leaf[labels[k]]
        if leaf >= 0 and has_room(p, leaf):
            return leaf
    return -1


@kernel
def drift(p: Partitions, labels: Any, c: int, leaf: Any, score: Any, rows: Any) -> None:
    """CUSUM on the hit rate of labels and of leaves; labels that have drifted start anew."""
    for k in range(c):
        label = labels[k]
        hit = False
        first = True
        home = p.labels.leaf[label]
        for other in range(c):
            if other != k and p.labels.leaf[labels[other]] == home:
                hit = True
                first &= other > k
        _judge_label(p, label, hit)
        if first:
            _judge_leaf(p, home, hit)
    for k in range(c):
        if p.labels.cusum[labels[k]] > _LABEL_ALARM:
            _start_anew(p, labels[k], labels, c, leaf, score, rows)


@kernel
def _surprise(mu: float, hit: bool) -> float:
    if hit:
        return _HIT
    bounded = min(mu, 0.95)
    return min(2.0, np.log((1 - bounded / 3) / (1 - bounded)))


@kernel
def _judge_label(p: Partitions, label: int, hit: bool) -> None:
    state = p.labels
    if state.trials[label] >= 8 and state.mu[label] >= 0.2:
        state.cusum[label] = max(0.0, state.cusum[label] + _surprise(state.mu[label], hit))
    state.trials[label] += 1
    rate = max(0.05, 1.0 / state.trials[label])
    state.mu[label] += rate * ((1.0 if hit else 0.0) - state.mu[label])


@kernel
def _judge_leaf(p: Partitions, leaf: int, hit: bool) -> None:
    state = p.leaves
    if state.trials[leaf] >= 20 and state.mu[leaf] >= 0.2:
        state.cusum[leaf] = max(0.0, state.cusum[leaf] + _surprise(state.mu[leaf], hit))
    state.trials[leaf] += 1
    rate = max(0.02, 1.0 / state.trials[leaf])
    state.mu[leaf] += rate * ((1.0 if hit else 0.0) - state.mu[leaf])
    if hit:
        state.hits[leaf] += 1
        state.looked[leaf] += 1
    if state.cusum[leaf] > _LEAF_ALARM:
        state.cusum[leaf] = 0
        state.trials[leaf] = 0
        for at in range(state.size[leaf]):
            member = state.member[leaf, at]
            p.labels.cusum[member] = max(p.labels.cusum[member], 0.75 * _LABEL_ALARM)
            _fade(p, member, _FADE)


@kernel
def _fade(p: Partitions, label: int, keep: float) -> None:
    old = p.labels.n[label]
    p.labels.n[label] = old * keep
    p.leaves.mass[p.labels.leaf[label]] += p.labels.n[label] - old
    row = p.labels.seat[label, 0] if p.sizes[MAPPED] else label
    if row >= 0:
        p.labels.w[row] *= np.float32(keep)


@kernel
def _start_anew(
    p: Partitions, label: int, labels: Any, c: int, leaf: Any, score: Any, rows: Any
) -> None:
    state = p.labels
    home = state.leaf[label]
    share = np.float32(1.0 / (c - 1))
    old = state.n[label]
    state.n[label] = 0.1 * (old - 1) + 1
    p.leaves.mass[home] += state.n[label] - old
    row = p.labels.seat[label, 0] if p.sizes[MAPPED] else label
    if row >= 0:
        for s in range(SLOTS):
            now = np.float32(0)
            for k in range(c):
                if labels[k] == state.co[row, s]:
                    now = min(share, state.w[row, s])
            state.w[row, s] = 0.1 * (state.w[row, s] - now) + now
    state.cusum[label] = 0
    state.mu[label] = 0
    state.trials[label] = 0
    state.moves[label] = 0
    found = scores(p, label, leaf, score)
    total = np.float32(0)
    for at in range(found):
        total += score[at]
    best, value = -1, 0.0
    for at in range(found):
        if leaf[at] != home and has_room(p, leaf[at]) and score[at] > 0.3 * total:
            worth = score[at] / np.sqrt(1.0 + p.leaves.size[leaf[at]])
            if worth > value:
                best, value = at, worth
    if best < 0 and p.leaves.size[home] == 1:
        return
    target = leaf[best] if best >= 0 else open_leaf(p, rows)
    leave(p, label)
    join(p, label, target)
    report(p, rows, MOVE, home, target, label)


@kernel
def settle(p: Partitions, label: int, leaf: Any, score: Any, rows: Any) -> None:
    """Move a label whose links lie elsewhere, by a margin that grows with its moves."""
    home = p.labels.leaf[label]
    found = scores(p, label, leaf, score)
    own, best = np.float32(0), -1
    for at in range(found):
        if leaf[at] == home:
            own = score[at]
        elif has_room(p, leaf[at]) and (best < 0 or score[at] > score[best]):
            best = at
    if best < 0:
        return
    target, there = leaf[best], score[best]
    if p.leaves.size[home] < 3:
        better = there > own and p.leaves.size[target] >= p.leaves.size[home]
    else:
        mass_a = max(p.leaves.mass[home] - p.labels.n[label], 0.0)
        mass_b = p.leaves.mass[target]
        tilt = 0.5 * (there + own) * (mass_b - mass_a) / max(mass_a + mass_b, 1e-9)
        calm = _CALM * min(p.labels.moves[label], 8)
        better = (there - own) - tilt > 0.1 * own + calm * np.sqrt(there + own)
    if better:
        leave(p, label)
        join(p, label, target)
        p.labels.moves[label] += 1
        report(p, rows, MOVE, home, target, label)


@kernel
def ripe(p: Partitions, leaf: int) -> bool:
    """Whether a leaf should be looked at for a merge now: often while it is young."""
    size = p.leaves.size[leaf]
    young = max(_LOOK, _LOOKS * size, _AGE * p.leaves.trials[leaf])
    return p.leaves.looked[leaf] >= min(young, max(100, 2 * size))


@kernel
def due(p: Partitions, leaf: int) -> bool:
    """Whether a leaf should be tested for a split now."""
    size = p.leaves.size[leaf]
    young = max(_TEST, _TESTS * size, _AGE * p.leaves.trials[leaf])
    return size >= LEAF or p.leaves.hits[leaf] >= min(young, max(100, 2 * size))
