"""An accountant who trusts nobody: what was produced against what can be read, from the topics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import orjson
from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition

from stream.config import Topics


@dataclass(frozen=True)
class Account:
    """What a reader of committed records finds, compared with the events topic."""

    events: int
    lost: int
    repeated: int
    disordered: int
    dead: int
    bad: int

    @property
    def clean(self) -> bool:
        """One prediction for each good event, one dead letter for each bad one, in order."""
        return not (self.lost or self.repeated or self.disordered) and self.dead == self.bad


def committed(servers: str, topic: str) -> list[tuple[int, int, bytes, bytes]]:
    """Partition, offset, key and value of every committed record."""
    consumer = KafkaConsumer(
        bootstrap_servers=servers, isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_max_wait_ms=50,
    )  # fmt: skip
    try:
        parts = [KafkaPartition(topic, at) for at in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found: list[tuple[int, int, bytes, bytes]] = []
        while any(consumer.position(at) < ends[at] for at in parts):
            for batch in consumer.poll(200).values():
                found += [(r.partition, r.offset, r.key or b"", r.value or b"") for r in batch]
        return found
    finally:
        consumer.close()


def account(servers: str, topics: Topics, bad: bytes = b"bad-") -> Account:
    """Count; records whose key begins with `bad` are those that cannot be used."""
    read = committed(servers, topics.events)
    produced = {(at, offset): key for at, offset, key, _ in read if not key.startswith(bad)}
    wrong = Counter(key for _, _, key, _ in read if key.startswith(bad))
    told: Counter[tuple[int, int]] = Counter()
    last: dict[tuple[int, int], int] = {}
    disordered = 0
    for part, _, key, value in committed(servers, topics.predictions):
        source = orjson.loads(value)["source"]
        at = (source["partition"], source["offset"])
        told[at] += 1
        way = (part, at[0])  # once events have grown partitions, a way may split in two
        disordered += produced.get(at) != key or at[1] < last.get(way, -1)
        last[way] = at[1]
    dead = Counter(key for _, _, key, _ in committed(servers, topics.dead_letters))
    return Account(
        len(produced),
        sum(at not in told for at in produced) + sum((wrong - dead).values()),
        sum(n - 1 for n in told.values()) + sum((dead - wrong).values()),
        disordered,
        sum(dead.values()),
        sum(wrong.values()),
    )
