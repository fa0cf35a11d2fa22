"""A seeded stream of labelled texts with planted truth.

Labels live in groups of 10 to 30 and are drawn by Zipf's law, groups first, then labels inside;
four events in ten mix two groups. A text holds now and then a word of a label's own, words that
many labels share, words of the groups, and common words as noise. Labels appear over time, and
at known moments half of the groups exchange their labels, so that both co-occurrence and the
meaning of group words change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from stream.source.synthetic.words import label_name, word, zipf
from stream.types import Int64

_SHARED = 600  # words that no label has for itself


@dataclass(frozen=True)
class Planted:
    """What to plant.

    Parameters
    ----------
    labels
        Labels in all.
    first
        Share of the labels that are there from the start.
    appear
        Events between the appearances of two new labels.
    remix
        Events between re-mixes of half the groups; 0 for never.
    noise
        Probability of a random label beside the planted ones.
    seed
        Of everything.
    """

    labels: int = 4_000
    first: float = 0.5
    appear: int = 20
    remix: int = 10_000
    noise: float = 0.05
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Event:
    """An event as drawn: label numbers and words."""

    id: str
    labels: tuple[int, ...]
    text: str


class SyntheticStream:
    """Draws events; two with equal `Planted` draw the same ones.

    Examples
    --------
    >>> stream = SyntheticStream(Planted(labels=100, seed=1))
    >>> a, b = next(iter(stream)), next(iter(SyntheticStream(Planted(labels=100, seed=1))))
    >>> a == b
    True
    """

    def __init__(self, planted: Planted) -> None:
        self.planted = planted
        self._rng = np.random.default_rng(planted.seed)
        self.groups = self._first_groups()
        self.drawn = 0
        self._alive = max(int(planted.labels * planted.first), min(planted.labels, 30))
        self._reach = zipf(len(self.groups))

    @property
    def alive(self) -> int:
        """Labels that can occur now: those numbered below it."""
        return self._alive

    def group_of(self) -> Int64:
        """(labels,) the planted group of each label now."""
        where = np.zeros(self.planted.labels, np.int64)
        for number, members in enumerate(self.groups):
            where[members] = number
        return where

    def __iter__(self) -> Iterator[Event]:
        while True:
            yield self.draw()

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Events as (key, value) pairs in the event contract."""
        for event in self:
            body = {
                "id": event.id,
                "text": event.text,
                "labels": [label_name(label) for label in event.labels],
            }
            yield event.id.encode(), orjson.dumps(body)

    def draw(self) -> Event:
        """The next event."""
        plan = self.planted
        if plan.remix and self.drawn and self.drawn % plan.remix == 0:
            self._remix()
        if plan.appear and self.drawn % plan.appear == 0:
            self._alive = min(self._alive + 1, plan.labels)
        labels, groups = self._labels()
        event = Event(f"synthetic-{self.drawn}", labels, self._text(labels, groups))
        self.drawn += 1
        return event

    def _first_groups(self) -> list[Int64]:
        order = self._rng.permutation(self.planted.labels)
        groups, at = [], 0
        while at < len(order):
            size = int(self._rng.integers(10, 31))
            groups.append(order[at : at + size])
            at += size
        return groups

    def _remix(self) -> None:
        chosen = self._rng.permutation(len(self.groups))[: len(self.groups) // 2]
        if not len(chosen):  # one group has nothing to exchange with
            return
        pool = self._rng.permutation(np.concatenate([self.groups[group] for group in chosen]))
        at = 0
        for group in chosen:
            size = len(self.groups[group])
            self.groups[group] = pool[at : at + size]
            at += size

    def _labels(self) -> tuple[tuple[int, ...], list[int]]:
        rng = self._rng
        picked: dict[int, None] = {}
        groups: list[int] = []
        for _ in range(2 if rng.random() < 0.4 else 1):
            for _ in range(20):  # until a group with labels alive comes up
                group = int(np.searchsorted(self._reach, rng.random()))
                alive = self.groups[group][self.groups[group] < self._alive]
                if len(alive):
                    break
            else:
                continue
            groups.append(group)
            reach = zipf(len(alive))
            for _ in range(int(rng.integers(1, 5))):
                picked[int(alive[np.searchsorted(reach, rng.random())])] = None
        if rng.random() < self.planted.noise or not picked:
            picked[int(rng.integers(self._alive))] = None
        return tuple(picked), groups

    def _text(self, labels: tuple[int, ...], groups: list[int]) -> str:
        rng = self._rng
        words = []
        for label in labels:
            if rng.random() < 0.5:
                words.append(word("label", label, int(rng.integers(0, 4))))
            shared = (7_919 * label + 104_729 * rng.integers(0, 6, 2)) % _SHARED
            words += [word("shared", int(owner), 0) for owner in shared]
        words += [word("group", group, int(k)) for group in groups for k in rng.integers(0, 8, 3)]
        common = np.minimum(rng.zipf(1.3, 12), 2_000)
        words += [word("common", 0, int(k)) for k in common]
        return " ".join(words[at] for at in rng.permutation(len(words)))
