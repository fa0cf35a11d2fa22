"""tibkat's first 20,000 events through a real Kafka: every event once, and accurate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from stream.config import Topics

pytestmark = [pytest.mark.kafka, pytest.mark.data]

EVENTS = 20_000
BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]


def _environ(kafka: str, topics: Topics) -> dict[str, str]:
    named = {f"BRAID_TOPICS__{name.upper()}": value for name, value in topics}
    return (
        os.environ
        | named
        | {
            "BRAID_BOOTSTRAP_SERVERS": kafka,
            "BRAID_KAFKA__GROUP": topics.events,
            "BRAID_SERVE__ENABLED": "false",
        }
    )


def _committed(kafka: str, topic: str) -> list[dict[str, object]]:
    reader = KafkaConsumer(
        bootstrap_servers=kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        here = [TopicPartition(topic, n) for n in reader.partitions_for_topic(topic)]
        reader.assign(here)
        reader.seek_to_beginning(*here)
        ends = reader.end_offsets(here)
        found: list[dict[str, object]] = []
        while any(reader.position(at) < ends[at] for at in here):
            for batch in reader.poll(timeout_ms=500).values():
                found.extend(json.loads(record.value) for record in batch)
        return found
    finally:
        reader.close(autocommit=False)


def test_every_event_has_one_accurate_prediction(kafka: str, topics: Topics, data: Path) -> None:
    environ = _environ(kafka, topics)

    def braid(*words: str) -> None:
        subprocess.run([*BRAID, *words], env=environ, check=True, timeout=300)

    braid("topics", "create", "--partitions", "3")
    braid("replay", str(data / "tibkat"), "--limit", str(EVENTS))
    running = subprocess.Popen([*BRAID, "run"], env=environ)
    try:
        end = time.monotonic() + 280
        made: list[dict[str, object]] = []
        while len(made) < EVENTS and time.monotonic() < end:
            assert running.poll() is None, "the service ended by itself"
            time.sleep(5)
            made = _committed(kafka, topics.predictions)
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    truth = {event["id"]: event["labels"] for event in _committed(kafka, topics.events)}
    assert len(truth) == EVENTS
    assert sorted(str(one["id"]) for one in made) == sorted(map(str, truth))
    assert _committed(kafka, topics.dead_letters) == []
    hits = 0
    for one in made:
        top = one["top"]
        assert isinstance(top, list)
        labels = truth[one["id"]]
        assert isinstance(labels, list)
        hits += bool(top) and top[0]["label"] in labels
    print(f"P@1 {hits / EVENTS:.4f} over {EVENTS:,} events, {len(made):,} predictions")  # pytest -s
    assert hits / EVENTS > 0.26
