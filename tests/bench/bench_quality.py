"""Accuracy and speed on evaluation folders, beside published figures and river in the same run.

    python tests/bench/bench_quality.py --data DIR [--anchors CSV] [--json FILE]

Every folder is scored prequentially, one event at a time, in the default configuration. The
peer is river's classifier chain of logistic regressions, on the first events of each stream.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from machine import describe

from stream.config import load
from stream.evaluate import Task, score_all
from stream.learn.warmup import warm
from stream.source.folder import Folder

SMALL = (
    "flags", "emotions", "birds", "water_quality", "yeast", "scene", "enron", "medical",
    "stackex_chess", "bibtex", "20ng", "tmc2007_500",
)  # fmt: skip


def ours(path: Path, limit: int) -> dict[str, Any]:
    """The final figures of a stream."""
    return list(score_all(Task(path, limit), load(environ={})))[-1]


def peer(path: Path, limit: int) -> dict[str, float]:
    """Micro-F1 and events/s of river's classifier chain on the first events."""
    from river import linear_model, multioutput, preprocessing

    folder = Folder(path)
    chain = multioutput.ClassifierChain(linear_model.LogisticRegression(), order=folder.label_names)
    model = preprocessing.StandardScaler() | chain
    both = chosen = true = 0
    spent = 0.0
    for example in folder.examples(limit):
        x = dict(example.features or {})
        y = {name: name in (example.labels or ()) for name in folder.label_names}
        before = time.perf_counter()
        guess = model.predict_one(x)
        model.learn_one(x, y)
        spent += time.perf_counter() - before
        picked = {name for name, on in guess.items() if on}
        both += len(picked & set(example.labels or ()))
        chosen += len(picked)
        true += len(example.labels or ())
    return {
        "micro_f1": 2 * both / max(chosen + true, 1),
        "events_per_second": min(limit, folder.events) / spent,
    }


def published(file: Path | None) -> dict[str, dict[str, float]]:
    """Micro-F1 of every published algorithm, by stream."""
    found: dict[str, dict[str, float]] = {}
    if file is None or not file.exists():
        return found
    with file.open() as lines:
        for row in csv.DictReader(lines):
            if row["metric"] == "micro_f1":
                found.setdefault(row["dataset"], {})[row["algorithm"]] = float(row["value"])
    return found


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Markdown."""
    names = "stream", "events", "labels", "micro-F1", "iHOMER", "best of 18", "events/s"
    beside = "river: events/s, micro-F1", "ours over river on the same events"
    lines = ["| " + " | ".join((*names, *beside)) + " |", "|---" * 9 + "|"]
    for row in rows:
        best = f"{row['best']:.3f} ({row['best_name']})" if "best" in row else "-"
        lines.append(
            f"| {row['dataset']} | {row['events']:,} | {row['labels']} | {row['micro_f1']:.3f} "
            f"| {row.get('ihomer', float('nan')):.3f} | {best} | {row['events_per_second']:,.0f} "
            f"| {row['peer']['events_per_second']:,.0f}, {row['peer']['micro_f1']:.3f} "
            f"| {row['ratio']:.2f} of its speed, {row['gain']:+.3f} micro-F1 |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--anchors", type=Path, default=None)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--peer-events", type=int, default=500)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("streams", nargs="*", default=SMALL)
    chosen = parser.parse_args()
    anchors = published(chosen.anchors or chosen.data.parent / "anchors/published_results.csv")
    warm()
    rows = []
    for name in chosen.streams:
        row = ours(chosen.data / name, chosen.limit)
        row["peer"] = peer(chosen.data / name, chosen.peer_events)
        same = ours(chosen.data / name, chosen.peer_events)
        row["ratio"] = same["events_per_second"] / row["peer"]["events_per_second"]
        row["gain"] = same["micro_f1"] - row["peer"]["micro_f1"]
        figures = anchors.get(name, {})
        if figures:
            best = max(figures, key=lambda one: figures[one])
            row |= {
                "best": figures[best],
                "best_name": best,
                "ihomer": figures.get("iHOMER", float("nan")),
            }
        rows.append(row)
        print(json.dumps(row), file=sys.stderr)
    mean = {
        key: statistics.mean(row[key] for row in rows)
        for key in ("micro_f1", "macro_f1", "events_per_second")
    }
    result = {
        "machine": describe("numpy", "numba", "river", "faiss-cpu"),
        "seed": load(environ={}).learn.seed,
        "mean": mean,
        "rows": rows,
    }
    print(f"machine: {result['machine']}, seed {result['seed']}\n")
    print(table(rows))
    print(f"\nmean micro-F1 {mean['micro_f1']:.4f}, macro-F1 {mean['macro_f1']:.4f}, "
          f"{mean['events_per_second']:,.0f} events/s")  # fmt: skip
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
