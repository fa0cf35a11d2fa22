"""Top 10 by HTTP beside a learner at full speed: latency, rate and memory, at a million labels.

    python tests/bench/bench_serve.py [--labels 1000000] [--rate 200] [--seconds 20] [--out DIR]
        [--modes idle inside process] [--keep FOLDER] [--set NAME=VALUE ...]

A service learns the synthetic stream until every label was seen, and keeps a snapshot. From it
start, one after the other: `idle`, the endpoint alone with nothing learnt beside it; `inside`,
learning at full speed with the endpoint in the same process; `process`, the same with
`serve.process`. Each gets an open load from a process of its own (`open_load.py`) on the same
cores; the first seconds are not counted. Memory is the proportional share (PSS) of the service's
processes, what they map together counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from machine import describe

ROOT = str(Path(__file__).resolve().parents[2])
BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]
LOAD = str(Path(__file__).resolve().parent / "open_load.py")
WARM_S = 5.0
AIM_MS, AIM_BYTES, AIM_RATE = 12.0, 6 << 30, 3_000
_HZ = os.sysconf("SC_CLK_TCK")
_START_S, _STOP_S = 300.0, 120.0


class Service:
    """`braid` with its endpoint, until the end of the block."""

    def __init__(self, words: list[str], sets: list[str]) -> None:
        chosen = [word for one in ["serve.port=0", *sets] for word in ("--set", one)]
        self.process = subprocess.Popen(
            [*BRAID, *words, *chosen],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": ROOT},
        )
        self.address = ""

    def __enter__(self) -> Service:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://\S+?(?=,|\s)", line):
                self.address = found[0]
                # what it prints later must not fill the pipe
                subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)
                return self
        raise RuntimeError("the service did not start")

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def model(self) -> dict[str, Any]:
        """What /v1/model says."""
        with urllib.request.urlopen(f"{self.address}/v1/model", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def pids(self) -> list[int]:
        """The service's processes."""
        found = [self.process.pid]
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):
                found += [int(pid) for pid in (task / "children").read_text().split()]
        return found

    def memory(self) -> list[int]:
        """PSS of each process, bytes."""
        found = []
        for pid in self.pids():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found.append(1024 * int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]))
        return found

    def busy(self) -> list[float]:
        """Processor seconds of each process."""
        fields = [
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids()
        ]
        return [(int(part[11]) + int(part[12])) / _HZ for part in fields]


def wait_for(ready: Callable[[], bool], limit_s: float) -> None:
    """Until something is so."""
    end = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError("it took too long")
        time.sleep(0.5)


def prepare(labels: int, folder: Path, sets: list[str]) -> float:
    """Learn until all labels were seen; a snapshot is left in `folder`. The seconds it took."""
    words = ["run", "--source", f"synthetic:{labels}"]
    sets = [f"checkpoint.folder={folder}", "checkpoint.interval_s=100000", *sets]
    begun = time.monotonic()
    with Service(words, [*sets, "serve.view_s=10"]) as service:
        wait_for(lambda: service.model()["labels"] >= labels, 1_200)
        return time.monotonic() - begun


def measure(
    mode: str, labels: int, rate: float, seconds: float, kept: Path, sets: list[str]
) -> dict[str, Any]:
    """One mode: its latencies, what was learnt meanwhile, processor time, memory."""
    # a folder of its own: the snapshot at the end must not become the next one's beginning
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        shutil.copytree(kept, folder, dirs_exist_ok=True, copy_function=os.link)
        own = [f"checkpoint.folder={folder}", "checkpoint.interval_s=100000", *sets]
        words = ["run", "--source", f"synthetic:{labels}"]
        if mode == "idle":
            words = ["serve"]
        elif mode == "process":
            own.append("serve.process=true")
        with Service(words, own) as service:
            load(service, rate, WARM_S, labels)
            before, busy, begun = service.model(), service.busy(), time.monotonic()
            told = load(service, rate, seconds, labels)
            span = time.monotonic() - begun
            after, used = service.model(), service.busy()
            memory = service.memory()
    took = np.delete(np.array(told["ms"]), told["refused"])
    return {
        "mode": mode, "labels": after["labels"], "requests": len(told["ms"]),
        "not_200": len(told["refused"]),
        **{f"p{q}_ms": float(np.percentile(took, q)) for q in (50, 90, 99, 99.9)},
        "longest_ms": float(took.max()),
        "learnt_per_second": (after["position"] - before["position"]) / span,
        "busy": [round((b - a) / span, 3) for a, b in zip(busy, used, strict=True)],
        "load_busy": round(told["cpu_s"] / span, 3),
        "pss_bytes": memory,
    }  # fmt: skip


def load(service: Service, rate: float, seconds: float, labels: int) -> dict[str, Any]:
    """What an open load met."""
    words = ["--rate", str(rate), "--seconds", str(seconds), "--labels", str(labels)]
    done = subprocess.run(
        [sys.executable, LOAD, service.address, *words], check=True, stdout=subprocess.PIPE
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    lines = [
        "| mode | p50 ms | p90 | p99 | p99.9 | longest | refused | learnt/s "
        "| memory MiB | processors busy |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = " | ".join(
            f"{row[name]:.1f}" for name in ("p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "longest_ms")
        )
        memory = " + ".join(f"{part >> 20:,}" for part in row["pss_bytes"])
        busy = " + ".join(f"{part:.2f}" for part in [*row["busy"], row["load_busy"]])
        lines.append(
            f"| {row['mode']} | {figures} | {row['not_200'] / row['requests']:.0%} "
            f"| {row['learnt_per_second']:,.0f} | {memory} | {busy} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--modes", nargs="+", default=["idle", "inside", "process"])
    parser.add_argument("--keep", type=Path, default=None, help="Of the snapshot, to use again.")
    parser.add_argument("--set", dest="sets", action="append", default=[])
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        kept = chosen.keep or Path(own) / "snapshot"
        if not kept.is_dir() or not any(kept.iterdir()):
            kept.mkdir(parents=True, exist_ok=True)
            took = prepare(chosen.labels, kept, chosen.sets)
            print(f"{chosen.labels:,} labels seen in {took:.0f} s", flush=True)
        rows = []
        for mode in chosen.modes:
            rows.append(
                measure(
                    mode, chosen.labels, chosen.rate, chosen.seconds, kept.resolve(), chosen.sets
                )
            )
            print(table(rows[-1:]), flush=True)
    made_on = describe("fastapi", "numba", "numpy", "uvicorn")
    text = (
        f"machine: {made_on}\n\n{chosen.rate:,.0f} requests/s of one text each, k=10, "
        f"{chosen.labels:,} labels; an open load, latency from the scheduled moment, load "
        f"generator on the same cores\n\n{table(rows)}\n"
        "An answer at rest costs about 1.8 ms, most of it the HTTP stack (uvicorn, FastAPI), "
        "0.4 ms the model; what is over that is waiting for a core or for the request before.\n\n"
        f"aims beside learning: p99 {AIM_MS:.0f} ms, {AIM_RATE:,} events/s learnt, "
        f"{AIM_BYTES >> 20:,} MiB in all. `processors busy`: pipeline, endpoint where it is "
        "a process of its own, load\n"
    )
    print(text)
    if chosen.out:
        (chosen.out / "serve.md").write_text(text)
        body = json.dumps({"machine": made_on, "set": chosen.sets, "rows": rows}, indent=1)
        (chosen.out / "serve.json").write_text(body + "\n")


if __name__ == "__main__":
    main()
