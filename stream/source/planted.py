"""Seeded streams of label sets alone, with planted groups: what partitions are measured on.

Two kinds, so that what is tuned on one is judged on the other. Both draw events in bulk, as one
array of labels and one of bounds, and both can re-mix half of their groups between two draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from stream.types import Int64

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]


class PlantedLabels(ABC):
    """Labels stand on places; groups are runs of places.

    Parameters
    ----------
    labels
        Labels in all.
    sizes
        Of the groups, at least as many as it takes; the last is cut to fit.
    rng
        Draws everything; two streams with equal seeds and equal calls give equal events.
    """

    def __init__(self, labels: int, sizes: Int64, rng: np.random.Generator) -> None:
        ends = np.minimum(np.cumsum(sizes), labels)
        count = int(np.searchsorted(ends, labels)) + 1
        self.labels = labels
        self.bounds = np.concatenate([[0], ends[:count]])
        """(groups + 1,) the first place of each group."""
        self.group_at = np.repeat(np.arange(count), np.diff(self.bounds))
        """(labels,) the group of each place."""
        self.label_at = rng.permutation(labels)
        """(labels,) the label on each place."""
        self._rng = rng

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.bounds) - 1

    def group_of(self) -> Int64:
        """(labels,) the group of each label now."""
        where = np.empty(self.labels, np.int64)
        where[self.label_at] = self.group_at
        return where

    def remix(self) -> NDArray[np.bool_]:
        """Let half of the groups exchange their labels at random; (labels,) bool: whose did."""
        chosen = self._rng.permutation(self.groups)[: self.groups // 2]
        mixed = np.isin(self.group_at, chosen)
        self.label_at[mixed] = self._rng.permutation(self.label_at[mixed])
        took_part = np.empty(self.labels, np.bool_)
        took_part[self.label_at] = mixed
        return took_part

    def draw(self, events: int) -> tuple[Int32, Int64]:
        """The next events.

        Returns
        -------
        truths : int32
            The labels of all events in a row, rising and distinct inside each.
        bounds : (events + 1,) int64
            Where each event's labels start.
        """
        event, label = self._pairs(events)
        pairs = np.unique(event * self.labels + label)
        counts = np.bincount(pairs // self.labels, minlength=events)
        bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return (pairs % self.labels).astype(np.int32), bounds

    @abstractmethod
    def _pairs(self, events: int) -> tuple[Int64, Int64]:
        """Event and label of every draw, repeats and all."""

    def _noise(self, events: int, rate: float) -> tuple[Int64, Int64]:
        """Labels drawn evenly from all, Poisson many an event."""
        event = np.repeat(np.arange(events), self._rng.poisson(rate, events))
        return event, self._rng.integers(0, self.labels, len(event))


class ZipfGroups(PlantedLabels):
    """Groups of 10 to 30 labels whose rates fall by Zipf's law over all labels.

    An event draws 1 to 4 labels of one group, four events in ten of a second one too. Labels
    keep their rates when groups are re-mixed.

    Parameters
    ----------
    labels
        Labels in all.
    seed
        Of everything.
    two
        Share of events that mix two groups.
    noise
        Labels out of nowhere, a mean event.
    """

    def __init__(self, labels: int, seed: int = 0, two: float = 0.4, noise: float = 0.05) -> None:
        rng = np.random.default_rng((labels, seed))
        super().__init__(labels, rng.integers(10, 31, labels // 10 + 1), rng)
        self.rate: Float64 = 1.0 / rng.permutation(np.arange(1, labels + 1))
        """(labels,) how often each is drawn, up to a factor."""
        self._two, self._noise_rate = two, noise

    def _pairs(self, events: int) -> tuple[Int64, Int64]:
        rng = self._rng
        reach = np.concatenate([[0.0], np.cumsum(self.rate[self.label_at])])
        event = np.concatenate([np.arange(events), np.flatnonzero(rng.random(events) < self._two)])
        group = self.group_at[self._at(reach, rng.random(len(event)) * reach[-1])]
        times = rng.integers(1, 5, len(event))
        event, group = np.repeat(event, times), np.repeat(group, times)
        low, high = reach[self.bounds[group]], reach[self.bounds[group + 1]]
        place = self._at(reach, low + rng.random(len(event)) * (high - low))
        place = np.clip(place, self.bounds[group], self.bounds[group + 1] - 1)
        noise, label = self._noise(events, self._noise_rate)
        return np.concatenate([event, noise]), np.concatenate([self.label_at[place], label])

    def _at(self, reach: Float64, value: Float64) -> Int64:
        return np.minimum(np.searchsorted(reach, value, side="right") - 1, self.labels - 1)


class GraphWalks(PlantedLabels):
    """Walks on a sparse graph whose dense parts are groups of 3 to 60 labels.

    Group sizes are even in their logarithm. Each label has `DEGREE` neighbours in its own group
    (with repeats in a small one). The groups of one family of five are linked: now and then a
    step of a walk goes to any label of the family. Labels are about equally frequent; a walk
    visits 2 labels and Poisson(2) more, some of them twice.

    Parameters
    ----------
    labels
        Labels in all.
    seed
        Of everything.
    leave
        Probability that a step goes to any label of the family.
    noise
        Labels out of nowhere, a mean event.
    """

    DEGREE = 8
    FAMILY = 5

    def __init__(self, labels: int, seed: int = 0, leave: float = 0.1, noise: float = 0.1) -> None:
        rng = np.random.default_rng((labels, seed))
        sizes = np.exp(rng.uniform(np.log(3), np.log(61), labels // 3 + 1)).astype(np.int64)
        super().__init__(labels, sizes, rng)
        self._reach = np.cumsum(rng.lognormal(0.0, 0.5, labels))
        self._neighbours = self._plant()
        family = np.arange(self.groups) // self.FAMILY * self.FAMILY
        self._family_low = self.bounds[family]
        self._family_high = self.bounds[np.minimum(family + self.FAMILY, self.groups)]
        self._leave, self._noise_rate = leave, noise

    def _plant(self) -> Int64:
        """(labels, DEGREE) places next to each: on rings through its group in random orders."""
        places = np.arange(self.labels)
        beside = []
        for _ in range(self.DEGREE // 2):
            ring = np.lexsort((self._rng.random(self.labels), self.group_at))
            after, before = places + 1, places - 1
            after[self.bounds[1:] - 1] = self.bounds[:-1]
            before[self.bounds[:-1]] = self.bounds[1:] - 1
            where = np.empty_like(ring)
            where[ring] = places
            beside += [ring[after[where]], ring[before[where]]]
        return np.stack(beside, axis=1)

    def _pairs(self, events: int) -> tuple[Int64, Int64]:
        rng = self._rng
        steps = 1 + rng.poisson(2.0, events)
        walking = np.arange(events)
        place = np.searchsorted(self._reach, rng.random(events) * self._reach[-1])
        event, seen = [walking], [place]
        for step in range(1, int(steps.max(initial=0)) + 1):
            on = steps[walking] >= step
            walking, place = walking[on], place[on]
            near = self._neighbours[place, rng.integers(0, self.DEGREE, len(place))]
            low, high = (
                ends[self.group_at[place]] for ends in (self._family_low, self._family_high)
            )
            far = low + np.floor(rng.random(len(place)) * (high - low)).astype(np.int64)
            place = np.where(rng.random(len(place)) < self._leave, far, near)
            event.append(walking)
            seen.append(place)
        noise, label = self._noise(events, self._noise_rate)
        return np.concatenate([*event, noise]), np.concatenate(
            [self.label_at[np.concatenate(seen)], label]
        )
