"""The partitioner alone at 10,000 to 1,000,000 labels: speed, truth, sizes and memory.

    python tests/bench/bench_partitions_scale.py [--labels 10000 100000 1000000] [--out DIR]

Planted groups by Zipf's law (`stream.source.planted.ZipfGroups`), drawn piece by piece. Speed is
events by processor time of one thread: in bulk, and in chunks of 16, as the model hands them
over. ARI is over all labels seen with company, and over those of at least 10 events. A growth is
the longest pause of `add_labels` where labels come one by one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from bench_partitions import both
from machine import describe

from stream.learn.partitions.partitioner import Partitioner
from stream.source.planted import ZipfGroups

EVENTS = {10_000: 200_000, 100_000: 600_000, 1_000_000: 2_000_000}
PIECE, CHUNK, CHUNKS = 100_000, 16, 2_000
AIMS = {10_000: 100_000, 1_000_000: 40_000}  # events a second


def measure(labels: int, seed: int) -> dict[str, Any]:
    """Learn one planted stream and look at what came of it."""
    stream, ours = ZipfGroups(labels, seed=seed), Partitioner()
    pauses = []
    for total in range(1, labels + 1):
        start = time.perf_counter()
        ours.add_labels(total)
        pauses.append(time.perf_counter() - start)
    counts = np.zeros(labels, np.int64)
    speeds = []
    for _ in range(EVENTS[labels] // PIECE):
        truths, bounds = stream.draw(PIECE)
        counts += np.bincount(truths, minlength=labels)
        start = time.process_time()
        ours.observe(truths, bounds)
        speeds.append(PIECE / (time.process_time() - start))
    leaf_of = np.array(ours.leaf_of[:labels], np.int64)
    sizes = np.bincount(leaf_of[leaf_of >= 0])
    truths, bounds = stream.draw(CHUNK * CHUNKS)
    start = time.process_time()
    for at in range(0, CHUNK * CHUNKS, CHUNK):
        low, high = bounds[at], bounds[at + CHUNK]
        ours.observe(truths[low:high], bounds[at : at + CHUNK + 1] - low)
    chunked = CHUNK * CHUNKS / (time.process_time() - start)
    held = sum(array.nbytes for array in ours.arrays().values())
    every, often = both(stream.group_of(), leaf_of, counts)
    return {
        "labels": labels, "events": EVENTS[labels], "seed": seed,
        "events_per_second": EVENTS[labels] / sum(PIECE / one for one in speeds),
        "last_piece_per_second": speeds[-1], "chunked_per_second": chunked,
        "ari": every, "ari_ten": often, "seen": int((counts > 0).sum()),
        "seen_ten": int((counts >= 10).sum()), "leaves": int((sizes > 0).sum()),
        "largest_leaf": int(sizes.max()), "bytes_per_label": held / labels,
        "longest_growth_ms": 1e3 * max(pauses), "median_growth_us": 1e6 * float(np.median(pauses)),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = (
        "labels", "events", "events/s", "in chunks of 16", "ARI all", "ARI of ten", "leaves",
        "largest", "bytes a label", "longest growth",
    )  # fmt: skip
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        aim = f" (aim {AIMS[row['labels']]:,})" if row["labels"] in AIMS else ""
        lines.append(
            f"| {row['labels']:,} | {row['events']:,} | {row['events_per_second']:,.0f}{aim} "
            f"| {row['chunked_per_second']:,.0f} | {row['ari']:.3f} | {row['ari_ten']:.3f} "
            f"| {row['leaves']:,} | {row['largest_leaf']} | {row['bytes_per_label']:.0f} "
            f"| {row['longest_growth_ms']:.0f} ms |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=list(EVENTS), choices=EVENTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    warm = Partitioner()
    warm.add_labels(100)
    warm.observe(*ZipfGroups(100).draw(2_000))
    rows = []
    for labels in chosen.labels:
        rows.append(measure(labels, chosen.seed))
        print(json.dumps(rows[-1]), file=sys.stderr)
    made_on = describe("numpy", "numba")
    text = f"machine: {made_on}, seed {chosen.seed}\n\n{table(rows)}\n"
    print(text)
    if chosen.out:
        (chosen.out / "partitions_scale.md").write_text(text)
        body = json.dumps({"machine": made_on, "rows": rows}, indent=1)
        (chosen.out / "partitions_scale.json").write_text(body + "\n")


if __name__ == "__main__":
    main()
