"""Source and sink on a `MemoryBroker`, for tests and for runs without Kafka."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

from stream.errors import RetentionGap, SourceError
from stream.source.base import Lease, Outgoing
from stream.source.broker import MemoryBroker
from stream.types import Record, TopicPartition

__all__ = ["MemoryBroker", "MemorySink", "MemorySource"]


class MemorySource:
    """Records of some topics of a broker; see `stream.source.base.Source`.

    Parameters
    ----------
    topics
        What to read; the lease concerns the first alone.
    member
        The name in the group.
    """

    def __init__(
        self, broker: MemoryBroker, topics: Sequence[str], member: str = "member-0"
    ) -> None:
        self._broker = broker
        self._topics = tuple(topics)
        self._member = member
        self._next: dict[TopicPartition, int] = {}
        self._turn = 0
        self._held: set[TopicPartition] = set()
        with broker.changed:
            self._ids = {name: broker.topic(name).identity for name in self._topics}
            self._follow()
            broker.join(member, self._topics[0])

    def partitions(self) -> Sequence[TopicPartition]:
        return tuple(self._next)

    def topic_ids(self) -> Mapping[str, str]:
        return self._ids

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        with self._broker.changed:
            self._follow()
            for at, wanted in positions.items():
                if at not in self._next:
                    raise SourceError(f"{at.topic}/{at.partition} does not exist")
                self._present(at, wanted)
            self._next.update(positions)
            self._held.difference_update(positions)

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        self._held.update(partitions)

    def beat(self) -> None:
        """Nothing waits for it."""

    def poll(self, most: int, timeout_s: float) -> list[Record]:
        with self._broker.changed:
            self._broker.wait(lambda: self._follow() or self._ready(), timeout_s)
            records: list[Record] = []
            order = [at for at in self._next if at not in self._held]
            self._turn += 1  # begin elsewhere each time, so that no partition starves
            for turn in range(len(order)):
                at = order[(self._turn + turn) % len(order)]
                records += self._take(at, most - len(records))
            return records

    def lease(self) -> Lease:
        return self._broker.lease(self._member)

    def lag(self) -> int:
        with self._broker.changed:
            return sum(len(self._broker.log(at).records) - self._place(at) for at in self._next)

    def finished(self) -> bool:
        return False

    def close(self) -> None:
        self._broker.leave(self._member)

    def _follow(self) -> bool:
        """Notice new partitions, and topics made anew; always False."""
        for name, identity in self._ids.items():
            if self._broker.topic(name).identity != identity:
                raise RetentionGap(f"topic {name} was deleted and made anew")
        for at in self._broker.partitions(self._topics):
            self._next.setdefault(at, self._broker.log(at).begin)
        return False

    def _present(self, at: TopicPartition, wanted: int) -> None:
        begin = self._broker.log(at).begin
        if wanted < begin:
            raise RetentionGap(
                f"{at.topic}/{at.partition} starts at offset {begin}, but {wanted} is needed"
            )

    def _ready(self) -> bool:
        reading = self._next.keys() - self._held
        return any(self._place(at) < len(self._broker.log(at).records) for at in reading)

    def _place(self, at: TopicPartition) -> int:
        """Index of the next record in its log."""
        return bisect_left(self._broker.log(at).records, self._next[at], key=lambda r: r.offset)

    def _take(self, at: TopicPartition, most: int) -> list[Record]:
        self._present(at, self._next[at])
        place = self._place(at)
        taken = self._broker.log(at).records[place : place + most]
        if taken:
            self._next[at] = taken[-1].offset + 1
        return taken


class MemorySink:
    """Publishes to a broker; see `stream.source.base.Sink`."""

    def __init__(self, broker: MemoryBroker, member: str = "member-0") -> None:
        self._broker = broker
        self._id = f"memory-{member}"
        self._epoch = broker.enlist(self._id)

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        self._broker.commit(records, positions, lease, self._id, self._epoch)

    def close(self) -> None:
        """Nothing is held."""
