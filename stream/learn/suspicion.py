"""Labels that look wrong: given ones that do not fit their event, missing ones that would.

Each given label of an event and the likeliest missing ones are scored before the event is learnt,
by the log odds that somebody flipped them, up to a constant: see `stream.learn.flips`. They go by
the label's probability and by how the rest of the event's labels fit with it and without.

Of each event the most suspicious cell is told where it passes a bar: the score that a set share
of recent events passes, and never more than that share of all events. A label's first event is not
scored; labels given fewer than KNOWN times are scored, but not told, and labels that were not
looked for are neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn import flips
from stream.learn.arrays import Spec, Specs, allocate, dump, grow, power, restore
from stream.learn.keys import of_set
from stream.learn.looked import Looked, holds

KNOWN = 20  # times that a label was given before it is told
WARM_UP = 200  # events before the first is told
DECAY = 0.9999  # of the scores that the bar is taken from
_LOW, _STEP, _BINS = -4.0, 0.125, 160
_NONE = -1e9

# sizes
EVENTS, TOLD, PARTIAL = 0, 1, 2


class State(NamedTuple):
    """What is counted."""

    sizes: Any
    given: Any  # (labels,) times given
    looked: Any  # (labels,) of the partial events, those in which it was looked for
    passed: Any  # (_BINS,) decayed count of events by their highest score


class Suspect(NamedTuple):
    """The most suspicious cell of an event that was told: `rank` from 0, -1 for not scored."""

    at: int
    slot: int
    given: bool
    rank: int
    score: float
    bar: float


SPECS: Specs = {
    "sizes": Spec((4,), np.int64),
    "given": Spec(("labels",), np.float64),
    "looked": Spec(("labels",), np.float64),
    "passed": Spec((_BINS,), np.float64),
}


class Suspicion:
    """Scores cells in stream order, and picks what is told.

    Parameters
    ----------
    share
        Share of the events of which a cell is told at most; 0 for none, and none is scored.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._capacity = {"labels": 64}
        self.state = allocate(State, SPECS, self._capacity)
        self.flips = flips.fresh()
        self._room = flips.room()
        self.slots = np.zeros((0, 0), np.int32)
        """(n, m) labels scored of the last events."""
        self.scores = np.zeros((0, 0), np.float32)
        """(n, m) score of each; very low where none is due, as for labels far down."""
        self.lost = np.zeros(0, np.float32)
        """The same of each given label that is not among them."""

    def look(
        self, slots: Any, p: Any, truths: Any, bounds: Any, looked: Looked, labels: Any
    ) -> list[Suspect]:  # fmt: skip
        """Score events in order.

        Parameters
        ----------
        slots, p
            (n, m) label slots, likeliest first and -1 at the end, and probabilities, as they
            were just before each event was learnt.
        truths, bounds, looked
            What was given and looked for; see `Model.learn`.
        labels
            (n,) int64, how many labels are known at each event.
        """
        if self._share == 0:
            return []
        self._reserve(int(labels[-1]))
        self.slots = slots
        self.scores = np.full(slots.shape, _NONE, np.float32)
        self.lost = np.full(len(truths), _NONE, np.float32)
        out = np.zeros((len(slots), 5))
        told = _look(
            self.state, self.flips, self._room, slots, p, truths, bounds, looked, labels,
            self._share, self.scores, self.lost, out,
        )  # fmt: skip
        if not told:
            return []
        found = np.flatnonzero(out[:, 0])
        return [
            Suspect(at, int(slot), state == 1, int(rank), score, bar)
            for at, (state, slot, rank, score, bar) in zip(
                found.tolist(), out[found].tolist(), strict=True
            )
        ]

    def arrays(self) -> dict[str, Any]:
        """The state by name, not copied."""
        return dump(self.state, "suspicion") | dump(self.flips, "flips")

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        self.state = restore(State, arrays, "suspicion")
        self.flips = restore(flips.Flips, arrays, "flips")
        self._capacity = {"labels": len(self.state.given)}

    def _reserve(self, labels: int) -> None:
        if labels > self._capacity["labels"]:
            self._capacity = {"labels": power(labels, self._capacity["labels"])}
            self.state = grow(self.state, SPECS, self._capacity)


@kernel
def _bar(passed: Any, share: float) -> float:
    """The lowest bin's edge that at most `share` of the mass lies at or above."""
    total = passed.sum()
    tail, at = 0.0, len(passed)
    while at > 0 and tail + passed[at - 1] <= share * total:
        at -= 1
        tail += passed[at]
    return _LOW + _STEP * at


@kernel
def _gather(slots: Any, truth: Any, named: Any, partial: bool, rank: Any, missing: Any) -> None:
    """Where the given labels stand among the slots, and where the likeliest missing ones do."""
    rank[:] = -1
    missing[:] = -1
    found = missed = 0
    for at in range(len(slots)):
        label = slots[at]
        if label < 0 or (found == len(truth) and missed == len(missing)):
            return
        here = False
        for k in range(len(truth)):
            if truth[k] == label:
                here = True
                rank[k] = at
                found += 1
        if not here and missed < len(missing) and (not partial or holds(named, label)):
            missing[missed] = at
            missed += 1


