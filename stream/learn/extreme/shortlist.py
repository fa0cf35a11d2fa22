"""The shortlist: voted labels, labels whose name or parts of it occur, what the index found."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.extreme import matching
from stream.learn.extreme.matching import PART
from stream.learn.extreme.scratch import (
    ALIKE_N,
    FOUND,
    NEAREST,
    OFF_INDEX,
    OFF_NAMES,
    OFF_PARTS,
    OFF_TITLES,
    OWN,
    VOTED,
    Scratch,
)
from stream.learn.extreme.state import (
    LABELS,
    NAME_LABELS,
    PART_LABELS,
    SHORTLIST,
    STORED,
    Extreme,
)

RECENCY = 2_000.0
ASKED = -2.0
"""The similarity of a candidate that the caller named, rather than the index."""
_GATE = 0.04  # precision below which a name that occurs makes no candidate


@kernel
def _voter(index: Any, n: Any, voted: Any, votes: Any, label: int) -> int:
    """A label's place among the voted, made where it has none."""
    at = index[label]
    if at < 0:
        at = n[VOTED]
        n[VOTED] += 1
        index[label] = at
        voted[at] = label
        votes[at, :] = 0
    return at


@kernel
def vote(s: Extreme, t: Scratch, mass: Any) -> None:
    """Votes of the nearest exemplars, weight sim³, and of those by title; `mass` takes the sums."""
    now = s.sizes[STORED]
    room = len(s.exemplars.n)
    if s.exemplars.vector.shape[1] > 1:
        room = len(s.exemplars.vector)
    mass[:] = 0
    t.n[VOTED] = 0
    for k in range(t.n[NEAREST]):
        place = t.who[k]
        similarity = t.best[k]
        w = similarity * similarity * similarity
        mass[0] += w
        age = (now - 1 - place) % room
        aged = w * np.exp(-age / RECENCY)
        n = s.exemplars.n[place]
        for label in s.exemplars.label[place, :n]:
            if label < 0 or now - 1 - age < s.labels.forget[label] or s.labels.retired[label]:
                continue
            at = _voter(t.index, t.n, t.voted, t.vote, label)
            t.vote[at, 0] += w
            t.vote[at, 1] = max(t.vote[at, 1], similarity)
            t.vote[at, 2] += 1
            t.vote[at, 3] += aged
            t.vote[at, 4] += w / n
    for k in range(0 if t.off[OFF_TITLES] else t.n[ALIKE_N]):
        place = t.alike_who[k]
        similarity = min(t.alike[k], np.float32(1))
        w = similarity * similarity * similarity
        mass[1] += w
        age = (now - 1 - place) % room
        for label in s.exemplars.label[place, : s.exemplars.n[place]]:
            if label < 0 or now - 1 - age < s.labels.forget[label] or s.labels.retired[label]:
                continue
            at = _voter(t.index, t.n, t.voted, t.vote, label)
            t.vote[at, 5] += w
            t.vote[at, 6] = max(t.vote[at, 6], similarity)


@kernel
def _seat(seat: Any, n: Any, candidate: Any, label: int) -> None:
    if seat[label] < 0 and n[FOUND] < len(candidate):
        seat[label] = n[FOUND]
        candidate[n[FOUND]] = label
        n[FOUND] += 1


@kernel
def gather(s: Extreme, t: Scratch, near: Any, similar: Any, mass: Any) -> None:
    """All candidates, each once."""
    t.n[FOUND] = 0
    voted = t.n[VOTED]
    key = np.empty(voted, np.float32)
    whole = 1.0 / mass[0] if mass[0] > 0 else 0.0
    title = 0.3 / mass[1] if mass[1] > 0 else 0.0
    for at in range(voted):
        key[at] = -(t.vote[at, 0] * whole + 0.02 * t.vote[at, 1] + t.vote[at, 5] * title)
    order = np.argsort(key, kind="mergesort")
    for i in range(min(voted, SHORTLIST)):
        _seat(t.seat, t.n, t.candidate, t.voted[order[i]])
    if not t.off[OFF_NAMES]:
        _named(s, t)
    if not t.off[OFF_PARTS]:
        _partly(s, t)
    t.n[OWN] = t.n[FOUND]
    for k in range(len(near)):
        label = near[k]
        if t.off[OFF_INDEX] and similar[k] != ASKED:
            continue
        if 0 <= label < s.sizes[LABELS] and not s.labels.retired[label]:
            _seat(t.seat, t.n, t.candidate, label)


@kernel
def _insert(score: float, label: int, scores: Any, labels: Any, n: int) -> int:
    """Keep the best in order; returns how many are kept."""
    most = len(scores)
    if n == most and score <= scores[most - 1]:
        return n
    at = n if n < most else most - 1
    while at > 0 and scores[at - 1] < score:
        scores[at] = scores[at - 1]
        labels[at] = labels[at - 1]
        at -= 1
    scores[at] = score
    labels[at] = label
    return min(n + 1, most)


@kernel
def _named(s: Extreme, t: Scratch) -> None:
    """Labels whose whole name occurs, while that has been right often enough."""
    scores = np.empty(NAME_LABELS, np.float32)
    labels = np.empty(NAME_LABELS, np.int32)
    n = 0
    for k in range(t.told.n[0]):
        how = matching.kind(t.told.said[k])
        label = t.told.label[k]
        if how < 0 or s.labels.retired[label]:
            continue
        score = matching.precision(s.names, label, how)
        if score > _GATE:
            n = _insert(score, label, scores, labels, n)
    for k in range(n):
        _seat(t.seat, t.n, t.candidate, labels[k])


@kernel
def _partly(s: Extreme, t: Scratch) -> None:
    """Labels that are not candidates yet, by how much of their name occurs."""
    scores = np.empty(PART_LABELS, np.float32)
    labels = np.empty(PART_LABELS, np.int32)
    n = 0
    for k in range(t.told.n[0]):
        label = t.told.label[k]
        part = t.told.said[k, PART]
        if part <= 0 or t.seat[label] >= 0 or s.labels.retired[label]:
            continue
        factor = 1.0 if s.labels.count[label] > 0 else 0.7
        if n == PART_LABELS and factor * part * part / (part + 2.0) <= scores[n - 1]:
            continue  # its parts are worth at least what was found of them
        score = factor * part * part / (matching.whole(s.names, label) + 2.0)
        n = _insert(score, label, scores, labels, n)
    for k in range(n):
        _seat(t.seat, t.n, t.candidate, labels[k])
