"""Partitions against planted groups, and on real label streams, beside ODAC in the same run.

    python tests/bench/bench_partitions.py [--full] [--seeds 3] [--data DIR] [--json FILE]

ARI is over all labels seen in the phase with company, and over those of at least 10 events.
`best` is what the truth allows: each label in the planted group that it meets most beyond
chance, given the groups of all others. Moves are counted on 100,000 events, after five more
phases since the re-mix; on real streams, in their second half. Speeds are by processor time of
one thread.
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
from machine import describe
from odac import Odac

from stream.learn.partitions.partitioner import Partitioner
from stream.source.planted import GraphWalks, PlantedLabels, ZipfGroups

KINDS: tuple[type[ZipfGroups | GraphWalks], ...] = (ZipfGroups, GraphWalks)
EVENTS = {100: 5_000, 1_000: 10_000, 10_000: 40_000, 100_000: 300_000}
STATIONARY = 100_000
ODAC_LABELS = 10_000  # its farthest pairs cost too much beyond
REAL = "bibtex", "enron", "medical", "stackex_chess", "20ng", "tmc2007_500", "tibkat"


def rand_index(truth: Any, found: Any) -> float:
    """Adjusted for chance (Hubert, Arabie 1985)."""
    import scipy.sparse

    _, truth = np.unique(truth, return_inverse=True)
    _, found = np.unique(found, return_inverse=True)
    table = scipy.sparse.coo_matrix((np.ones(len(truth)), (truth, found))).tocsr()

    def pairs(counts: Any) -> float:
        return float((counts * (counts - 1) / 2).sum())

    a, b = pairs(np.bincount(truth)), pairs(np.bincount(found))
    chance = a * b / pairs(np.array([len(truth)]))
    return (pairs(table.data) - chance) / ((a + b) / 2 - chance)


def both(groups: Any, leaf_of: Any, counts: Any) -> list[float]:
    """ARI over the labels seen, and over those of at least 10 events."""
    placed = leaf_of >= 0
    return [
        rand_index(groups[few], leaf_of[few])
        for few in (placed & (counts > 0), placed & (counts >= 10))
    ]


def incidence(truths: Any, bounds: Any, labels: int) -> Any:
    import scipy.sparse

    return scipy.sparse.csr_matrix(
        (np.ones(len(truths)), truths, bounds), shape=(len(bounds) - 1, labels)
    )


def best(truths: Any, bounds: Any, groups: Any) -> Any:
    """(labels,) the group a label meets most beyond chance, given those of all others."""
    import scipy.sparse

    labels = len(groups)
    y = incidence(truths, bounds, labels)
    weight = scipy.sparse.diags_array(1.0 / np.maximum(np.diff(bounds) - 1, 1))
    met = (y.T @ weight @ y).tolil()
    met.setdiag(0)
    member = scipy.sparse.csr_matrix((np.ones(labels), (np.arange(labels), groups)))
    links = scipy.sparse.csr_matrix(met.tocsr() @ member)
    total = np.asarray(links.sum(1)).ravel()
    share = np.asarray(links.sum(0)).ravel() / max(links.sum(), 1)
    found = np.full(labels, -1)
    for label in np.flatnonzero(total):
        near = slice(links.indptr[label], links.indptr[label + 1])
        where = links.indices[near]
        found[label] = where[np.argmax(links.data[near] - total[label] * share[where])]
    return found


def planted(stream: PlantedLabels, seed: int) -> dict[str, Any]:
    """One seed on one generator: two phases, then a stationary stretch."""
    labels, events = stream.labels, EVENTS[stream.labels]
    ours = Partitioner()
    ours.add_labels(labels)
    peer = Odac(labels) if labels <= ODAC_LABELS else None
    row: dict[str, Any] = {"kind": type(stream).__name__, "labels": labels, "seed": seed}
    spent = peer_spent = 0.0
    for phase in ("learnt", "remixed"):
        if phase == "remixed":
            stream.remix()
        groups = stream.group_of()
        truths, bounds = stream.draw(events)
        counts = np.bincount(truths, minlength=labels)
        start = time.process_time()
        ours.observe(truths, bounds)
        spent += time.process_time() - start
        row[phase] = both(groups, ours.leaf_of[:labels], counts)
        if labels <= ODAC_LABELS:
            row[f"{phase}_best"] = both(groups, best(truths, bounds, groups), counts)
        if peer is not None:
            start = time.process_time()
            peer.observe(truths, bounds)
            peer_spent += time.process_time() - start
            row[f"{phase}_odac"] = both(groups, peer.leaf_of, counts)
    ours.observe(*stream.draw(5 * events))
    truths, bounds = stream.draw(STATIONARY)
    start = time.process_time()
    deltas = ours.observe(truths, bounds)
    row["stationary_events_per_second"] = STATIONARY / (time.process_time() - start)
    row["moves_per_1000"] = sum(d.kind == "move" for d in deltas) * 1_000 / STATIONARY
    row["splits_and_merges"] = sum(d.kind in ("split", "merge") for d in deltas)
    row["events"], row["events_per_second"] = events, 2 * events / spent
    row["odac_events_per_second"] = 2 * events / peer_spent if peer else None
    return row


def within(y: Any, leaf_of: Any) -> float:
    """Mean Jaccard similarity over all pairs of labels that share a leaf."""
    met = (y.T @ y).tocoo()
    n = np.asarray(y.sum(0)).ravel()
    a, b = met.row, met.col
    same = (a < b) & (leaf_of[a] == leaf_of[b]) & (leaf_of[a] >= 0)
    jaccard = met.data[same] / (n[a[same]] + n[b[same]] - met.data[same])
    size = np.bincount(leaf_of[leaf_of >= 0]).astype(float)
    return float(jaccard.sum() / max((size * (size - 1) / 2).sum(), 1))


def real(path: Path) -> dict[str, Any]:
    """A folder's labels in stream order."""
    import scipy.sparse

    y = scipy.sparse.csr_matrix(scipy.sparse.load_npz(path / "Y.npz"), dtype=float)
    order = path / "order.npy"
    if order.exists():
        y = scipy.sparse.csr_matrix(y[np.load(order)])
    events, labels = y.shape
    truths, bounds = y.indices.astype(np.int32), y.indptr.astype(np.int64)
    ours = Partitioner()
    ours.add_labels(labels)
    start = time.process_time()
    ours.observe(truths, bounds[: events // 2 + 1])
    deltas = ours.observe(truths, bounds[events // 2 :])
    spent = time.process_time() - start
    leaf_of = np.array(ours.leaf_of[:labels], np.int64)
    mixed = leaf_of.copy()
    mixed[leaf_of >= 0] = np.random.default_rng(0).permutation(leaf_of[leaf_of >= 0])
    row = {
        "stream": path.name, "labels": labels, "events": events, "leaves": ours.leaves,
        "moves_per_1000": sum(d.kind == "move" for d in deltas) * 1_000 / (events - events // 2),
        "events_per_second": events / spent,
        "jaccard": within(y, leaf_of), "jaccard_random": within(y, mixed),
    }  # fmt: skip
    if labels <= ODAC_LABELS:
        peer = Odac(labels)
        peer.observe(truths, bounds)
        row["jaccard_odac"] = within(y, peer.leaf_of)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown; means over seeds, the worst in brackets, all seen / at least 10 events."""
    names = "generator", "labels", "events", "learnt", "re-mixed", "best", "ODAC"
    lines = ["| " + " | ".join((*names, "moves/1,000", "events/s (ODAC)")) + " |", "|---" * 9 + "|"]
    for kind, labels in sorted({(row["kind"], row["labels"]) for row in rows}):
        few = [row for row in rows if (row["kind"], row["labels"]) == (kind, labels)]

        def cell(name: str, few: list[dict[str, Any]] = few) -> str:
            if name not in few[0]:
                return "-"
            values = np.array([row[name] for row in few])
            mean, worst = values.mean(0), values.min(0)
            return f"{mean[0]:.3f} / {mean[1]:.3f} ({worst[0]:.3f} / {worst[1]:.3f})"

        speed = np.median([row["events_per_second"] for row in few])
        peer = [row["odac_events_per_second"] for row in few]
        moves = max(row["moves_per_1000"] for row in few)
        cells = [cell(name) for name in ("learnt", "remixed", "learnt_best", "learnt_odac")]
        lines.append(
            f"| {kind} | {labels:,} | {few[0]['events']:,} | {' | '.join(cells)} | {moves:.2f} "
            f"| {speed:,.0f} ({f'{np.median(peer):,.0f}' if peer[0] else '-'}) |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="100,000 labels too")
    parser.add_argument("--seeds", type=int, default=5, help="at 10,000 labels and more: one")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    warm = Partitioner()
    warm.add_labels(100)
    warm.observe(*ZipfGroups(100).draw(2_000))
    rows = []
    for labels in [size for size in EVENTS if chosen.full or size < 100_000]:
        for kind in KINDS:
            for seed in range(chosen.seeds if labels < 10_000 else 1):
                rows.append(planted(kind(labels, seed=seed), seed))
                print(json.dumps(rows[-1]), file=sys.stderr)
    streams = [real(chosen.data / name) for name in REAL if (chosen.data / name).exists()]
    made_on = describe("numpy", "numba", "scipy")
    print(f"machine: {made_on}, seeds 0 to {chosen.seeds - 1} (10,000 labels and more: 0)\n")
    print(table(rows))
    print("\n| stream | labels | moves/1,000 | Jaccard in leaves: ours | ODAC | random |")
    print("|---" * 6 + "|")
    for row in streams:
        print(
            f"| {row['stream']} | {row['labels']:,} | {row['moves_per_1000']:.1f} "
            f"| {row['jaccard']:.4f} | {row.get('jaccard_odac', float('nan')):.4f} "
            f"| {row['jaccard_random']:.4f} |"
        )
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": made_on, "planted": rows, "streams": streams}
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
