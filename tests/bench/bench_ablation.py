"""What every part is worth: each left out in turn, on still and on drifting streams.

    python tests/bench/bench_ablation.py [--data DIR] [--jobs N] [--out FOLDER]

Small spaces: still streams are the first --limit events of evaluation folders; drifting ones are
planted, of texts and of vectors, where two groups change their meaning half-way, and of unions of
boxes among eight numbers, all of which change half-way. Extreme ones: the
first --extreme events of tibkat, texts with all label names. Figures are changes against the
whole model, in thousandths, averaged over the streams of a kind; below zero the part pays. With
--out the result is written as ablation.json and ablation.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from bench_quality import SMALL
from bench_tree import FEATURES, boxes
from machine import describe

from stream.config import EXPERTS, PARTS, load
from stream.evaluate import Task, score_all
from stream.learn.model import CHUNK
from stream.learn.warmup import warm
from stream.pipeline import Item, Pipeline
from stream.scores import Tally
from stream.source.folder import Folder
from stream.source.synthetic import Drift, Drifting, DriftingStream
from stream.types import Example

WHOLE = "nothing"
SHARED = ("partition_weights", "reaction", "sets")
OF_SMALL = (WHOLE, *EXPERTS, *SHARED)
OF_EXTREME = (WHOLE, *(part for part in PARTS if part not in (*EXPERTS, *SHARED)))
FIGURES = ("micro_f1", "macro_f1", "precision_at_1")
SEEDS = (7, 8)
Figures = dict[str, float]


def score(examples: list[Example], names: list[str], without: str) -> Figures:
    """Figures of one stream."""
    pipeline = Pipeline(load(environ={}, overrides=[f"learn.without={without}"]))
    tally, start = Tally(names), time.process_time()
    for at in range(0, len(examples), CHUNK):
        part = examples[at : at + CHUNK]
        made = pipeline.step([Item(example) for example in part]).predictions
        for n, example in enumerate(part):
            tally.add(made[n], example.labels or ())
    spent = time.process_time() - start
    found = tally.full()
    return {name: found[name] for name in FIGURES} | {"us": 1e6 * spent / max(len(examples), 1)}


def drifting(events: int, dimension: int, seed: int) -> tuple[list[Example], list[str]]:
    """A planted stream whose first two groups change their meaning half-way."""
    change = Drift("sudden", events // 2, groups=(0, 1))
    plan = Drifting(dimension=dimension, seed=seed, drift=change)
    stream = DriftingStream(plan)
    examples = [
        Example(
            event.id,
            text=None if event.vector is not None else event.text,
            vector=event.vector,
            labels=tuple(str(label) for label in event.labels),
        )
        for event in (stream.at(number) for number in range(events))
    ]
    return examples, [str(label) for label in range(plan.labels)]


def boxed(events: int, seed: int) -> tuple[list[Example], list[str]]:
    """Vectors whose labels are unions of boxes, and half-way of other boxes."""
    rng = np.random.default_rng(seed)
    x = rng.random((events, FEATURES))
    halves = np.array_split(x, 2)
    y = np.concatenate([boxes(rng, half) for half in halves])
    examples = [
        Example(
            str(at), vector=row.astype(np.float32), labels=tuple(map(str, np.flatnonzero(true)))
        )
        for at, (row, true) in enumerate(zip(x, y, strict=True))
    ]
    return examples, [str(label) for label in range(y.shape[1])]


def without(part: str, data: Path, limit: int, events: int) -> dict[str, Figures]:
    """Mean figures of small spaces by kind of stream."""
    off = "" if part == WHOLE else part
    folders = [Folder(data / name) for name in SMALL if (data / name).exists()]
    still = [score(list(one.examples(limit)), one.label_names, off) for one in folders]
    planted = [drifting(events, dimension, seed) for seed in SEEDS for dimension in (0, 24)]
    moving = [score(*one, off) for one in planted]
    moved = [score(*boxed(2 * events, seed), off) for seed in SEEDS]
    kinds = {"still": still, "drifting": moving, "boxes": moved}
    return {
        kind: {name: statistics.mean(one[name] for one in found) for name in found[0]}
        for kind, found in kinds.items()
        if found
    }


def without_extreme(part: str, folder: Path, events: int) -> dict[str, Figures]:
    """Figures of an extreme space."""
    off = "" if part == WHOLE else part
    settings = load(environ={}, overrides=[f"learn.without={off}"])
    done = list(score_all(Task(folder, events, text=True, names="all"), settings))[-1]
    figures = {f"precision_at_{k}": done[f"precision_at_{k}"] for k in (1, 3, 5)}
    return {"extreme": figures | {"us": 1e6 / done["events_per_second"]}}


def table(rows: dict[str, dict[str, Figures]]) -> str:
    """Markdown: the change of each figure without a part, by kind of stream."""
    whole = rows[WHOLE]
    columns = [(kind, name) for kind, found in whole.items() for name in found if name != "us"]
    heads = " | ".join(f"{kind}: {name}" for kind, name in columns)
    lines = [f"| without | {heads} | µs an event |", "|---" * (len(columns) + 2) + "|"]
    for part, kinds in rows.items():
        cells = [
            f"{kinds[kind][name]:.4f}"
            if part == WHOLE
            else f"{1000 * (kinds[kind][name] - whole[kind][name]):+.1f}"
            for kind, name in columns
        ]
        spent = statistics.mean(kind["us"] for kind in kinds.values())
        lines.append(f"| {part} | " + " | ".join((*cells, f"{spent:.0f}")) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--drifting", type=int, default=3_000)
    parser.add_argument("--extreme", type=int, default=8_000, help="0 for none")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    warm()
    of_small = partial(without, data=chosen.data, limit=chosen.limit, events=chosen.drifting)
    texts = chosen.data / "tibkat"
    of_extreme = partial(without_extreme, folder=texts, events=chosen.extreme)
    with get_context("spawn").Pool(chosen.jobs) as pool:
        small = dict(zip(OF_SMALL, pool.map(of_small, OF_SMALL, 1), strict=True))
        extreme: dict[str, Any] = {}
        if chosen.extreme and texts.exists():
            extreme = dict(zip(OF_EXTREME, pool.map(of_extreme, OF_EXTREME, 1), strict=True))
    machine = describe("numpy", "numba")
    text = (
        "# Ablation\n\nThe first row of a table is the whole model; the others are changes in "
        "thousandths when a part is left out. "
        + ", ".join(f"{name} {value}" for name, value in machine.items())
        + f", {chosen.jobs} at a time, learner seed {load(environ={}).learn.seed}.\n\n## Small "
        f"spaces\n\nMeans over twelve still streams ({chosen.limit:,} events at most of each) and "
        f"four drifting ones ({chosen.drifting:,} each) and two of boxes (twice as many), seeds "
        f"{SEEDS}.\n\n{table(small)}\n"
    )
    if extreme:
        text += f"\n## Extreme spaces\n\ntibkat, first {chosen.extreme:,} events.\n\n"
        text += table(extreme) + "\n"
    print(text)
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        result = {"machine": machine, "seeds": SEEDS, "small": small, "extreme": extreme}
        (chosen.out / "ablation.json").write_text(json.dumps(result, indent=1) + "\n")
        (chosen.out / "ablation.md").write_text(text)


if __name__ == "__main__":
    main()
