"""Three brokers that die, freeze and lose their quorum beneath a service under load."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import KafkaError

from stream.config import Kafka, Topics
from stream.errors import BraidError
from stream.source.kafka import create_topics, produce
from tests.faults.account import account
from tests.faults.conftest import Ledger
from tests.faults.service import Service
from tests.faults.tour import environ, events, until

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.timeout(1_800)]

RATE = 100.0
EACH_S = 8.0
"""Of load after a fault is over, before the next."""
MOST_BYTES = 1_500_000_000


class World:
    """A cluster of three, a service on it, and a feeder."""

    def __init__(self, cluster: Any, folder: Path) -> None:
        tag = uuid.uuid4().hex[:10]
        self.topics = Topics(**{name: f"test-{tag}-{name}" for name in Topics.model_fields})
        self.cluster = cluster
        self.kafka = Kafka(
            bootstrap_servers=cluster.bootstrap, group=self.topics.events,
            session_timeout_ms=3_000, poll_interval_ms=20_000, transaction_timeout_ms=5_000,
        )  # fmt: skip
        create_topics(self.kafka, self.topics, partitions=1, replication=3)
        self.log = folder / "log"
        own = environ(self.kafka, self.topics, folder, CHECKPOINT__INTERVAL_S="5")
        self.service = Service(own, self.log)
        self.largest = 0
        self._done = threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def leader(self) -> int:
        """The node that leads the predictions topic."""
        with KafkaAdminClient(bootstrap_servers=self.cluster.bootstrap.split(",")) as admin:
            (topic,) = admin.describe_topics([self.topics.predictions])
        return int(topic["partitions"][0]["leader_id"]) - 1

    def works(self) -> None:
        """Wait until all that is on the events topic now is predicted and committed."""
        asked: list[int] = []

        def caught_up() -> bool:
            try:
                end, committed = self._offsets()
            except KafkaError:
                return False
            asked.append(end)
            return committed >= asked[0]

        until(caught_up, lambda: None)

    def _offsets(self) -> tuple[int, int]:
        """The end of the events topic, and what the group has committed of it."""
        at = KafkaPartition(self.topics.events, 0)
        consumer = KafkaConsumer(
            bootstrap_servers=self.cluster.bootstrap.split(","), group_id=self.kafka.group,
            enable_auto_commit=False,
        )  # fmt: skip
        try:
            end = consumer.end_offsets([at], timeout_ms=2_000)[at]
            return int(end), int(consumer.committed(at, timeout_ms=2_000) or 0)
        finally:
            consumer.close(autocommit=False)

    def finish(self) -> None:
        self._done.set()
        self._feeder.join()
        servers = self.cluster.bootstrap
        until(lambda: account(servers, self.topics).lost == 0, lambda: None)
        assert self.service.stop() == 0, self.log.read_text()

    def _feed(self) -> None:
        """Events at a rate; a part that fails is produced again, so ids may come twice."""
        stream = events(3)
        while not self._done.is_set():
            part = list(islice(stream, int(RATE)))
            while True:
                try:
                    produce(self.kafka, self.topics.events, part, rate=RATE)
                    break
                except BraidError:
                    time.sleep(0.5)
            self.largest = max(self.largest, self._resident())

    def _resident(self) -> int:
        try:
            return self.service.resident()
        except (OSError, StopIteration):  # between two lives
            return 0


def leader_killed(world: World) -> None:
    node = world.leader()
    world.cluster.kill(node)
    time.sleep(3)
    world.cluster.restart(node)


def quorum_lost(world: World) -> None:
    """Two of three nodes: nothing can be committed until they are back."""
    for node in (0, 1):
        world.cluster.kill(node)
    time.sleep(6)
    for node in (0, 1):
        world.cluster.restart(node)


def leader_frozen(world: World) -> None:
    node = world.leader()
    world.cluster.pause(node)
    time.sleep(8)
    world.cluster.resume(node)


def service_killed(world: World) -> None:
    world.service.signal(signal.SIGKILL)


def service_frozen(world: World) -> None:
    """For longer than transaction and session last: it wakes as a zombie."""
    world.service.signal(signal.SIGSTOP)
    time.sleep(9)
    world.service.signal(signal.SIGCONT)


FAULTS: dict[str, Callable[[World], None]] = {
    "cluster: leader killed": leader_killed,
    "cluster: quorum lost": quorum_lost,
    "cluster: leader frozen for 8 s": leader_frozen,
    "service: killed": service_killed,
    "service: frozen for 9 s, its transaction expired": service_frozen,
}


@pytest.fixture(scope="module")
def cluster(launcher: ModuleType) -> Iterator[Any]:
    with launcher.Cluster(nodes=3) as made:
        yield made


def test_faults_of_the_cluster_under_load(cluster: Any, tmp_path: Path, ledger: Ledger) -> None:
    world = World(cluster, tmp_path)
    world.works()
    took = []
    for name, fault in FAULTS.items():
        fault(world)
        over = time.monotonic()
        world.works()
        took.append((name, time.monotonic() - over))
        time.sleep(EACH_S)
    world.finish()
    found = account(cluster.bootstrap, world.topics)
    ledger.note(FAULTS, took, found)
    assert found.clean, (found, world.log.read_text()[-3_000:])
    assert world.largest < MOST_BYTES
