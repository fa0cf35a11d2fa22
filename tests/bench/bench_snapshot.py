"""What a snapshot costs a stream that goes on: the longest pause, the writing, the loading.

    python tests/bench/bench_snapshot.py [--labels 100000 1000000] [--out tests/bench/results]

Every label is described, and has a prototype, drawn at random, in the index. Then events with two
to four of them are learnt and predicted in batches of 64: first in quiet, then while one snapshot
after another is written. A pause is the time from the end of a batch to the end of the next. The
copying way, which small states take, is timed beside. Each snapshot is then loaded by a process
of its own, which ends with a pipeline that has predicted an event; the page cache is warm.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from machine import describe

from stream import state
from stream.checkpoint import SnapshotStore
from stream.config import Settings
from stream.learn import persist
from stream.learn.warmup import warm
from stream.pipeline import Item, Pipeline
from stream.types import Example

BATCH = 64
QUIET_S = 8.0
SNAPSHOTS = 3
SEED = 7


def name(label: int) -> str:
    """Three words, of a vocabulary of some thousands."""
    return f"a{label % 997} b{label // 997 % 1_009} c{label // 1_005_973} {label % 3_001}"


def filled(labels: int) -> Pipeline:
    """A pipeline that knows so many labels."""
    pipeline = Pipeline(Settings())
    model = pipeline.model
    for label in range(labels):
        model.describe(name(label), name(label))
    retrieval = pipeline._retrieval(model.dimension)
    rng = np.random.default_rng(SEED)
    for ids in np.array_split(model.labels.ids, max(1, labels // 50_000)):
        rows = rng.standard_normal((len(ids), model.dimension), np.float32)
        retrieval.prototypes.learn(ids, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    retrieval.sync()
    return pipeline


def batches(labels: int) -> Iterator[list[Item]]:
    """Events without end."""
    rng = np.random.default_rng(SEED)
    number = 0
    while True:
        items = []
        for _ in range(BATCH):
            chosen = (labels * rng.random(rng.integers(2, 5)) ** 2).astype(int)  # some often
            names = tuple(dict.fromkeys(name(int(label)) for label in chosen))
            number += 1
            items.append(Item(Example(str(number), text=" ".join(names), labels=names)))
        yield items


class Clocked:
    """Takes batches and notes how long each took, until told otherwise."""

    def __init__(self, pipeline: Pipeline, items: Iterator[list[Item]]) -> None:
        self._pipeline, self._items = pipeline, items
        self.steps: list[float] = []
        self.own: list[float] = []

    def step(self) -> None:
        """One batch; making it up is not counted."""
        items = next(self._items)
        start, own = time.perf_counter(), time.thread_time()
        self._pipeline.step(items)
        self.own.append(1_000 * (time.thread_time() - own))
        self.steps.append(1_000 * (time.perf_counter() - start))

    def taken(self) -> dict[str, float]:
        """Figures in milliseconds of the batches since the last call."""
        steps, self.steps = sorted(self.steps), []
        longest, self.own = max(self.own), []
        return {
            "batches": len(steps),
            "median_ms": statistics.median(steps),
            "p99_ms": steps[int(0.99 * (len(steps) - 1))],
            "longest_ms": steps[-1],
            "longest_cpu_ms": longest,
        }


def measure(labels: int, folder: Path) -> dict[str, Any]:
    """All figures at one size."""
    begun = time.perf_counter()
    pipeline = filled(labels)
    clocked = Clocked(pipeline, batches(labels))
    for _ in range(64):
        clocked.step()
    clocked.taken()
    out: dict[str, Any] = {"labels": labels, "filled_s": time.perf_counter() - begun}
    end = time.perf_counter() + QUIET_S
    while time.perf_counter() < end:
        clocked.step()
    out["quiet"] = clocked.taken()
    out["resident_bytes"], out["huge_bytes"] = resident()
    store = SnapshotStore(folder)
    out["snapshots"] = []
    for _ in range(SNAPSHOTS):
        start = time.perf_counter()
        finish = state.begin(store, pipeline, {}, {})
        begin = time.perf_counter() - start
        writer = threading.Thread(target=finish)
        writer.start()
        while writer.is_alive():
            clocked.step()
        took = time.perf_counter() - start  # the joining of pages after it included
        found = clocked.taken() | {"begin_ms": 1_000 * begin, "written_s": took}
        slower = max(0.0, found["longest_cpu_ms"] - out["quiet"]["longest_cpu_ms"])
        found["pause_ms"] = found["begin_ms"] + slower
        found["huge_bytes_after"] = resident()[1]
        out["snapshots"].append(found)
        for _ in range(64):  # as between two snapshots, but for less time
            clocked.step()
        clocked.taken()
    newest = max(folder.glob("snapshot-*"))
    out["files_bytes"] = sum(file.stat().st_size for file in newest.iterdir())
    start = time.perf_counter()
    arrays, _ = persist.dump(pipeline.model)
    for array in arrays.values():
        np.array(array)
    assert pipeline.retrieval is not None
    for _ in pipeline.retrieval.parts():
        pass  # copies, dropped at once so that the machine need not hold all
    out["copied_s"] = time.perf_counter() - start
    return out


def load(folder: Path) -> None:
    """In a process of its own: load, predict, print the seconds."""
    warm()
    start = time.perf_counter()
    found = SnapshotStore(folder).load()
    assert found is not None
    read = time.perf_counter() - start
    pipeline = state.revive(Settings(), found)
    del found
    spent = time.perf_counter() - start
    pipeline.step([Item(Example("x", text="a1 b2"))])
    print(json.dumps({"read_s": read, "load_s": spent, "peak_bytes": peak()}))


def peak() -> int:
    """Largest resident bytes so far, of this program alone."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines["VmHWM"].split()[0])


