"""Brokers, members of a service on them, and a feeder: what faults are done to."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import orjson
from kafka import KafkaAdminClient, KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import KafkaError

from stream.config import Kafka, Topics
from stream.errors import BraidError
from stream.source.kafka import create_topics, produce
from tests.faults.account import Account, account
from tests.faults.gateway import Gateway
from tests.faults.service import Service
from tests.faults.tour import environ, events, until

NODES = 3
_SMALL_DISK = "160m"


class World:
    """Three nodes, members and a feeder; members reach the nodes through a `Gateway`.

    Parameters
    ----------
    launcher
        The module.
    folder
        For everything.
    partitions
        Of the events topic.
    rate
        Events a second.
    patience_ms
        The members' poll interval: a commit that takes longer ends them.
    small_disk
        Whether the last node is to have a small disk of its own, which can be filled.
    own
        Settings of the members.
    """

    def __init__(
        self, launcher: Any, folder: Path, partitions: int = 1, rate: float = 100.0,
        small_disk: bool = False, patience_ms: int = 20_000, **own: str,
    ) -> None:  # fmt: skip
        tag = uuid.uuid4().hex[:10]
        self.topics = Topics(**{name: f"test-{tag}-{name}" for name in Topics.model_fields})
        self.folder, self.partitions, self.rate = folder, partitions, rate
        self._patience_ms = patience_ms
        self.cluster = launcher.Cluster(NODES, folder / "kafka", gated=True)
        self.disk = self.cluster.place(NODES - 1) / "data" if small_disk else None
        if self.disk is not None:
            self.disk.mkdir(parents=True)
            _mount(self.disk)
        self.cluster.start()
        self.gateway = Gateway(self.cluster.gates)
        self._own = own
        self.kafka = self._settings("member-0", self.cluster.bootstrap)
        create_topics(self.kafka, self.topics, partitions=partitions, replication=NODES)
        self.members: dict[str, Service] = {}
        self.largest = 0
        """Bytes of the largest member that were resident at any time."""
        self._done = threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def join(self, name: str, **more: str) -> None:
        """Start a member, or start it again after `leave`; `more` settings are its own."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        shared = {
            "CHECKPOINT__START_FROM": str(self.folder / "snapshots"),
            "CHECKPOINT__FOLDER": str(self.folder / "snapshots" / name),
            "CHECKPOINT__INTERVAL_S": "5",
        }
        kafka = self._settings(name, self.gateway.bootstrap)
        given = environ(kafka, self.topics, folder, **shared | self._own | more)
        self.members[name] = Service(given, folder / "log")

    def leave(self, name: str) -> None:
        """Stop a member in order; it must end well."""
        member = self.members.pop(name)
        until(member.working, lambda: None)  # one that starts does not know how to end yet
        assert member.stop() == 0, self.said(name)

    def said(self, name: str) -> str:
        """A member's log."""
        return (self.folder / name / "log").read_text()

    def leader(self) -> int:
        """The node that leads the predictions topic."""
        with KafkaAdminClient(bootstrap_servers=self.cluster.bootstrap.split(",")) as admin:
            (topic,) = admin.describe_topics([self.topics.predictions])
        return int(topic["partitions"][0]["leader_id"]) - 1

    def grow(self) -> None:
        """One more partition for the events."""
        self.partitions += 1
        with KafkaAdminClient(bootstrap_servers=self.cluster.bootstrap.split(",")) as admin:
            admin.create_partitions({self.topics.events: self.partitions})

    def works(self) -> None:
        """Wait until all that is on the events topic now is predicted and committed."""
        asked: list[dict[KafkaPartition, int]] = []

        def caught_up() -> bool:
            try:
                ends, committed = self._offsets()
            except KafkaError:
                return False
            asked.append(ends)
            return all(committed.get(at, 0) >= end for at, end in asked[0].items())

        until(caught_up, lambda: None)

    def quiet(self) -> Account:
        """Stop feeding, wait until all is predicted and read by all members, and count."""
        self._done.set()
        self._feeder.join()
        servers = self.cluster.bootstrap
        until(lambda: account(servers, self.topics).lost == 0, lambda: None)
        until(self._snapped, lambda: None)
        for name in list(self.members):
            self.leave(name)
        return account(servers, self.topics)

    def close(self) -> None:
        """End everything that this world started; idempotent."""
        self._done.set()
        for member in self.members.values():
            member.stop()
        self.gateway.close()
        self.cluster.stop()
        if self.disk is not None:
            subprocess.run(["umount", "-l", str(self.disk)], check=False)

    def watch(self) -> dict[str, int]:
        """Resident bytes of each member that runs now."""
        found = {}
        for name, member in list(self.members.items()):
            try:
                found[name] = member.resident()
            except (OSError, StopIteration):  # between two lives
                continue
        self.largest = max([self.largest, *found.values()])
        return found

    def _settings(self, member: str, servers: str) -> Kafka:
        return Kafka(
            bootstrap_servers=servers, group=self.topics.events, member=member,
            session_timeout_ms=3_000, poll_interval_ms=self._patience_ms,
            transaction_timeout_ms=5_000, metadata_max_age_ms=1_000,
        )  # fmt: skip

    def _offsets(self) -> tuple[dict[KafkaPartition, int], dict[KafkaPartition, int]]:
        """The ends of the events topic, and what the group has committed of them."""
        parts = [KafkaPartition(self.topics.events, at) for at in range(self.partitions)]
        consumer = KafkaConsumer(
            bootstrap_servers=self.cluster.bootstrap.split(","), group_id=self.kafka.group,
            enable_auto_commit=False,
        )  # fmt: skip
        try:
            ends = consumer.end_offsets(parts, timeout_ms=2_000)
            committed = {at: consumer.committed(at, timeout_ms=2_000) or 0 for at in parts}
            return ends, committed
        finally:
            consumer.close(autocommit=False)

    def _snapped(self) -> bool:
        """Whether each member has a snapshot of the whole topic."""
        ends, _ = self._offsets()
        for name in self.members:
            kept = sorted((self.folder / "snapshots" / name).glob("snapshot-*"))
            if not kept:
                return False
            body = orjson.loads((kept[-1] / "manifest.json").read_bytes().partition(b"\n")[2])
            read = {(topic, part): offset for topic, part, offset in body["meta"]["positions"]}
            if any(read.get((at.topic, at.partition), 0) < end for at, end in ends.items()):
                return False
        return True

    def _feed(self) -> None:
        """Events at a rate; a part that fails is produced again, so ids may come twice."""
        stream = events(3)
        while not self._done.is_set():
            part = list(islice(stream, int(self.rate)))
            while True:
                try:
                    produce(self.kafka, self.topics.events, part, rate=self.rate)
                    break
                except BraidError:
                    time.sleep(0.5)
            self.watch()


def ready(port: int) -> bool:
    """Whether the endpoint there answers."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def free_ports(n: int) -> Sequence[int]:
    """Ports that nobody has now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def _mount(place: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK}", "braid-test", str(place)]
    subprocess.run(command, check=True, capture_output=True)
