"""How long a new label takes from `POST /v1/events` to the answers of `/v1/predict`.

    python tests/bench/bench_fresh_label.py [--labels 20] [--warm-seconds 20]

Starts the service on the built-in stream, which keeps it busy learning at full speed, and sends
labels that were never seen, one after another.
"""

from __future__ import annotations

import argparse
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent))

from machine import describe

BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]


def delay(address: str, number: int) -> float:
    """Seconds until the label of one new event is predicted."""
    text, label = f"freshword{number} otherword{number}", f"fresh-{time.time_ns()}"
    start = time.perf_counter()
    sent = {"events": [{"id": label, "text": text, "labels": [label]}]}
    httpx.post(f"{address}/v1/events", json=sent).raise_for_status()
    while True:
        asked = {"events": [{"text": text}], "k": 10}
        made = httpx.post(f"{address}/v1/predict", json=asked).json()["predictions"][0]
        if any(one["label"] == label for one in made["top"]):
            return time.perf_counter() - start
        if time.perf_counter() - start > 30:
            raise SystemExit("the label was not predicted within 30 s")
        time.sleep(0.01)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--warm-seconds", type=float, default=20)
    chosen = parser.parse_args()
    words = ["run", "--source", "synthetic", "--set", "serve.port=0"]
    running = subprocess.Popen([*BRAID, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        address = next(
            found[0] for line in running.stdout if (found := re.search(r"http://\S+", line))
        )
        time.sleep(chosen.warm_seconds)
        before = httpx.get(f"{address}/v1/model").json()["position"]
        start = time.perf_counter()
        delays = [delay(address, number) for number in range(chosen.labels)]
        spent = time.perf_counter() - start
        learnt = httpx.get(f"{address}/v1/model").json()["position"] - before
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    print(f"machine: {describe('numpy', 'numba', 'fastapi', 'uvicorn')}, seed 7")
    print(
        f"{len(delays)} labels: median {statistics.median(delays):.2f} s, "
        f"longest {max(delays):.2f} s, beside {learnt / spent:,.0f} events/s learnt"
    )


if __name__ == "__main__":
    main()
