"""A service that is killed at one step after another, on a real broker, and its accounts."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import KafkaError

from stream.config import Kafka, Topics
from stream.source.kafka import create_topics, produce
from stream.source.synthetic import Planted, SyntheticStream
from tests.faults.account import Account, account

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 120.0
BAD_EVERY = 40
FEW = 10
SETTINGS = {  # small, with an index; deterministic as section 6 of the design means it
    "LEARN__SMALL_LABELS": "8",
    "LEARN__EXEMPLAR_BYTES": "400000",
    "LEARN__HASH_BITS": "12",
    "LEARN__LINEAR_BYTES": "65536",
    "INDEX__DIMENSION": "16",
    "INDEX__BACKGROUND": "false",
    "CHECKPOINT__INTERVAL_S": "0.3",
    "SERVE__ENABLED": "false",
}


def events(seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Labelled events without end, a record that cannot be used now and then."""
    for n, record in enumerate(SyntheticStream(Planted(labels=60, seed=seed)).records()):
        if n % BAD_EVERY == BAD_EVERY - 1:
            yield b"bad-%d" % n, b"{not json"
        yield record


class Tour:
    """One member on topics of its own.

    Parameters
    ----------
    kafka, topics
        Where; the topics are made here, with one partition.
    folder
        For snapshots and the log.
    """

    def __init__(self, kafka: Kafka, topics: Topics, folder: Path, seed: int = 5) -> None:
        self.kafka, self.topics, self.folder = kafka, topics, folder
        self.deaths: list[tuple[str, float]] = []
        self.fed = 0
        create_topics(kafka, topics, partitions=1)
        self._events = events(seed)
        self.growth = Growth(kafka.bootstrap_servers, topics.predictions)

    def feed(self, n: int) -> None:
        """Produce `n` more events."""
        self.fed += n
        produce(self.kafka, self.topics.events, islice(self._events, n))

    def kill_at(self, step: str, nth: int) -> None:
        """Run until the process kills itself at a step, with a few events more each second."""
        command = [sys.executable, "-m", "tests.faults.crash", step, str(nth), "run"]
        own = environ(self.kafka, self.topics, self.folder)
        end = time.monotonic() + PATIENCE_S
        with (
            self._log() as log,
            subprocess.Popen(command, env=own, cwd=ROOT, stdout=log, stderr=log) as ended,
        ):
            try:
                while ended.poll() is None and time.monotonic() < end:
                    with suppress(subprocess.TimeoutExpired):
                        ended.wait(1.0)
                        break
                    self.feed(FEW)
            finally:
                ended.kill()
        assert time.monotonic() < end, f"it never came to {step}: {self.said()}"
        assert ended.returncode == -signal.SIGKILL, f"{step}: {self.said()}"
        self.deaths.append((step, time.monotonic()))

    def finish(self) -> Account:
        """Run until everything is predicted, stop in order, and take the accounts."""
        command = [sys.executable, "-c", "from stream.cli import main; main()", "run"]
        servers = self.kafka.bootstrap_servers
        with (
            self._log() as log,
            subprocess.Popen(
                command, env=environ(self.kafka, self.topics, self.folder), stdout=log, stderr=log
            ) as process,
        ):
            try:
                until(lambda: account(servers, self.topics).lost == 0, self._alive(process))
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0, self.said()
            finally:
                process.kill()
        self.growth.close()
        return account(servers, self.topics)

    def recoveries(self) -> list[tuple[str, float]]:
        """Seconds from each death to the next prediction published, if no other death came first.

        They hold the start of a process, its restart from the snapshot, and its lease.
        """
        grown, found = self.growth.times, []
        following = [at for _, at in self.deaths[1:]] + [math.inf]
        for (step, at), then in zip(self.deaths, following, strict=True):
            place = bisect_right(grown, at)
            if place < len(grown) and grown[place] < then:
                found.append((step, grown[place] - at))
        return found

    def state(self) -> dict[str, Any]:
        """What the last snapshot holds, without the names of this tour's topics."""
        newest = max((self.folder / "snapshots").glob("snapshot-*"))
        body = orjson.loads((newest / "manifest.json").read_bytes().partition(b"\n")[2])
        meta = {name: body["meta"][name] for name in ("model", "featurizer", "room", "index")}
        return {"arrays": body["sums"], "meta": meta}

    def said(self) -> str:
        """The log."""
        return (self.folder / "log").read_text()

    def _log(self) -> Any:
        return (self.folder / "log").open("ab")

    def _alive(self, process: subprocess.Popen[bytes]) -> Callable[[], None]:
        def check() -> None:
            assert process.poll() is None, self.said()

        return check


def environ(kafka: Kafka, topics: Topics, folder: Path, **own: str) -> dict[str, str]:
    """The environment of a service; `own` over the settings that are common here."""
    given: dict[str, Any] = {"CHECKPOINT__FOLDER": folder / "snapshots"} | SETTINGS
    for name in ("bootstrap_servers", "group", "member", "session_timeout_ms",
                 "poll_interval_ms", "transaction_timeout_ms"):  # fmt: skip
        given[f"KAFKA__{name.upper()}"] = getattr(kafka, name)
    given |= {f"TOPICS__{name.upper()}": value for name, value in topics} | own
    bare = {key: value for key, value in os.environ.items() if not key.startswith("BRAID_")}
    return bare | {f"BRAID_{name}": str(value) for name, value in given.items()}


class Growth:
    """Notes when committed records come to a topic with one partition."""

    def __init__(self, servers: str, topic: str) -> None:
        self.times: list[float] = []
        self._at = KafkaPartition(topic, 0)
        self._servers = servers.split(",")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        end = 0
        while not self._closing.is_set():
            consumer = None
            try:
                consumer = KafkaConsumer(
                    bootstrap_servers=self._servers, isolation_level="read_committed",
                    enable_auto_commit=False,
                )  # fmt: skip
                while not self._closing.wait(0.05):
                    now = consumer.end_offsets([self._at], timeout_ms=1_000)[self._at]
                    if now > end:
                        end = now
                        self.times.append(time.monotonic())
            except KafkaError:  # the brokers are away: a new client, since this one may not recover
                self._closing.wait(0.5)
            finally:
                if consumer is not None:
                    consumer.close()


def until(done: Callable[[], bool], check: Callable[[], None]) -> None:
    """Wait for something, while something else holds."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        check()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


def whole(kafka: Kafka, topics: Topics, folder: Path, fed: int) -> dict[str, Any]:
    """The state of a run over the same events that nothing interrupts."""
    folder.mkdir()
    tour = Tour(kafka, topics, folder)
    tour.feed(fed)
    assert tour.finish().clean
    return tour.state()
