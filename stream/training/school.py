"""Where encoders are trained, as the pipeline sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from stream.learn.encoder.encoders import Encoder
from stream.learn.encoder.lessons import Inputs, Lessons, joined
from stream.learn.encoder.verdicts import Promoted, Refused

BATCH = 256
"""Events that are learnt together."""
OVER = 3
"""The status with which a process ends that has no room for the labels."""


class School(Protocol):
    """Trains challengers on what it is shown, and tells what came of them.

    None of its calls waits for training. Calls come from one thread.
    """

    def learn(self, lessons: Lessons) -> None:
        """Show labelled events; some are passed over where training is slower."""
        ...

    def recall(self, lessons: Lessons) -> None:
        """Show events of before it began, to draw from; a new challenger knows their labels.

        They are not shown again to a process that ended and was begun anew.
        """
        ...

    def describe(self, label: int, row: Inputs) -> None:
        """Tell what a label means."""
        ...

    def retire(self, label: int) -> None:
        """Tell that a label is no more."""
        ...

    def alarm(self) -> None:
        """Ask for a challenger, after a drift alarm."""
        ...

    def crown(self, encoder: Encoder, labels: Any, means: Any, weights: Any) -> None:
        """Tell which encoder is the champion, and its prototypes; none said is the projection."""
        ...

    def keep(self, position: int) -> None:
        """A snapshot of the stream is taken here: let the challenger be kept too, in a while."""
        ...

    def resume(self, position: int) -> None:
        """Go on with what was kept up to here; before anything else is said."""
        ...

    def news(self) -> list[Promoted | Refused]:
        """What came of trials since the last call."""
        ...

    def told(self) -> dict[str, float]:
        """Counters and gauges by the name of their metric."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Gathered:
    """Events gathered into batches of exactly BATCH, however they come."""

    def __init__(self) -> None:
        self._parts: list[Lessons] = []
        self._held = 0

    def add(self, lessons: Lessons) -> list[Lessons]:
        """Take events; the batches that are full by them."""
        full = []
        start = 0
        while start < len(lessons):
            stop = min(len(lessons), start + BATCH - self._held)
            self._parts.append(part(lessons, start, stop))
            self._held += stop - start
            start = stop
            if self._held == BATCH:
                full.append(joined(self._parts))
                self._parts, self._held = [], 0
        return full

    def retire(self, label: int) -> None:
        """Take a label out of the events that are held."""
        self._parts = [_without(part, label) for part in self._parts]


def parted(lessons: Lessons) -> Iterator[Lessons]:
    """BATCH at a time."""
    for start in range(0, len(lessons), BATCH):
        yield part(lessons, start, min(start + BATCH, len(lessons)))


def _without(lessons: Lessons, label: int) -> Lessons:
    there = lessons.labels != label
    if there.all():
        return lessons
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(there)])
    return Lessons(lessons.inputs, lessons.labels[there], before[lessons.bounds])


def part(lessons: Lessons, start: int, stop: int) -> Lessons:
    """Events start to stop."""
    if start == 0 and stop == len(lessons):
        return lessons
    bounds = lessons.bounds[start : stop + 1]
    labels = lessons.labels[bounds[0] : bounds[-1]]
    rows = lessons.inputs.take(np.arange(start, stop))
    return Lessons(rows, labels, bounds - bounds[0])