def resident() -> tuple[int, int]:
    """Resident bytes, and those of them in huge pages."""
    rolled = dict(
        line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    )
    return tuple(1024 * int(rolled[key].split()[0]) for key in ("Rss", "AnonHugePages"))  # type: ignore[return-value]


def table(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Snapshots while the stream goes on", "",
        f"Machine: {machine}. Made by `tests/bench/bench_snapshot.py`; seed {SEED}.", "",
        "| labels | resident | on disk | begin, ms | longest batch, ms: quiet, writing"
        " | the same in the thread's own time, ms | pause, ms | written, s | copied instead, s"
        " | read, s | loaded, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        made = row["snapshots"]

        def each(key: str, digits: int = 0, made: list[dict[str, Any]] = made) -> str:
            return " / ".join(f"{one[key]:.{digits}f}" for one in made)

        lines.append(
            f"| {row['labels']:,} | {row['resident_bytes'] / 1e9:.2f} GB"
            f" | {row['files_bytes'] / 1e9:.2f} GB | {each('begin_ms')}"
            f" | {row['quiet']['longest_ms']:.0f}, {each('longest_ms')}"
            f" | {row['quiet']['longest_cpu_ms']:.0f}, {each('longest_cpu_ms')}"
            f" | {each('pause_ms')}"
            f" | {each('written_s', 1)} | {row['copied_s']:.2f}"
            f" | {row['load']['read_s']:.2f} | {row['load']['load_s']:.2f} |"
        )
    lines += [
        "",
        "Three snapshots, one after another. The pause is the time to begin, and what the longest"
        " batch while writing took beyond the longest in quiet (batches of 64 events, learnt and"
        " predicted), in the time of the stream's thread on a processor: page faults of shared"
        " memory count, other programs on the machine do not. The machine was shared; its load"
        f" over a minute was {', '.join(str(row['load_before_after']) for row in rows)}, where 2 is"
        " both cores.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--load", type=Path, help="Only load the newest snapshot of this folder.")
    chosen = parser.parse_args()
    if chosen.load:
        load(chosen.load)
        return
    warm()
    rows = []
    for labels in chosen.labels:
        with tempfile.TemporaryDirectory() as folder:
            before = os.getloadavg()[0]
            row = measure(labels, Path(folder))
            row["load_before_after"] = [round(before, 1), round(os.getloadavg()[0], 1)]
            print(json.dumps(row), file=sys.stderr, flush=True)
            done = subprocess.run(
                [sys.executable, __file__, "--load", folder],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            row["load"] = json.loads(done.stdout)
        print(json.dumps(row), flush=True)
        rows.append(row)
    machine = describe("numpy", "numba", "faiss-cpu")
    print(table(rows, machine))
    if chosen.out:
        body = {"machine": machine, "seed": SEED, "rows": rows}
        (chosen.out / "snapshot.json").write_text(json.dumps(body, indent=1) + "\n")
        (chosen.out / "snapshot.md").write_text(table(rows, machine))


if __name__ == "__main__":
    main()
