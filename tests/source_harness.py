"""The same handles on memory and on Kafka, so that one contract suite runs on both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPartition

from stream.config import Kafka, Topics
from stream.source.base import Lease, Outgoing, Sink, Source
from stream.source.kafka import KafkaSink, KafkaSource, create_topics
from stream.source.memory import MemoryBroker, MemorySink, MemorySource
from stream.types import Record, TopicPartition

PATIENCE_S = 40.0
SMALL_TOPIC_BYTES = 1_048_576


class Harness(Protocol):
    """A cluster with two events partitions, and what may happen to it."""

    topics: Topics

    def source(self, member: str = "a") -> Source: ...
    def sink(self, member: str = "a") -> Sink: ...
    def produce(self, partition: int, *values: bytes | None, topic: str | None = None) -> None: ...
    def gap(self, partition: int) -> None: ...
    def read(self, topic: str) -> list[Outgoing]: ...
    def trim(self, partition: int, begin: int) -> None: ...
    def add_partitions(self, count: int) -> None: ...
    def recreate(self) -> None: ...
    def close(self) -> None: ...


class MemoryHarness:
    def __init__(self, topics: Topics) -> None:
        self.topics = topics
        self._broker = MemoryBroker()
        self._broker.create(topics.events, 2)
        for name in (topics.labels, topics.predictions, topics.drift, topics.dead_letters):
            self._broker.create(name, record_bytes=SMALL_TOPIC_BYTES)

    def source(self, member: str = "a") -> Source:
        return MemorySource(self._broker, (self.topics.events, self.topics.labels), member)

    def sink(self, member: str = "a") -> Sink:
        return MemorySink(self._broker, member)

    def produce(self, partition: int, *values: bytes | None, topic: str | None = None) -> None:
        for value in values:
            self._broker.produce(
                topic or self.topics.events, value, b"key", partition, (("h", b"1"),)
            )

    def gap(self, partition: int) -> None:
        self._broker.skip(TopicPartition(self.topics.events, partition), 2)

    def read(self, topic: str) -> list[Outgoing]:
        return [Outgoing(r.topic, r.key, r.value, r.headers) for r in self._broker.read(topic)]

    def trim(self, partition: int, begin: int) -> None:
        self._broker.trim(TopicPartition(self.topics.events, partition), begin)

    def add_partitions(self, count: int) -> None:
        self._broker.add_partitions(self.topics.events, count)

    def recreate(self) -> None:
        self._broker.delete(self.topics.events)
        self._broker.create(self.topics.events, 2)

    def close(self) -> None:
        pass


class KafkaHarness:
    def __init__(self, topics: Topics, member: Callable[..., Kafka]) -> None:
        self.topics = topics
        self._member = member
        self._open: list[Source | Sink] = []
        create_topics(member(), topics, partitions=2)
        self._servers = member().bootstrap_servers
        self._admin = KafkaAdminClient(bootstrap_servers=self._servers)
        self._producer = KafkaProducer(bootstrap_servers=self._servers)

    def source(self, member: str = "a") -> Source:
        self._open.append(made := KafkaSource(self._member(member), self.topics))
        return made

    def sink(self, member: str = "a") -> Sink:
        self._open.append(made := KafkaSink(self._member(member)))
        return made

    def produce(self, partition: int, *values: bytes | None, topic: str | None = None) -> None:
        sent = [
            self._producer.send(
                topic or self.topics.events, value, b"key", [("h", b"1")], partition=partition
            )
            for value in values
        ]
        for future in sent:
            future.get(PATIENCE_S)

    def gap(self, partition: int) -> None:
        """An aborted transaction: its record and its marker take an offset each."""
        producer = KafkaProducer(
            bootstrap_servers=self._servers, transactional_id=f"{self.topics.events}-gap"
        )
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(self.topics.events, b"aborted", partition=partition).get(PATIENCE_S)
        producer.abort_transaction()
        producer.close()

    def read(self, topic: str) -> list[Outgoing]:
        consumer = KafkaConsumer(
            bootstrap_servers=self._servers, isolation_level="read_committed",
            enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50,
        )  # fmt: skip
        parts = [KafkaPartition(topic, at) for at in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found: list[Outgoing] = []
        while any(consumer.position(at) < ends[at] for at in parts):
            for batch in consumer.poll(200).values():
                found += [Outgoing(r.topic, r.key, r.value, tuple(r.headers)) for r in batch]
        consumer.close()
        return found

    def trim(self, partition: int, begin: int) -> None:
        self._admin.delete_records({KafkaPartition(self.topics.events, partition): begin})

    def add_partitions(self, count: int) -> None:
        self._admin.create_partitions({self.topics.events: count})

    def recreate(self) -> None:
        self._admin.delete_topics([self.topics.events])
        until(lambda: self.topics.events not in self._admin.list_topics())
        create_topics(self._member(), self.topics, partitions=2)

    def close(self) -> None:
        for one in self._open:
            one.close()
        self._producer.close()
        self._admin.close()


def until(done: Callable[[], bool]) -> None:
    """Wait for something that is bound to happen."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.02)


def take(source: Source, count: int) -> list[Record]:
    """Poll until `count` records have come; then once more, for what should not come."""
    records: list[Record] = []

    def enough() -> bool:
        records.extend(source.poll(7, 0.05))
        return len(records) >= count

    until(enough)
    records += source.poll(100, 0.2)
    assert len(records) == count, [record.value for record in records]
    return records


def leased(source: Source, partitions: int, other_than: Lease | None = None) -> Lease:
    """Poll until a lease on so many partitions is in force."""

    def there() -> bool:
        source.poll(1_000, 0.02)
        lease = source.lease()
        return lease is not other_than and len(lease.published) == partitions

    until(there)
    return source.lease()


def values(records: list[Record]) -> dict[TopicPartition, list[bytes | None]]:
    """The values of each partition, in order of delivery."""
    found: dict[TopicPartition, list[bytes | None]] = {}
    for record in records:
        found.setdefault(record.at, []).append(record.value)
    return found


def starts(source: Source) -> Mapping[TopicPartition, int]:
    """Offset zero of every partition."""
    return dict.fromkeys(source.partitions(), 0)
