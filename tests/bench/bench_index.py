"""Measures flat and faiss_cpu in one run: recall, latency, updates, and their ratios.

    python tests/bench/bench_index.py --labels 10000 100000 --dimension 256

The vectors are clustered and of length 1, as prototypes are; queries are vectors with noise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from indexes.base import Hits, LabelIndex
from indexes.faiss_cpu import FaissCpu
from indexes.flat import Flat
from indexes.recall import recall

K = 10
CLUSTER = 50  # labels of a cluster
QUERIES = 256
UPDATED = 2_560  # vectors in all
TOGETHER = 256  # vectors in one update


def unit(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def draw(labels: int, dimension: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prototypes (labels, d) and queries (QUERIES, d): noise as long as what it is added to."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((max(1, labels // CLUSTER), dimension), np.float32)
    rows = rng.standard_normal((labels, dimension), np.float32)
    rows += middles[rng.integers(0, len(middles), labels)]
    noise = rng.standard_normal((QUERIES, dimension), np.float32)
    return unit(rows), unit(rows[rng.integers(0, labels, QUERIES)] + noise)


def median_ms(work: Callable[[int], object], rounds: int) -> float:
    """Milliseconds of `work(round)`, the median; two rounds before it do not count."""
    times = []
    for at in range(-2, rounds):
        start = time.perf_counter()
        work(at)
        times.append(time.perf_counter() - start)
    return 1_000 * statistics.median(times[2:])


def measure(
    index: LabelIndex, rows: np.ndarray, queries: np.ndarray, seed: int, rounds: int
) -> dict[str, Any]:
    """Figures of one index over `rows`."""
    start = time.perf_counter()
    index.upsert(np.arange(len(rows)), rows)
    build_s = time.perf_counter() - start

    def single(at: int) -> Hits:
        where = at % QUERIES
        return index.search(queries[where : where + 1], K)

    def batch(at: int) -> Hits:
        where = 16 * (at % (QUERIES // 16))
        return index.search(queries[where : where + 16], K)

    figures = {
        "build_s": build_s,
        "single_ms": median_ms(single, 4 * rounds),
        "batch16_ms": median_ms(batch, rounds),
    }
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, len(rows), UPDATED)
    moved = unit(rows[ids] + 0.1 * rng.standard_normal((UPDATED, rows.shape[1]), np.float32))
    start = time.perf_counter()
    for at in range(0, UPDATED, TOGETHER):
        index.upsert(ids[at : at + TOGETHER], moved[at : at + TOGETHER])
    figures["updates_per_s"] = UPDATED / (time.perf_counter() - start)
    return figures


def compare(labels: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A record for each index at one size; ratios are ours over flat's."""
    rows, queries = draw(labels, options.dimension, options.seed)
    flat = Flat(options.dimension)
    lists = FaissCpu(
        options.dimension,
        train_at=min(labels, 8_192),
        probes=options.probes,
        threads=options.threads,
        seed=options.seed,
    )
    records = []
    for index in (flat, lists):
        figures = measure(index, rows, queries, options.seed, options.rounds)
        # After the updates, which are the same for both.
        found, truth = index.search(queries, K), flat.search(queries, K)
        share = float(recall(found, truth).mean())
        records.append({"labels": labels, "index": index.kind, "recall_at_10": share, **figures})
    base = dict(records[0])
    for record in records:
        for name in ("single_ms", "batch16_ms", "updates_per_s"):
            record[f"{name}_ratio"] = record[name] / base[name]
    return records


def about(options: argparse.Namespace) -> dict[str, Any]:
    """What it ran on."""
    import faiss
    import numba

    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return {
        "machine": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "faiss": faiss.__version__,
        "dimension": options.dimension,
        "probes": options.probes,
        "threads": options.threads,
        "seed": options.seed,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--probes", type=int, help="lists searched; default: as the index has it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=32)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args(arguments)
    if options.json:
        print(json.dumps(about(options)))
    else:
        print(" · ".join(f"{name} {value}" for name, value in about(options).items()))
        print(
            f"{'labels':>9} {'index':<10} {'recall@10':>9} {'1 query':>10} {'16':>10} "
            f"{'updates/s':>10} {'build':>8}   against flat: 1, 16, updates"
        )
    for labels in options.labels:
        for record in compare(labels, options):
            print(json.dumps(record) if options.json else line(record))


def line(record: dict[str, Any]) -> str:
    """A record for people."""
    return (
        f"{record['labels']:>9,} {record['index']:<10} {record['recall_at_10']:>9.3f} "
        f"{record['single_ms']:>7.3f} ms {record['batch16_ms']:>7.3f} ms "
        f"{record['updates_per_s']:>10,.0f} {record['build_s']:>6.2f} s   "
        f"{record['single_ms_ratio']:.2f}, {record['batch16_ms_ratio']:.2f}, "
        f"{record['updates_per_s_ratio']:.2f}"
    )


if __name__ == "__main__":
    main()
