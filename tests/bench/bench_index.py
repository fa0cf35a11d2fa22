"""The prototype index beside faiss' own IVF: recall, latency, builds, updates, memory.

    python tests/bench/bench_index.py --labels 100000 1000000 --out tests/bench/results

Vectors are clustered and of length 1, as prototypes are; queries are vectors with noise. Both
indexes hold the same vectors and answer the same queries in one run; `faiss` is IVF with float16
vectors, trained at once, and probes as many lists as it takes for the recall that ours has.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from indexes.base import Hits
from indexes.faiss_cpu import FaissCpu
from indexes.recall import recall
from tests.bench.machine import describe

K = 10
CLUSTER = 50  # labels of a cluster
QUERIES = 256
UPDATED = 40_000  # vectors in all
TOGETHER = 1_000  # vectors in one update
FILL = 10_000


def unit(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def draw(labels: int, dimension: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prototypes (labels, d) and queries (QUERIES, d).

    `spread` is the noise of a label about the middle of its cluster, by that middle's length.
    """
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((max(1, labels // CLUSTER), dimension), np.float32)
    rows = rng.standard_normal((labels, dimension), np.float32)
    rows *= np.float32(spread)
    rows += middles[rng.integers(0, len(middles), labels)]
    noise = rng.standard_normal((QUERIES, dimension), np.float32)
    queries = unit(rows[rng.integers(0, labels, QUERIES)] + np.float32(spread) * noise)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, queries


def latencies(search: Callable[[np.ndarray], object], queries: np.ndarray, seconds: float,
              running: Callable[[], bool] = lambda: True) -> np.ndarray:  # fmt: skip
    """Milliseconds of each query alone, one after another, for so long."""
    times, end, at = [], time.perf_counter() + seconds, 0
    while time.perf_counter() < end and running():
        start = time.perf_counter()
        search(queries[at % QUERIES : at % QUERIES + 1])
        times.append(1e3 * (time.perf_counter() - start))
        at += 1
    return np.array(times[QUERIES // 4 :] if len(times) > QUERIES else times)


def quantiles(times: np.ndarray, name: str) -> dict[str, float]:
    if not len(times):
        return {}
    return {
        f"{name}_p50_ms": float(np.median(times)),
        f"{name}_p99_ms": float(np.quantile(times, 0.99)),
    }


def during(
    index: FaissCpu, queries: np.ndarray, work: Callable[[], None], name: str
) -> dict[str, float]:
    """Latency while `work`, a build, runs in another thread."""
    builder = threading.Thread(target=work)
    start = time.perf_counter()
    builder.start()
    times = latencies(lambda query: index.search(query, K), queries, 120, builder.is_alive)
    builder.join()
    return {**quantiles(times, name), f"{name}_s": time.perf_counter() - start}


def ours(rows: np.ndarray, queries: np.ndarray, truth: Hits, options: Any) -> dict[str, Any]:
    """Figures of our index, which builds in the background."""
    from indexes.background import lower_priority

    index = FaissCpu(rows.shape[1], background=True, threads=1)
    start = time.perf_counter()
    for at in range(0, len(rows), FILL):
        index.upsert(np.arange(at, min(len(rows), at + FILL)), rows[at : at + FILL])
    filled = time.perf_counter() - start
    index.wait()
    figures: dict[str, Any] = {
        "index": "ours", "filled_s": filled, "built_s": time.perf_counter() - start,
        "probes": index.probes, "generations": index.builds, "trainings": index.trainings,
    }  # fmt: skip
    index.rebuild()  # on all vectors, as the other is
    figures["memory_mb"] = index.memory_bytes / 1e6
    figures["probes"] = index.probes
    found = index.search(queries, K)
    figures["recall"] = float(recall(found, truth).mean())

    def search(query: np.ndarray) -> Hits:
        return index.search(query, K)

    figures |= quantiles(latencies(search, queries, options.seconds), "search")
    stop, rng = threading.Event(), np.random.default_rng(options.seed)

    def update(times: list[float]) -> None:
        while not stop.is_set():
            ids = rng.integers(0, len(rows), TOGETHER)
            start = time.perf_counter()
            index.upsert(ids, rows[ids])
            times.append(time.perf_counter() - start)
            stop.wait(max(0.0, TOGETHER / options.rate - times[-1]))

    written: list[float] = []
    writer = threading.Thread(target=update, args=(written,))
    writer.start()
    figures |= quantiles(latencies(search, queries, options.seconds), "updated")
    figures["generations_while_updated"] = index.builds - figures["generations"] - 1
    figures["upsert_p99_ms"] = float(1e3 * np.quantile(written, 0.99))
    stop.set()
    writer.join()
    index.wait()

    figures["sampled_recall"], figures["sampled"] = index.recall, index.samples

    def rebuild() -> None:
        lower_priority()
        index.rebuild()

    figures |= during(index, queries, rebuild, "training")
    start = time.perf_counter()
    for _ in range(UPDATED // TOGETHER):
        ids = rng.integers(0, len(rows), TOGETHER)
        index.upsert(ids, rows[ids])
    figures["updates_per_s"] = UPDATED / (time.perf_counter() - start)
    start = time.perf_counter()
    state = index.frozen()
    figures["frozen_ms"] = 1e3 * (time.perf_counter() - start)
    arrays = state.arrays()
    figures["overlay_mb"] = sum(a.nbytes for n, a in arrays.items() if "overlay" in n) / 1e6
    index.wait()
    index.close()
    return figures


def theirs(
    rows: np.ndarray, queries: np.ndarray, truth: Hits, aim: float, options: Any
) -> dict[str, Any]:
    """Figures of faiss' IVF with float16 vectors, at the recall `aim`."""
    import faiss

    faiss.omp_set_num_threads(1)
    count, width = rows.shape
    lists = round(4 * count**0.5)
    start = time.perf_counter()
    centres = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFScalarQuantizer(
        centres, width, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.cp.niter, index.cp.max_points_per_centroid = options.rounds, 64
    index.cp.min_points_per_centroid, index.cp.spherical = 1, True
    index.train(rows)
    index.set_direct_map_type(faiss.DirectMap.Hashtable)
    index.add(rows)
    figures: dict[str, Any] = {"index": "faiss IVF fp16", "built_s": time.perf_counter() - start}
    share, probes = 0.0, 4
    while share < aim and probes < lists:
        probes = min(lists, 2 * probes)
        how = faiss.SearchParametersIVF(nprobe=probes)
        scores, ids = index.search(queries, K, params=how)
        share = float(recall(Hits(ids, scores), truth).mean())

    def search(query: np.ndarray) -> object:
        return index.search(query, K, params=how)

    figures |= {"probes": probes, "recall": share, "memory_mb": (2 * width + 8) * count / 1e6}
    figures |= quantiles(latencies(search, queries, options.seconds), "search")
    rng, start = np.random.default_rng(options.seed), time.perf_counter()
    for _ in range(10):
        ids = rng.choice(count, TOGETHER, replace=False)
        index.remove_ids(ids)
        index.add_with_ids(rows[ids], ids)
    figures["updates_per_s"] = 10 * TOGETHER / (time.perf_counter() - start)
    return figures


def exact(rows: np.ndarray, queries: np.ndarray) -> Hits:
    scores = queries @ rows.T
    ids = np.argpartition(-scores, K, axis=1)[:, :K]
    best = np.take_along_axis(scores, ids, axis=1)
    order = np.argsort(-best, axis=1)
    return Hits(np.take_along_axis(ids, order, 1), np.take_along_axis(best, order, 1))


def table(records: Sequence[dict[str, Any]]) -> str:
    """The records as Markdown, one row a figure."""
    names = list(dict.fromkeys(name for record in records for name in record))
    lines = [
        "| figure | " + " | ".join(str(r["index"]) for r in records) + " |",
        "|---" * (len(records) + 1) + "|",
    ]
    for name in names:
        if name != "index":
            cells = [_cell(record.get(name)) for record in records]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return (
        f"{value:,.3f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[100_000])
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--spread", type=float, nargs="+", default=[0.6, 1.0])
    parser.add_argument("--rate", type=float, default=6_000, help="updates/s beside the searches")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=10, help="rounds of k-means of the peer")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--out", type=Path, help="folder for index.json and index.md")
    options = parser.parse_args(arguments)
    records = []
    for labels in options.labels:
        for spread in options.spread:
            rows, queries = draw(labels, options.dimension, spread, options.seed)
            truth = exact(rows, queries)
            case = {"labels": labels, "spread": spread}
            records.append({**case, **ours(rows, queries, truth, options)})
            if not options.no_peer:
                aim = min(records[-1]["recall"], 0.999)
                records.append({**case, **theirs(rows, queries, truth, aim, options)})
            print(table(records[-2 + options.no_peer :]), flush=True)
    if options.out:
        about = describe("numpy", "numba", "faiss-cpu")
        settings = {name: value for name, value in vars(options).items() if name != "out"}
        whole = {"machine": about, "settings": settings, "records": records}
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "index.json").write_text(json.dumps(whole, indent=1) + "\n")
        said = " · ".join(f"{name} {value}" for name, value in about.items())
        (options.out / "index.md").write_text(
            f"# The prototype index\n\n{said}\n\n{table(records)}\n"
        )


if __name__ == "__main__":
    main()
