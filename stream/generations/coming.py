"""A generation that is being made: filled in a thread, then brought up to date a step at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from stream.beside import beside
from stream.features import Rows
from stream.learn.extreme.learner import ExtremeLearner
from stream.retrieval import Retrieval

_AT_ONCE = 512  # events that are caught up with in a step, at least
_MISSED = 1 << 16  # events kept for it; the oldest give way

Ids = list[list[int]]


class Begun(NamedTuple):
    """What was told of a generation when it was begun.

    Parameters
    ----------
    kind
        "promotion" or "rollback".
    encoder, dimension, number
        Of the generation.
    labels
        Prototypes that it begins with.
    evidence
        For the event that tells of it; plain JSON.
    """

    kind: str
    encoder: str
    dimension: int
    number: int
    labels: int
    evidence: dict[str, Any]


class Coming:
    """A generation that is being filled, and what it is still to learn.

    Parameters
    ----------
    begun
        What is told of it.
    make
        Fills it; called in a thread of its own.
    """

    def __init__(self, begun: Begun, make: Callable[[], Retrieval]) -> None:
        self.begun = begun
        self._missed: deque[tuple[Rows, Ids]] = deque()
        self._waiting = self._fresh = 0
        self._gone: list[int] = []
        self._made = beside(make, "generation")

    def learn(self, rows: Rows, ids: Ids) -> None:
        """Events with the ids of their labels, for when it is filled."""
        self._missed.append((rows, ids))
        self._waiting += len(ids)
        self._fresh += len(ids)
        while self._waiting > _MISSED:
            self._waiting -= len(self._missed.popleft()[1])

    def retire(self, identity: int) -> None:
        """Let a label be forgotten that was retired meanwhile, but for events after that."""
        self._gone.append(identity)
        _without(self._missed, {identity})

    def turn(self, learner: ExtremeLearner) -> Retrieval | None:
        """Learn some of what was missed, more than came since the last call; it, once that was all.

        Raises
        ------
        Exception
            It could not be filled.
        """
        most, self._fresh = max(_AT_ONCE, 2 * self._fresh), 0
        if not self._made.done():
            return None
        made = self._made.result()
        for identity in self._gone:
            made.retire(identity)
        self._gone.clear()
        while self._missed and most > 0:
            rows, ids = self._missed.popleft()
            made.learn(ids, made.encoder.embed(learner, rows))
            self._waiting -= len(ids)
            most -= len(ids)
        return None if self._missed else made


def _without(kept: Iterable[tuple[Rows, Ids]], ids: set[int]) -> None:
    """Take labels out of events."""
    for _, each in kept:
        for row in each:
            if not ids.isdisjoint(row):
                row[:] = [one for one in row if one not in ids]
