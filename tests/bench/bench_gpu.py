"""The GPU index: recall, latency, updates and the memory bandwidth that a search reaches.

    make bench-gpu

Without a CUDA device it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from indexes.extras import DeviceMissing, ExtraNeeded
from indexes.factory import make
from tests.bench.bench_index import QUERIES, K, draw, exact, table
from tests.bench.machine import describe

TOGETHER = 1_024  # vectors in one update
FILL = 100_000
TRUTH = 64  # queries whose exact answer is computed on the CPU


def milliseconds(work: Callable[[int], object], rounds: int) -> tuple[float, float]:
    """Median and 99th percentile of `work(round)`; each call waits for the device."""
    times = []
    for at in range(-5, rounds):
        start = time.perf_counter()
        work(at)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[5:])), float(np.quantile(times[5:], 0.99))


def copied_gb_per_s(torch: Any) -> float:
    """Bandwidth, in GB/s read and written, of a plain copy on the device: what can be had."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        target.copy_(source)
    torch.cuda.synchronize()
    return 20 * 2 * source.numel() / (time.perf_counter() - start) / 1e9


def measure(labels: int, options: argparse.Namespace) -> dict[str, Any]:
    """Figures at one size."""
    rows, queries = draw(labels, options.dimension, 1.0, options.seed)
    truth = exact(rows, queries[:TRUTH])
    index = make("faiss_gpu", options.dimension)
    start = time.perf_counter()
    for at in range(0, labels, FILL):
        index.upsert(np.arange(at, min(labels, at + FILL)), rows[at : at + FILL])
    filled = time.perf_counter() - start
    found = index.search(queries[:TRUTH], K).ids
    same = [
        len(set(a) & set(b)) / K for a, b in zip(found.tolist(), truth.ids.tolist(), strict=True)
    ]
    one = milliseconds(lambda at: index.search(queries[at % QUERIES : at % QUERIES + 1], K), 200)
    many = milliseconds(lambda at: index.search(queries[:64], K), 100)
    draws = np.random.default_rng(options.seed)

    def update(_: int) -> None:
        ids = draws.choice(labels, TOGETHER, replace=False)
        index.upsert(ids, rows[ids])

    updated = milliseconds(update, 50)
    size = 2 * options.dimension * labels
    index.close()
    return {
        "index": f"{labels:,} labels", "recall": float(np.mean(same)),
        "one_p50_ms": one[0], "one_p99_ms": one[1], "batch64_p50_ms": many[0],
        "batch64_p99_ms": many[1], "updates_per_s": 1e3 * TOGETHER / updated[0],
        "filled_rows_per_s": labels / filled, "vectors_gb": size / 1e9,
        "one_gb_per_s": size / one[0] / 1e6, "batch64_gb_per_s": size / many[0] / 1e6,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md")
    options = parser.parse_args(arguments)
    try:
        make("faiss_gpu", options.dimension).close()
    except (DeviceMissing, ExtraNeeded) as error:
        print(f"There is no GPU index to measure here: {error}.")
        return
    import torch

    device = torch.cuda.get_device_properties(0)
    about = {
        **describe("numpy", "torch"), "device": device.name,
        "device_memory_gb": device.total_memory / 1e9, "copy_gb_per_s": copied_gb_per_s(torch),
    }  # fmt: skip
    torch.cuda.empty_cache()
    records = []
    for labels in options.labels:
        records.append(measure(labels, options))
        print(table(records[-1:]), flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        whole = {"machine": about, "records": records}
        (options.out / "gpu.json").write_text(json.dumps(whole, indent=1) + "\n")
        said = " · ".join(f"{name} {value}" for name, value in about.items())
        (options.out / "gpu.md").write_text(f"# The GPU index\n\n{said}\n\n{table(records)}\n")


if __name__ == "__main__":
    main()