@kernel
def _look(
    s: State, f: flips.Flips, t: flips.Room, slots: Any, p: Any, truths: Any, bounds: Any,
    looked: Looked, labels: Any, share: float, scores: Any, lost: Any, out: Any,
) -> int:  # fmt: skip
    before = s.sizes[TOLD]
    ranks = np.empty(len(truths), np.int64)
    for i in range(len(slots)):
        low, high = bounds[i], bounds[i + 1]
        truth, rank = truths[low:high], ranks[low:high]
        named = looked.slots[looked.bounds[i] : looked.bounds[i + 1]]
        partial = looked.partial[i]
        _gather(slots[i], truth, named, partial, rank, t.missing)
        _score(
            s, f, t, slots[i], p[i], truth, rank, not partial, labels[i], scores[i], lost[low:high]
        )
        best, slot, at, given = _highest(s, slots[i], scores[i], truth, rank, lost[low:high], t)
        bar = _bar(s.passed, share)
        n = s.sizes[EVENTS]
        if best > bar and n >= WARM_UP and s.sizes[TOLD] + 1 <= share * n:
            s.sizes[TOLD] += 1
            out[i, 0] = 1 if given else 2
            out[i, 1], out[i, 2], out[i, 3], out[i, 4] = slot, at, best, bar
        _count(s, truth, named, partial, best)
    return s.sizes[TOLD] - before


@kernel
def _score(
    s: State, f: flips.Flips, t: flips.Room, slots: Any, p: Any, truth: Any, rank: Any,
    whole: bool, labels: int, scores: Any, lost: Any,
) -> None:  # fmt: skip
    """Score the cells of an event, and learn from it what flipped ones look like."""
    rates = flips.Rates(s.given, s.looked, s.sizes[EVENTS] - s.sizes[PARTIAL])
    key = of_set(truth)
    improbable = probable = 0.0
    for at in rank:
        improbable += flips.surprise(p[at] if at >= 0 else 0.0)
    for at in t.missing:
        if at >= 0:
            probable += flips.surprise(1.0 - p[at])
    for k in range(len(truth)):
        at, label = rank[k], truth[k]
        if s.given[label] == 0:
            continue
        own = p[at] if at >= 0 else 0.0
        t.sums[0], t.sums[1] = improbable - flips.surprise(own), probable
        flips.signs(f, rates, label, own, at >= 0, truth, key, whole, t.sums, t.x)
        score = flips.odds(f, flips.GIVEN, t.x)
        if at >= 0:
            scores[at] = score
        else:
            lost[k] = score
        if whole:
            flips.show(f, flips.GIVEN, score, False, 1.0, t)
            flips.show(f, flips.MISSING, flips.odds(f, flips.MISSING, t.x), True, 1.0, t)
    t.sums[0] = improbable
    for at in t.missing:
        if at < 0 or s.given[slots[at]] == 0:
            continue
        t.sums[1] = probable - flips.surprise(1.0 - p[at])
        flips.signs(f, rates, slots[at], p[at], True, truth, key, whole, t.sums, t.x)
        score = flips.odds(f, flips.MISSING, t.x)
        scores[at] = score
        if whole:
            flips.show(f, flips.MISSING, score, False, 1.0, t)
    if not whole or labels == 0:
        return
    label = flips.drawn(s.sizes[EVENTS], labels)
    if s.given[label] > 0 and not holds(truth, label):
        own, listed, t.sums[1] = 0.0, False, probable
        for at in range(len(slots)):
            if slots[at] == label:
                own, listed = p[at], True
                if holds(t.missing, at):
                    t.sums[1] -= flips.surprise(1.0 - own)
                break
        flips.signs(f, rates, label, own, listed, truth, key, whole, t.sums, t.x)
        score = flips.odds(f, flips.GIVEN, t.x)
        flips.show(f, flips.GIVEN, score, True, flips.usual(f), t)
    flips.learn(f, t)
    flips.count(f, truth, key, s.sizes[EVENTS])


@kernel
def _highest(
    s: State, slots: Any, scores: Any, truth: Any, rank: Any, lost: Any, t: flips.Room
) -> tuple[float, int, int, bool]:
    """The highest score of an event among labels that may be told: its label, place and kind."""
    best, slot, place, given = _NONE, -1, -1, False
    for k in range(len(truth)):
        score = scores[rank[k]] if rank[k] >= 0 else lost[k]
        if score > best and s.given[truth[k]] >= KNOWN:
            best, slot, place, given = np.float64(score), truth[k], rank[k], True
    for at in t.missing:
        if at >= 0 and scores[at] > best and s.given[slots[at]] >= KNOWN:
            best, slot, place, given = np.float64(scores[at]), slots[at], at, False
    return best, slot, place, given


@kernel
def _count(s: State, truth: Any, named: Any, partial: bool, best: float) -> None:
    s.passed[:] *= DECAY
    place = np.int64((best - _LOW) / _STEP) if best > _LOW else 0
    s.passed[min(place, len(s.passed) - 1)] += 1
    s.sizes[EVENTS] += 1
    for label in truth:
        s.given[label] += 1
    if partial:
        s.sizes[PARTIAL] += 1
        for label in named:
            s.looked[label] += 1
        for label in truth:
            if not holds(named, label):
                s.looked[label] += 1
