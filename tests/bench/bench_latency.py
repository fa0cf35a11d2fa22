"""From producing an event to its prediction under read_committed, on a real Kafka.

    python tests/bench/bench_latency.py [--rate 1000] [--seconds 30] [--labels 10000] [--out DIR]

Brokers, service, load and reader are processes of one machine. The load is open: events leave at
their time, whatever became of those before, and latency counts from the moment of the send. All
events are labelled, so that each is predicted and learnt. The first seconds are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from machine import describe

from stream.source.synthetic import Vast, VastStream
from stream.source.synthetic.vast import name_of
from tests.kafka_fixtures import load_launcher

BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]
WARM_S = 15.0
LINGER_MS = 1
EVENTS, PREDICTIONS = "braid.events", "braid.predictions"


def produce(bootstrap: str, rate: float, seconds: float, labels: int) -> None:
    """Send events at a steady rate; an id carries the moment of its send."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=LINGER_MS)
    stream = VastStream(Vast(labels, tour=False)).events()
    begun = time.monotonic()
    for at in range(int(rate * seconds)):
        event = next(stream)
        body: dict[str, Any] = {"text": event.text, "labels": [name_of(x) for x in event.labels]}
        wait = begun + at / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        key = f"{at}-{time.monotonic_ns()}"
        producer.send(EVENTS, orjson.dumps({"id": key, **body}), key.encode())
    producer.flush()


def listen(bootstrap: str, total: int, limit_s: float) -> np.ndarray:
    """(n, 2) seconds of send and of sight, in order of sight."""
    reader = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_max_wait_ms=100,
    )  # fmt: skip
    here = [TopicPartition(PREDICTIONS, n) for n in reader.partitions_for_topic(PREDICTIONS)]
    reader.assign(here)
    reader.seek_to_beginning(*here)
    seen: list[tuple[float, float]] = []
    end = time.monotonic() + limit_s
    while len(seen) < total and time.monotonic() < end:
        batches = reader.poll(timeout_ms=50)
        now = time.monotonic()
        for batch in batches.values():
            sent = [int(record.key.rpartition(b"-")[2]) / 1e9 for record in batch]
            seen.extend((moment, now) for moment in sent)
    reader.close(autocommit=False)
    return np.array(seen)


def run(rate: float, seconds: float, labels: int, sets: list[str]) -> dict[str, Any]:
    """Start all of it, and measure."""
    total = int(rate * (WARM_S + seconds))
    with load_launcher().Cluster() as cluster:
        environ = os.environ | {
            "BRAID_BOOTSTRAP_SERVERS": cluster.bootstrap,
            "BRAID_SERVE__ENABLED": "false",
        }
        chosen = [word for one in sets for word in ("--set", one)]
        subprocess.run([*BRAID, "topics", "create", "--partitions", "1"], env=environ, check=True)
        service = subprocess.Popen([*BRAID, "run", *chosen], env=environ)
        words = [__file__, "--produce", cluster.bootstrap, "--rate", str(rate)]
        words += ["--seconds", str(WARM_S + seconds), "--labels", str(labels)]
        time.sleep(12)  # the service loads its kernels and gets its lease
        load = subprocess.Popen([sys.executable, *words], env=environ)
        try:
            seen = listen(cluster.bootstrap, total, WARM_S + seconds + 60)
        finally:
            load.wait(60)
            service.send_signal(signal.SIGTERM)
            service.wait(60)
    counted = seen[seen[:, 0] > seen[0, 0] + WARM_S]
    waits = 1e3 * (counted[:, 1] - counted[:, 0])
    span = counted[-1, 0] - counted[0, 0]
    return {
        "rate": rate, "seconds": seconds, "labels": labels, "set": sets,
        "predicted": len(seen), "sent": total, "reached_per_second": len(counted) / span,
        **{f"p{q}_ms": float(np.percentile(waits, q)) for q in (50, 95, 99)},
        "longest_ms": float(waits.max()),
    }  # fmt: skip


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--set", dest="sets", action="append", default=[])
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--produce", default=None, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.produce:
        produce(chosen.produce, chosen.rate, chosen.seconds, chosen.labels)
        return
    row = run(chosen.rate, chosen.seconds, chosen.labels, chosen.sets)
    made_on = describe("kafka-python", "numba", "numpy")
    text = (
        f"machine: {made_on}\n"
        "one broker (KRaft, from its jars, its own defaults but for replication 1), one partition; "
        f"producer acks=all linger_ms={LINGER_MS}; reader read_committed, fetch_max_wait_ms=100\n\n"
        f"{row['reached_per_second']:,.0f} events/s, {row['labels']:,} labels, predicted and "
        f"learnt; {row['predicted']:,} of {row['sent']:,} events predicted\n"
        f"p50 {row['p50_ms']:.0f} ms, p95 {row['p95_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms, "
        f"longest {row['longest_ms']:.0f} ms (aims: p50 50, p99 200)\n"
    )
    print(text)
    if chosen.out:
        (chosen.out / "latency.md").write_text(text)
        body = json.dumps({"machine": made_on, **row}, indent=1)
        (chosen.out / "latency.json").write_text(body + "\n")


if __name__ == "__main__":
    main()
