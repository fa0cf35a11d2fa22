"""Labels that look wrong: given ones that the model finds very unlikely, missing ones very likely.

A cell (event, label) is scored before it is learnt, by the log odds that it was flipped. For a
missing label that is the logit of its probability; for a given one, how far its logit lies below
that of the label's own rate, since a wrong label is given wherever, and a right one where the model
expects it at least as often as on average. A given label that was not even on the shortlist
counts by how seldom that happens to given labels.

Of each event the most suspicious cell is told where it passes a bar: the score that a set share
of recent events passes, and never more than that share of all events. New labels and
labels that were not looked for are never suspicious.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from stream.learn.arrays import Spec, Specs, allocate, dump, grow, power, restore
from stream.learn.jit import kernel
from stream.learn.looked import Looked, holds

KNOWN = 20  # times that a label was given before it is judged
WARM_UP = 200  # events before the first is told
DECAY = 0.9999  # of the scores that the bar is taken from
_LOW, _STEP, _BINS = -4.0, 0.125, 160
_NONE = -1e9

# sizes
EVENTS, TOLD, PARTIAL = 0, 1, 2
# totals: given labels, and those of them that were not scored at all
GIVEN, LOST = 0, 1


class State(NamedTuple):
    """What is counted."""

    sizes: Any
    totals: Any
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


_SPECS: Specs = {
    "sizes": Spec((4,), np.int64),
    "totals": Spec((2,), np.float64),
    "given": Spec(("labels",), np.float64),
    "looked": Spec(("labels",), np.float64),
    "passed": Spec((_BINS,), np.float64),
}


class Suspicion:
    """Scores cells in stream order, and picks what is told.

    Parameters
    ----------
    share
        Share of the events of which a cell is told at most; 0 for none.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._capacity = {"labels": 64}
        self.state = allocate(State, _SPECS, self._capacity)
        self.slots = np.zeros((0, 0), np.int32)
        """(n, m) labels scored of the last events."""
        self.scores = np.zeros((0, 0), np.float32)
        """(n, m) score of each, very low where none is due."""
        self.lost = np.zeros(0, np.float32)
        """The same of each given label that was not scored."""

    def look(
        self, slots: Any, p: Any, truths: Any, bounds: Any, looked: Looked, labels: int
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
            Labels known.
        """
        self._reserve(labels)
        self.slots = slots
        self.scores = np.full(slots.shape, _NONE, np.float32)
        self.lost = np.full(len(truths), _NONE, np.float32)
        out = np.zeros((len(slots), 5))
        told = _look(
            self.state, slots, p, truths, bounds, looked, self._share, self.scores, self.lost, out,
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
        return dump(self.state, "suspicion")

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        self.state = restore(State, arrays, "suspicion")
        self._capacity = {"labels": len(self.state.given)}

    def _reserve(self, labels: int) -> None:
        if labels > self._capacity["labels"]:
            self._capacity = {"labels": power(labels, self._capacity["labels"])}
            self.state = grow(self.state, _SPECS, self._capacity)


@kernel
def _logit(p: float) -> float:
    bounded = min(max(np.float64(p), 1e-6), 1.0 - 1e-6)
    return np.log(bounded / (1.0 - bounded))


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
def _look(
    s: State, slots: Any, p: Any, truths: Any, bounds: Any, looked: Looked, share: float,
    scores: Any, lost: Any, out: Any,
) -> int:  # fmt: skip
    before = s.sizes[TOLD]
    for i in range(len(slots)):
        truth = truths[bounds[i] : bounds[i + 1]]
        named = looked.slots[looked.bounds[i] : looked.bounds[i + 1]]
        partial = looked.partial[i]
        best, slot, rank, given = _NONE, -1, -1, False
        found = 0
        for at in range(slots.shape[1]):
            label = slots[i, at]
            if label < 0:
                break
            here = holds(truth, label)
            found += here
            if s.given[label] < KNOWN:
                continue
            if here:
                n = s.sizes[EVENTS] - s.sizes[PARTIAL] + s.looked[label]
                score = _logit((s.given[label] + 0.5) / (n + 1.0)) - _logit(p[i, at])
            elif partial and not holds(named, label):
                continue
            else:
                score = _logit(p[i, at])
            scores[i, at] = score
            if score > best:
                best, slot, rank, given = score, label, at, here
        if found < len(truth):
            seldom = np.log((s.totals[GIVEN] + 2.0) / (s.totals[LOST] + 1.0))
            for k in range(len(truth)):
                if s.given[truth[k]] >= KNOWN and not holds(slots[i], truth[k]):
                    lost[bounds[i] + k] = seldom
                    if seldom > best:
                        best, slot, rank, given = seldom, truth[k], -1, True
        bar = _bar(s.passed, share)
        n = s.sizes[EVENTS]
        if best > bar and n >= WARM_UP and s.sizes[TOLD] + 1 <= share * n:
            s.sizes[TOLD] += 1
            out[i, 0] = 1 if given else 2
            out[i, 1], out[i, 2], out[i, 3], out[i, 4] = slot, rank, best, bar
        _count(s, truth, named, partial, len(truth) - found, best)
    return s.sizes[TOLD] - before


@kernel
def _count(s: State, truth: Any, named: Any, partial: bool, lost: int, best: float) -> None:
    s.passed[:] *= DECAY
    place = np.int64((best - _LOW) / _STEP) if best > _LOW else 0
    s.passed[min(place, len(s.passed) - 1)] += 1
    s.sizes[EVENTS] += 1
    s.totals[GIVEN] = s.totals[GIVEN] * DECAY + len(truth)
    s.totals[LOST] = s.totals[LOST] * DECAY + lost
    for label in truth:
        s.given[label] += 1
    if partial:
        s.sizes[PARTIAL] += 1
        for label in named:
            s.looked[label] += 1
        for label in truth:
            if not holds(named, label):
                s.looked[label] += 1
