"""A broker in this process: topics, partitions, offsets, transactions, and a group.

It keeps the rules of `stream.source.base` as Kafka does, and lets a test do on purpose what a
cluster does by chance: offset gaps, retention, leases that move, commits that fail.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from stream.errors import CommitFailed, Fenced, LeaseLost, SourceError
from stream.source.base import Lease, Outgoing, Unpublishable
from stream.types import Record, TopicPartition


@dataclass
class _Log:
    """One partition; `records` rise in offset, with gaps."""

    records: list[Record] = field(default_factory=list)
    begin: int = 0
    end: int = 0


@dataclass
class _Topic:
    identity: str
    logs: list[_Log]
    record_bytes: int


@dataclass(frozen=True)
class _Token:
    member: str
    generation: int


class MemoryBroker:
    """Topics and one consumer group; thread-safe.

    Examples
    --------
    >>> broker = MemoryBroker()
    >>> broker.create("events", partitions=2)
    >>> broker.produce("events", b"one", partition=1)
    >>> [record.value for record in broker.read("events")]
    [b'one']
    """

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._topics: dict[str, _Topic] = {}
        self._members: dict[str, str] = {}  # member: the topic that it wants a lease on
        self._leases: dict[str, Lease] = {}
        self._generation = 0
        self._committed: dict[TopicPartition, int] = {}
        self._epochs: dict[str, int] = {}
        self._failing = 0

    def create(self, topic: str, partitions: int = 1, record_bytes: int = 1_048_576) -> None:
        """Make a topic."""
        with self.changed:
            if topic in self._topics:
                raise SourceError(f"topic {topic} exists")
            logs = [_Log() for _ in range(partitions)]
            self._topics[topic] = _Topic(str(uuid.uuid4()), logs, record_bytes)
            self._rebalance()

    def delete(self, topic: str) -> None:
        """Remove a topic with its records and committed offsets."""
        with self.changed:
            del self._topics[topic]
            self._committed = {at: to for at, to in self._committed.items() if at.topic != topic}
            self._rebalance()

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Raise the number of partitions to `partitions`; the group shares them out anew."""
        with self.changed:
            logs = self.topic(topic).logs
            logs += [_Log() for _ in range(partitions - len(logs))]
            self._rebalance()

    def trim(self, at: TopicPartition, begin: int) -> None:
        """Drop records below an offset, as retention does."""
        with self.changed:
            log = self.log(at)
            log.begin = max(log.begin, begin)
            log.end = max(log.end, begin)
            log.records = [record for record in log.records if record.offset >= begin]

    def skip(self, at: TopicPartition, offsets: int = 1) -> None:
        """Leave a gap, as transaction markers and compaction do."""
        with self.changed:
            self.log(at).end += offsets

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        """Append one record; without `partition`, the key decides."""
        with self.changed:
            self._append(Outgoing(topic, key, value, headers), partition)
            self.changed.notify_all()

    def read(self, topic: str) -> list[Record]:
        """All records of a topic, partition by partition."""
        with self.changed:
            return [record for log in self.topic(topic).logs for record in log.records]

    def join(self, member: str, topic: str) -> None:
        """Make a member of the group; all leases are given anew."""
        with self.changed:
            self._members[member] = topic
            self._rebalance()

    def leave(self, member: str) -> None:
        """Take a member out of the group."""
        with self.changed:
            if self._members.pop(member, None) is not None:
                self._leases.pop(member, None)
                self._rebalance()

    def lease(self, member: str) -> Lease:
        """A member's lease."""
        with self.changed:
            return self._leases.get(member, Lease())

    def fail_commits(self, times: int = 1) -> None:
        """Let the next commits fail, retriably."""
        with self.changed:
            self._failing = times

    def enlist(self, transactional_id: str) -> int:
        """Begin to publish under an id; whoever did before is fenced."""
        with self.changed:
            self._epochs[transactional_id] = self._epochs.get(transactional_id, -1) + 1
            return self._epochs[transactional_id]

    def commit(
        self,
        records: Sequence[Outgoing],
        positions: Mapping[TopicPartition, int],
        lease: Lease,
        transactional_id: str,
        epoch: int,
    ) -> None:
        """Publish all or nothing; see `stream.source.base.Sink.commit`."""
        with self.changed:
            if self._epochs[transactional_id] != epoch:
                raise Fenced(f"another process runs with the transactional id {transactional_id}")
            token = lease.token
            if not isinstance(token, _Token) or token.generation != self._generation:
                raise LeaseLost("the group has given the partitions out anew")
            if self._failing:
                self._failing -= 1
                raise CommitFailed("told to fail")
            for place, one in enumerate(records):
                self._check(place, one)
            for one in records:
                self._append(one, None)
            touched = {one.topic for one in records}
            for topic in touched:  # the marker that ends a transaction takes an offset
                for log in self.topic(topic).logs:
                    log.end += 1
            self._committed.update(positions)
            self.changed.notify_all()

    def topic(self, name: str) -> _Topic:
        """A topic; SourceError where it does not exist."""
        if name not in self._topics:
            raise SourceError(f"topic {name} does not exist", remedy="create it first")
        return self._topics[name]

    def log(self, at: TopicPartition) -> _Log:
        """A partition's records."""
        return self.topic(at.topic).logs[at.partition]

    def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """All partitions of some topics."""
        with self.changed:
            return [
                TopicPartition(topic, at)
                for topic in topics
                for at in range(len(self.topic(topic).logs))
            ]

    def wait(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until something is ready; `ready` is called under the lock."""
        with self.changed:
            self.changed.wait_for(ready, timeout_s)

    def _check(self, place: int, one: Outgoing) -> None:
        limit = self.topic(one.topic).record_bytes
        size = len(one.key or b"") + len(one.value or b"")
        if size > limit:
            raise Unpublishable(f"a record of {size} bytes is over {limit} of {one.topic}", [place])

    def _append(self, one: Outgoing, partition: int | None) -> None:
        logs = self.topic(one.topic).logs
        if partition is None:
            partition = crc32(one.key or b"") % len(logs)
        log = logs[partition]
        log.records.append(
            Record(
                one.topic, partition, log.end, one.key, one.value,
                int(time.time() * 1_000), one.headers,
            )
        )  # fmt: skip
        log.end += 1

    def _rebalance(self) -> None:
        """Share each topic's partitions out in ranges, under a new generation."""
        self._generation += 1
        for member, topic in self._members.items():
            mine: list[TopicPartition] = []
            if topic in self._topics:
                sharers = sorted(one for one, wants in self._members.items() if wants == topic)
                share, rest = divmod(len(self._topics[topic].logs), len(sharers))
                rank = sharers.index(member)
                first = rank * share + min(rank, rest)
                count = share + (rank < rest)
                mine = [TopicPartition(topic, at) for at in range(first, first + count)]
            published = {at: self._committed.get(at, self.log(at).begin) for at in mine}
            self._leases[member] = Lease(published, _Token(member, self._generation))
        self.changed.notify_all()
