"""The memory that replays are drawn from: the newest labelled events, weighed.

It is the own of training, in its process; where that begins late, it begins with exemplars of the
learner.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.encoder.lessons import Inputs, Lessons

LABELS = 16  # labels kept of an event
_DRAWN = 4  # times as many are drawn as are taken, to choose by the tail


class Replay:
    """A ring of so many events.

    Parameters
    ----------
    capacity
        Events kept.
    most
        Terms of a row, 0 for dense rows.
    width
        Length of dense rows, 0 for sparse ones.
    """

    def __init__(self, capacity: int, most: int, width: int) -> None:
        self._rows = Inputs(
            np.zeros((capacity, most), np.int32),
            np.zeros((capacity, most), np.float32),
            np.zeros(capacity, np.int32),
            np.zeros((capacity, width), np.float32),
        )
        self._label = np.full((capacity, LABELS), -1, np.int32)
        self._events = 0

    def __len__(self) -> int:
        return min(self._events, len(self._label))

    def add(self, lessons: Lessons) -> Any:
        """Keep events; where they lie, (n,)."""
        count = len(lessons)
        at = (self._events + np.arange(count)) % len(self._label)
        for room, part in zip(self._rows, lessons.inputs, strict=True):
            room[at] = part
        self._label[at] = -1
        size = np.diff(lessons.bounds)
        column = np.arange(len(lessons.labels)) - np.repeat(lessons.bounds[:-1], size)
        row = np.repeat(at, size)
        kept = column < LABELS
        self._label[row[kept], column[kept]] = lessons.labels[kept]
        self._events += count
        return at

    def forget(self, label: int) -> None:
        """Take a label out of the events."""
        self._label[self._label == label] = -1

    def take(self, at: Any) -> Lessons:
        """The events at these places."""
        found = self._label[at]
        there = found >= 0
        bounds = np.zeros(len(at) + 1, np.int64)
        np.cumsum(there.sum(axis=1), out=bounds[1:])
        return Lessons(self._rows.take(at), found[there], bounds)

    def draw(self, count: int, random: np.random.Generator, weight: Any = None) -> Any:
        """Places of so many events.

        Parameters
        ----------
        weight
            (labels,) events of each label: the fewer an event's rarest label has, the likelier it
            is drawn, by one over the root. None draws evenly.
        """
        if weight is None:
            return random.integers(0, len(self), count)
        at = random.integers(0, len(self), _DRAWN * count)
        label = self._label[at]
        held = np.where(label >= 0, weight[np.maximum(label, 0)], np.inf).min(axis=1)
        chance = 1.0 / np.sqrt(np.maximum(held, 1.0))
        total = chance.sum()
        if not total > 0:
            return at[:count]
        return random.choice(at, count, replace=True, p=chance / total)

    def newest(self, count: int) -> Any:
        """Places of the newest events, oldest first."""
        first = max(self._events - min(count, len(self)), 0)
        return np.arange(first, self._events) % len(self._label)
