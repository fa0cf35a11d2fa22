"""Members read several partitions in one order, while records come in and after a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from stream.config import Kafka, Topics
from stream.source.kafka import KafkaSource, create_topics, produce

pytestmark = [pytest.mark.kafka]
EVENTS = 1_500


def test_two_members_deliver_one_order(member: Callable[..., Kafka], topics: Topics) -> None:
    create_topics(member(), topics, partitions=3)
    found: dict[str, list[tuple[int, int]]] = {"a": [], "b": [], "late": []}

    def read(name: str, pause_s: float) -> None:
        source = KafkaSource(member(name, merge_ms=200), topics)
        try:
            end = time.monotonic() + 60
            while len(found[name]) < EVENTS and time.monotonic() < end:
                found[name] += [(r.partition, r.offset) for r in source.poll(50, 0.05)]
                time.sleep(pause_s)
        finally:
            source.close()

    threads = [threading.Thread(target=read, args=one) for one in (("a", 0.0), ("b", 0.02))]
    for thread in threads:
        thread.start()
    events = ((b"key-%d" % n, b"value") for n in range(EVENTS))
    assert produce(member("feeder"), topics.events, events, rate=500.0) == EVENTS
    for thread in threads:
        thread.join()
    read("late", 0.0)
    print({k: (len(v), len(set(v))) for k, v in found.items()})
    assert {partition for partition, _ in found["a"]} == {0, 1, 2}
    assert found["a"] == found["b"] == found["late"]
    assert len(set(found["a"])) == EVENTS
