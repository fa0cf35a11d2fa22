"""Accuracy and speed on evaluation folders, beside published figures and river in the same run.

    python tests/bench/bench_quality.py --data DIR [--extreme tibkat] [--out FOLDER] [streams...]

Every folder is scored prequentially, one event at a time, in the default configuration, once
for each of the four objectives. The peer is river's classifier chain of logistic regressions,
on the first events of each stream. With --out the result is written as quality.json, quality.md
and quality.svg.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from machine import describe
from published import METRICS, Figures, read, standing
from quality_report import markdown, plot

from stream.config import load
from stream.evaluate import Task, score_all
from stream.learn.warmup import warm
from stream.source.folder import Folder

SMALL = (
    "flags", "emotions", "birds", "water_quality", "yeast", "scene", "enron", "medical",
    "stackex_chess", "bibtex", "20ng", "tmc2007_500",
)  # fmt: skip
INPUTS = {
    "features": {},
    "text": {"text": True},
    "text, names of labels seen": {"text": True, "names": "seen"},
    "text, names of all labels": {"text": True, "names": "all"},
}  # fmt: skip


def ours(task: Task, objective: str = "micro_f1") -> dict[str, Any]:
    """The final figures of a stream."""
    settings = load(environ={}, overrides=[f"learn.objective={objective}"])
    return list(score_all(task, settings))[-1]


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


def small(path: Path, limit: int, peer_events: int, figures: Figures) -> dict[str, Any]:
    """A stream under the four objectives, beside what was published and river."""
    runs = {metric: ours(Task(path, limit), goal) for metric, goal in METRICS.items()}
    any_run = runs["micro_f1"]
    row = {key: any_run[key] for key in ("dataset", "events", "labels", "features")}
    row["events_per_second"] = statistics.median(run["events_per_second"] for run in runs.values())
    row["cells"] = {
        metric: standing(metric, run[metric], figures.get((path.name, metric), {}))
        for metric, run in runs.items()
    }
    row["peer"] = peer(path, peer_events)
    same = ours(Task(path, peer_events))
    row["ratio"] = same["events_per_second"] / row["peer"]["events_per_second"]
    row["gain"] = same["micro_f1"] - row["peer"]["micro_f1"]
    return row


def summary(rows: list[dict[str, Any]], extreme: list[dict[str, Any]]) -> dict[str, Any]:
    """All rows with means and the count of first places."""
    mean = {
        metric: statistics.mean(row["cells"][metric]["ours"] for row in rows) for metric in METRICS
    }
    ranked = [cell["rank"] for row in rows for cell in row["cells"].values() if "rank" in cell]
    return {
        "machine": describe("numpy", "numba", "river", "faiss-cpu"),
        "seed": load(environ={}).learn.seed,
        "first": ranked.count(1),
        "cells": len(ranked),
        "mean": mean
        | {"events_per_second": statistics.mean(row["events_per_second"] for row in rows)},
        "rows": rows,
        "extreme": extreme,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--anchors", type=Path, default=None)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--peer-events", type=int, default=500)
    parser.add_argument("--extreme", action="append", default=[], help="a folder with texts")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("streams", nargs="*", default=SMALL)
    chosen = parser.parse_args()
    figures = read(chosen.anchors or chosen.data.parent / "anchors/published_results.csv")
    warm()
    rows = []
    for name in chosen.streams:
        rows.append(small(chosen.data / name, chosen.limit, chosen.peer_events, figures))
        print(json.dumps(rows[-1]), file=sys.stderr)
    extreme = []
    for name in chosen.extreme:
        for what, options in INPUTS.items():
            done = ours(Task(chosen.data / name, chosen.limit, **options))
            extreme.append(done | {"input": what})
            print(json.dumps(extreme[-1]), file=sys.stderr)
    result = summary(rows, extreme)
    text = markdown(result)
    print(text)
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "quality.json").write_text(json.dumps(result, indent=1) + "\n")
        (chosen.out / "quality.md").write_text(text)
        plot(result, chosen.out / "quality.svg")


if __name__ == "__main__":
    main()
