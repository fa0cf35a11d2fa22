"""The ledger: what was learnt, what is published, and what is to be done with a record.

`learnt` and `published` hold the offset of the next record, per partition. A record is learnt
once, at or past `learnt`; it is published once, at or past `published`, while its partition is
leased. Records below `learnt` but not yet published are predicted late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stream.source.base import Lease
from stream.types import Record, TopicPartition


class Duty(NamedTuple):
    """What a record asks for."""

    publish: bool
    learn: bool


class Ledger:
    """Positions of one member.

    Parameters
    ----------
    learnt
        Positions from a snapshot; empty for a new model.
    """

    def __init__(self, learnt: Mapping[TopicPartition, int]) -> None:
        self.learnt = dict(learnt)
        self._published: dict[TopicPartition, int] = {}

    def take(self, lease: Lease) -> dict[TopicPartition, int]:
        """Work under another lease; returns where to seek for what is not published yet."""
        self._published = dict(lease.published)
        return {
            at: start
            for at, start in lease.published.items()
            if at in self.learnt and start < self.learnt[at]
        }

    def drop(self) -> None:
        """Publish nothing until there is another lease."""
        self._published = {}

    def duty(self, record: Record) -> Duty:
        """What is to be done with a record."""
        at = record.at
        start = self._published.get(at)
        publish = start is not None and record.offset >= start
        return Duty(publish, record.offset >= self.learnt.get(at, 0))

    def done(self, records: Iterable[Record]) -> dict[TopicPartition, int]:
        """Note records as learnt and handed to the sink; returns positions to commit."""
        commit: dict[TopicPartition, int] = {}
        for record in records:
            at, following = record.at, record.offset + 1
            self.learnt[at] = max(self.learnt.get(at, 0), following)
            if at in self._published and following > self._published[at]:
                self._published[at] = commit[at] = following
        return commit
