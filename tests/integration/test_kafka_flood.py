"""More than the service can take: a producer that is much too fast, a poisoned stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import httpx
import pytest

from stream.config import Kafka, Topics
from stream.source.kafka import create_topics, produce
from tests.faults.account import account
from tests.faults.service import Service
from tests.faults.tour import environ, events, until
from tests.faults.world import free_ports, ready

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

FLOOD = 4_000
MOST_BYTES = 900_000_000


class Flooded:
    """A service with its endpoint, on topics of its own."""

    def __init__(self, kafka: Kafka, topics: Topics, folder: Path, **own: str) -> None:
        self.kafka, self.topics, self._log = kafka, topics, folder / "log"
        create_topics(kafka, topics, partitions=1)
        (port,) = free_ports(1)
        self.port, self.address = port, f"http://127.0.0.1:{port}"
        given = {"SERVE__ENABLED": "true", "SERVE__PORT": str(port)} | own
        given["CHECKPOINT__INTERVAL_S"] = "5"
        self.service = Service(environ(kafka, topics, folder, **given), self._log)
        until(self.answers, lambda: None)

    def answers(self) -> bool:
        return ready(self.port)

    def problems(self) -> str:
        """What /readyz says is wrong."""
        return "; ".join(httpx.get(f"{self.address}/readyz").json()["problems"])

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.address}/metrics").text
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    def said(self) -> str:
        return self._log.read_text()


@pytest.fixture
def flooded(
    member: Callable[..., Kafka], topics: Topics, tmp_path: Path
) -> Iterator[Callable[..., Flooded]]:
    made: list[Flooded] = []

    def make(**own: str) -> Flooded:
        made.append(one := Flooded(member(), topics, tmp_path, **own))
        return one

    yield make
    for one in made:
        assert one.service.stop() == 0, one.said()


def test_a_producer_that_is_much_too_fast(flooded: Callable[..., Flooded]) -> None:
    one = flooded()
    produce(one.kafka, one.topics.events, islice(events(3), FLOOD))
    until(lambda: one.metric("braid_lag_records") > 1_000, lambda: None)
    largest = 0
    servers = one.kafka.bootstrap_servers

    def watch() -> None:
        nonlocal largest
        largest = max(largest, one.service.resident())
        assert one.answers()

    until(lambda: one.metric("braid_lag_records") == 0, watch)
    until(lambda: account(servers, one.topics).lost == 0, lambda: None)
    assert account(servers, one.topics).clean
    assert largest < MOST_BYTES
    assert one.service.ends == []
    assert "lease lost" not in one.said()


def test_a_poisoned_stream_is_not_drained(flooded: Callable[..., Flooded]) -> None:
    one = flooded(DEAD_LETTERS__CONSECUTIVE="50")
    servers = one.kafka.bootstrap_servers
    produce(one.kafka, one.topics.events, islice(events(3), 100))
    produce(one.kafka, one.topics.events, ((b"bad-%d" % n, b"{not json") for n in range(5_000)))
    until(lambda: one.metric("braid_held_partitions") == 1, lambda: None)
    assert re.search(r"/0 is held at offset \d+: 50 dead letters in a row", one.problems())
    assert one.answers()
    found = account(servers, one.topics)
    assert 50 <= found.dead < 1_000
    assert found.repeated == found.disordered == 0
