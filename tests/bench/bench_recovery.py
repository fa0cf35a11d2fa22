"""From `kill -9` of a member with many labels to its next committed prediction.

    python tests/bench/bench_recovery.py [--labels 1000000] [--kills 3] [--out tests/bench/results]

A snapshot of a model that knows so many labels is put where a member on a real broker finds it.
Events come at a steady rate; the member is killed, and started again at once under its name, as a
deployment does. The time holds the start of a process and of the compiled kernels, the loading of
the snapshot from a warm page cache, the lease, and catching up with what came meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_snapshot import batches, filled
from machine import describe

from stream import state
from stream.checkpoint import SnapshotStore
from stream.config import Kafka, Topics
from stream.learn.warmup import warm
from stream.source.kafka import KafkaSource, create_topics, produce
from tests.faults.service import Service
from tests.faults.tour import Growth, events, until
from tests.kafka_fixtures import load_launcher

RATE = 50.0
QUIET_S = 5.0


def prepared(labels: int, folder: Path, kafka: Kafka, topics: Topics) -> int:
    """Write the snapshot; its bytes."""
    pipeline = filled(labels)
    for items in islice(batches(labels), 64):
        pipeline.step(items)
    pipeline.retrieval.index.wait()  # as that of a member that has run for a while
    source = KafkaSource(kafka, topics)
    try:
        at_start = dict.fromkeys(source.partitions(), 0)
        path = SnapshotStore(folder).write(state.take(pipeline, at_start, source.topic_ids()))
    finally:
        source.close()
    return sum(file.stat().st_size for file in path.iterdir())


def measure(labels: int, kills: int, folder: Path) -> dict[str, Any]:
    """Seconds of each recovery."""
    tag = uuid.uuid4().hex[:10]
    topics = Topics(**{name: f"bench-{tag}-{name}" for name in Topics.model_fields})
    with load_launcher().Cluster() as cluster:
        kafka = Kafka(bootstrap_servers=cluster.bootstrap, group=topics.events)
        create_topics(kafka, topics, partitions=1)
        size = prepared(labels, folder / "snapshots", kafka, topics)
        given = {"KAFKA__BOOTSTRAP_SERVERS": cluster.bootstrap, "KAFKA__GROUP": topics.events}
        given |= {f"TOPICS__{name.upper()}": value for name, value in topics}
        given |= {"CHECKPOINT__FOLDER": str(folder / "snapshots"), "SERVE__ENABLED": "false"}
        bare = {key: value for key, value in os.environ.items() if not key.startswith("BRAID_")}
        given = bare | {f"BRAID_{name}": value for name, value in given.items()}
        service = Service(given, folder / "log")
        growth = Growth(cluster.bootstrap, topics.predictions)
        done = threading.Event()

        def feed() -> None:
            stream = events(3)
            while not done.is_set():
                produce(kafka, topics.events, islice(stream, int(RATE)), rate=RATE)

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        took = []
        try:
            for _ in range(kills):
                seen = len(growth.times)
                until(lambda seen=seen: len(growth.times) > seen + 10, lambda: None)
                time.sleep(QUIET_S)
                killed = time.monotonic()
                service.signal(signal.SIGKILL)
                until(
                    lambda killed=killed: growth.times[-1] > killed + 1.0, lambda: None
                )  # what was under way at the kill may still show for a moment
                took.append(next(at for at in growth.times if at > killed + 1.0) - killed)
        finally:
            done.set()
            feeder.join()
            service.stop()
            growth.close()
        log = (folder / "log").read_text()
        assert log.count("going on from a snapshot") == kills + 1, log
    return {"labels": labels, "snapshot_bytes": size, "recovery_s": took}


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    warm()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        row = measure(chosen.labels, chosen.kills, Path(folder))
    machine = describe("numpy", "numba", "kafka-python")
    took = ", ".join(f"{one:.1f}" for one in row["recovery_s"])
    text = (
        "# Recovery after kill -9\n\n"
        f"Machine: {machine}. Made by `tests/bench/bench_recovery.py`.\n\n"
        f"{row['labels']:,} labels, a snapshot of {row['snapshot_bytes'] / 1e9:.2f} GB, {RATE:g}"
        f" events/s: {took} s from the kill to the next committed prediction, median"
        f" {median(row['recovery_s']):.1f} s. The restart follows the kill by half a second.\n"
    )
    print(text)
    print(json.dumps(row))
    if chosen.out:
        (chosen.out / "recovery.md").write_text(text)


if __name__ == "__main__":
    main()
