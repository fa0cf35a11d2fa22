"""Micro-clusters of the events that no known label explains.

DenStream (Cao, Ester, Qian and Zhou, "Density-based clustering over an evolving data stream with
noise", 2006) with the mean cosine to a cluster's events in place of its radius: an event joins the
nearest micro-cluster, where that is near enough (`nearest`), else it begins one of its own in place
of the lightest; weights fade. Those that turn out to be one are joined (`joining`).

Every event is judged, and explained ones count where they lie: a cluster among events that the
model explains is a known label's edge, not a new label.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.discovery.copies import note, seen
from stream.learn.discovery.judging import UNSURE, bar_of, probable
from stream.learn.discovery.nearest import cohesion, nearest_to
from stream.learn.discovery.state import BINS, BORN, CARRIED, EVENTS, FEW, JUDGED, WIDTH, State
from stream.learn.discovery.vectors import Room, count, fingerprint, sketch

SAMPLE = 4  # explained events of which one is looked at, for all
WARM = 500  # labelled events before any is judged
LOOK = 8  # distinct events after which a cluster is looked at, or a quarter of its own
# of the mean cosine of a cluster's events, from which one is its, and from which near its centre
_EDGE, _CORE = 0.6, 0.75
_FADE = 0.999  # of the distribution of probabilities and of the share of unexplained events
_LARGEST = 1024.0  # weight at which all are scaled down


@kernel
def look(
    s: State, t: Room, start: int, indptr: Any, keys: Any, terms: Any, bits: Any, slots: Any,
    p: Any, truths: Any, bounds: Any, before: Any, position: int, memory: float, each: bool,
    out: Any,
) -> tuple[int, int]:  # fmt: skip
    """Look at events in order, until it is time to look at a cluster.

    Parameters
    ----------
    start
        The first of them.
    indptr, keys, terms, bits
        Their rows, and the terms as uint32.
    slots, p
        (n, m) the model's labels, likeliest first, and probabilities, before they were learnt.
    truths, bounds
        The labels given; none for events that came without.
    before
        (n, 2) int64, for events counted before without labels: number of the cluster, and the
        event's own; 0 for others.
    position
        Labelled events that the model had learnt at the first.
    memory
        Events in which weights fade by half.
    each
        Whether to return at each event that is added.
    out
        (n, 2) int64 takes the cluster that each was added to, -1 for none, and whether it is new.

    Returns
    -------
    next, cluster
        The first event not looked at, and the cluster to look at, -1 for none.
    """
    for i in range(start, len(before)):
        truth = truths[bounds[i] : bounds[i + 1]]
        weight = _weight(s, memory)
        unexplained = _judge(s, slots[i], p[i], truth)
        s.sizes[EVENTS] += 1
        out[i] = -1
        times = 1 if unexplained or before[i, 0] > 0 else SAMPLE
        if s.sizes[EVENTS] % times != 0:
            continue
        low, high = indptr[i], indptr[i + 1]
        key, term = keys[low:high], terms[low:high]
        n = sketch(s.table, s.total[0], key, term, t)
        count(s.table, s.total, key, term, np.float32(times))
        if n == 0 or position + i < WARM:
            continue
        again = _undo(s, t, n, before[i, 0], before[i, 1], memory)
        mark = fingerprint(key, bits[low:high])
        cluster, new = _place(s, t, n, weight, times, unexplained, mark, again)
        if cluster < 0:
            continue
        out[i, 0], out[i, 1] = cluster, new
        if len(truth) > 0:
            _carry(s, cluster, truth, weight)
        if s.fresh[cluster] >= max(LOOK, s.distinct[cluster] // 4):
            s.fresh[cluster] = 0
            return i + 1, cluster
        if each:
            return i + 1, -1
    return len(before), -1


@kernel
def _judge(s: State, slots: Any, p: Any, truth: Any) -> bool:
    """Whether an event is unexplained; learns from labelled ones how probable labels are."""
    best, own = probable(slots, p, truth)
    bar = bar_of(s.passed, UNSURE)
    if len(truth) == 0:  # as many as of the labelled ones, where those are mostly explained
        return best < bar_of(s.passed, max(UNSURE, s.scale[2] / max(s.scale[1], 1.0)))
    s.scale[1] = s.scale[1] * _FADE + 1
    s.scale[2] = s.scale[2] * _FADE + (own < bar)
    for at in range(BINS):
        s.passed[at] *= _FADE
    s.passed[min(np.int64(best * BINS), BINS - 1)] += 1
    return own < bar


@kernel
def _weight(s: State, memory: float) -> float:
    """The weight of an event that comes now; scales all down where it has grown large."""
    if s.scale[0] >= _LARGEST:
        for array in (s.norm, s.squares):
            array[:] /= s.scale[0] * s.scale[0]
        for array in (s.weight, s.core, s.explained, s.labelled):
            array[:] /= s.scale[0]
        s.carried[:] /= s.scale[0]
        s.doubt[:] /= s.scale[0]
        s.sums[:] *= np.float32(1.0 / s.scale[0])
        s.scale[0] = 1.0
    s.scale[0] = max(s.scale[0], 1.0) * 2.0 ** (1.0 / memory)
    s.sizes[JUDGED] += 1
    return s.scale[0]


@kernel
def _undo(s: State, t: Room, n: int, born: int, number: int, memory: float) -> bool:
    """Take back an event that was counted before its labels came; whether that could be done."""
    if born == 0:
        return False
    for cluster in range(len(s.born)):
        if s.born[cluster] != born:
            continue
        s.distinct[cluster] -= 1
        if s.distinct[cluster] <= 0:
            clear(s, cluster)
            return True
        weight = s.scale[0] * 2.0 ** (-(s.sizes[JUDGED] - number) / memory)
        dot = 0.0
        for j in range(n):
            dot += np.float64(t.value[j]) * np.float64(s.sums[t.at[j], cluster])
            s.sums[t.at[j], cluster] -= np.float32(weight * t.value[j])
        s.norm[cluster] = max(s.norm[cluster] + weight * weight - 2 * weight * dot, 0.0)
        s.weight[cluster] = max(s.weight[cluster] - weight, 0.0)
        s.core[cluster] = max(s.core[cluster] - weight, 0.0)
        s.squares[cluster] = max(s.squares[cluster] - weight * weight, 0.0)
        return True
    return False


@kernel
def _place(
    s: State, t: Room, n: int, weight: float, times: int, unexplained: bool, mark: Any, again: bool
) -> tuple[int, bool]:
    """The cluster that an unexplained event was added to, -1 for none, and whether it is new."""
    t.dots[:] = 0
    for j in range(n):
        value, row = t.value[j], s.sums[t.at[j]]
        for k in range(len(row)):
            t.dots[k] += value * row[k]
    nearest, best = nearest_to(s, t.dots)
    similar = t.dots[nearest] / s.weight[nearest] if nearest >= 0 else 0.0
    usual = cohesion(s, nearest) if nearest >= 0 else 0.0
    joins = best >= 1.0 and similar >= _EDGE * usual
    core = joins and similar >= _CORE * usual
    if not unexplained:
        if core:
            s.explained[nearest] += times * weight
        return -1, False
    if not joins:
        nearest = np.argmin(s.weight)
        _begin(s, nearest)
    elif seen(s.seen[nearest], mark) and not again:
        return -1, False
    dot = np.float64(t.dots[nearest]) if joins else 0.0
    s.norm[nearest] += 2 * weight * dot + weight * weight
    for j in range(n):
        s.sums[t.at[j], nearest] += np.float32(weight * t.value[j])
        if not joins and n <= FEW:
            s.first[nearest, j] = t.at[j]
    s.firsts[nearest] = n if not joins and n <= FEW else -1
    s.weight[nearest] += weight
    s.core[nearest] += weight * core
    s.squares[nearest] += weight * weight
    s.distinct[nearest] += 1
    s.fresh[nearest] += 1
    note(s.seen[nearest], mark)
    return nearest, not joins


@kernel
def _begin(s: State, cluster: int) -> None:
    clear(s, cluster)
    s.sizes[BORN] += 1
    s.born[cluster] = s.sizes[BORN]


@kernel
def clear(s: State, cluster: int) -> None:
    """Let a cluster go."""
    if s.firsts[cluster] < 0:
        for at in range(WIDTH):
            s.sums[at, cluster] = 0
    for j in range(s.firsts[cluster]):  # of a single event, which most are that go
        s.sums[s.first[cluster, j], cluster] = 0
    for array in (s.norm, s.weight, s.squares, s.core, s.explained, s.labelled, s.told):
        array[cluster] = 0
    for array in (s.born, s.distinct, s.fresh, s.firsts):
        array[cluster] = 0
    s.seen[cluster] = 0
    s.labels[cluster] = -1
    s.carried[cluster] = 0
    s.doubt[cluster] = 0


@kernel
def _carry(s: State, cluster: int, truth: Any, weight: float) -> None:
    """Count the labels of an event (Space-Saving: Metwally, Agrawal and El Abbadi 2005)."""
    s.labelled[cluster] += weight
    for label in truth:
        count_label(s, cluster, label, weight)


@kernel
def count_label(s: State, cluster: int, label: int, weight: float) -> None:
    """Add to a label's weight in a cluster; it takes the place of the lightest."""
    least = 0
    for at in range(CARRIED):
        if s.labels[cluster, at] == label:
            s.carried[cluster, at] += weight
            return
        if s.carried[cluster, at] < s.carried[cluster, least]:
            least = at
    s.labels[cluster, least] = label
    s.doubt[cluster, least] = s.carried[cluster, least]
    s.carried[cluster, least] += weight
