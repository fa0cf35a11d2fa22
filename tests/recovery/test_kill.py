"""The real program on a real broker, killed with SIGKILL while events flow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.config import Kafka, Topics
from stream.source.kafka import produce
from stream.source.synthetic import Planted, SyntheticStream
from tests.source_harness import KafkaHarness

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

EVENTS = 1_500
BAD_EVERY = 50
PATIENCE_S = 280.0  # the first start may have to compile the kernels
SMALL = {
    "LEARN__SMALL_LABELS": "8",  # so that the snapshots hold an index too
    "LEARN__EXEMPLAR_BYTES": "400000",
    "LEARN__HASH_BITS": "12",
    "LEARN__LINEAR_BYTES": "65536",
    "INDEX__DIMENSION": "16",
}


def test_killed_twice_then_stopped(
    member: Callable[..., Kafka], topics: Topics, tmp_path: Path
) -> None:
    kafka = KafkaHarness(topics, member)
    log = tmp_path / "log"
    command = [sys.executable, "-c", "from stream.cli import main; main()", "run"]
    env = environment(member(), topics, tmp_path / "snapshots")

    @contextmanager
    def braid() -> Iterator[subprocess.Popen[bytes]]:
        with log.open("ab") as out, subprocess.Popen(command, stdout=out, stderr=out, env=env) as p:
            try:
                yield p
            finally:
                p.kill()

    def published() -> int:
        return len(kafka.read(topics.predictions))

    def snapshots() -> int:  # whole ones, which have their name
        return sum(1 for _ in (tmp_path / "snapshots").glob("snapshot-*"))

    def wait(process: subprocess.Popen[bytes], done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)

    parts = [threading.Event() for _ in range(3)]  # each run is sure to have events to come
    feeder = threading.Thread(target=feed, args=(member("feeder"), topics, parts), daemon=True)
    feeder.start()
    with braid() as process:
        parts[0].set()
        wait(process, lambda: published() > EVENTS // 6 and snapshots() > 0)
        process.kill()
    first = published()
    with braid() as process:
        parts[1].set()
        wait(process, lambda: published() > first + EVENTS // 6)
        process.kill()
    with braid() as process:
        parts[2].set()
        wait(process, lambda: published() >= EVENTS)
        wait(process, lambda: len(kafka.read(topics.dead_letters)) >= EVENTS // BAD_EVERY)
        feeder.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    made = [orjson.loads(one.value or b"") for one in kafka.read(topics.predictions)]
    assert Counter(one["id"] for one in made) == Counter(f"synthetic-{n}" for n in range(EVENTS))
    dead = Counter(one.key for one in kafka.read(topics.dead_letters))
    assert dead == Counter(b"bad-%d" % n for n in range(0, EVENTS, BAD_EVERY))
    text = log.read_text()
    assert text.count("going on from a snapshot") == 2, text
    assert "Traceback" not in text, text
    assert f"position {EVENTS}" in last_snapshot(tmp_path / "snapshots")
    kafka.close()


def environment(kafka: Kafka, topics: Topics, folder: Path) -> dict[str, str]:
    given: dict[str, Any] = {
        "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA__GROUP": kafka.group,
        "KAFKA__MEMBER": kafka.member,
        "KAFKA__SESSION_TIMEOUT_MS": kafka.session_timeout_ms,
        "KAFKA__POLL_INTERVAL_MS": kafka.poll_interval_ms,
        "CHECKPOINT__FOLDER": folder,
        "CHECKPOINT__INTERVAL_S": 2,
        "SERVE__ENABLED": "false",
    }
    given |= SMALL
    given |= {f"TOPICS__{name.upper()}": value for name, value in topics.model_dump().items()}
    bare = {key: value for key, value in os.environ.items() if not key.startswith("BRAID_")}
    return bare | {f"BRAID_{name}": str(value) for name, value in given.items()}


def feed(settings: Kafka, topics: Topics, parts: Sequence[threading.Event]) -> None:
    """A part of the events when each is set, at a pace that a kill falls into."""

    def records() -> Iterator[tuple[bytes, bytes]]:
        stream = SyntheticStream(Planted(labels=60, seed=2)).records()
        for n in range(EVENTS):
            if n % BAD_EVERY == 0:
                yield b"bad-%d" % n, b"{not json"
            yield next(stream)

    all_of_it = list(records())
    size = len(all_of_it) // len(parts)
    for part, told in enumerate(parts):
        told.wait(PATIENCE_S)
        produce(settings, topics.events, all_of_it[part * size : (part + 1) * size], rate=150.0)


def last_snapshot(folder: Path) -> str:
    """What `position` its manifest has, in words."""
    newest = max(folder.glob("snapshot-*"))
    body = orjson.loads((newest / "manifest.json").read_bytes().partition(b"\n")[2])
    return f"position {body['meta']['model']['position']}"
