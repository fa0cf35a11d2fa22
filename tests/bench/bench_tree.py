"""The tree alone, beside river's trees in the same run, on numeric streams that drift.

    python tests/bench/bench_tree.py [--events 6000] [--json FILE]

Labels are unions of boxes; half way, other boxes. All are called event by event from Python,
predict then learn. The peers are river's HoeffdingAdaptiveTreeClassifier, one for each label,
and its ISOUPTreeRegressor, which predicts all labels' rates; 0.5 decides everywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from machine import describe

from stream.learn.tree import hoeffding
from stream.learn.tree.state import SWAPS, capacities, make, room

FEATURES, LABELS, CELLS = 8, 6, 24
Step = Callable[[Any, Any], Any]


def boxes(rng: np.random.Generator, x: Any) -> Any:
    """Label sets of the leaves of a random tree of CELLS leaves, 2 % of the labels wrong."""
    cells = [np.arange(len(x))]
    while len(cells) < CELLS:
        cell = cells.pop(int(np.argmax([len(one) for one in cells])))
        column = rng.integers(FEATURES)
        above = x[cell, column] > np.quantile(x[cell, column], rng.uniform(0.3, 0.7))
        cells += [cell[above], cell[~above]]
    y = np.zeros((len(x), LABELS), bool)
    for cell in cells:
        y[cell] = rng.random(LABELS) < 0.35
    return y ^ (rng.random(y.shape) < 0.02)


def crossed(rng: np.random.Generator, x: Any) -> Any:
    """Exclusive-or of uneven halves: each test alone tells little."""
    cuts = rng.uniform(0.3, 0.45, LABELS)
    pairs = [rng.choice(FEATURES, 2, replace=False) for _ in range(LABELS)]
    both = [(x[:, a] > cut) ^ (x[:, b] > cut) for (a, b), cut in zip(pairs, cuts, strict=True)]
    return np.stack(both, 1)


def ours(adapt: bool) -> tuple[Step, Callable[[], int]]:
    """The tree of this package, and how many subtrees it swapped."""
    tree = make({"labels": LABELS, **capacities(FEATURES, dense=True)})
    scratch = room(tree)
    columns = np.arange(FEATURES, dtype=np.int32)
    counts, out = np.full(LABELS, 0.3), np.zeros(LABELS, np.float32)
    seen = [2]

    def step(x: Any, y: Any) -> Any:
        prior = (counts / seen[0]).astype(np.float32)
        row = columns, x.astype(np.float32), FEATURES, 1.0, True
        hoeffding.score(tree, scratch, *row, LABELS, prior, out)
        guess = out > 0.5
        truth = np.flatnonzero(y).astype(np.int32)
        hoeffding.learn(tree, scratch, *row, truth, LABELS, prior, adapt)
        counts[truth] += 1
        seen[0] += 1
        return guess

    return step, lambda: int(tree.sizes[SWAPS])


def river_each() -> Step:
    """river's adaptive tree for each label."""
    from river.tree import HoeffdingAdaptiveTreeClassifier

    trees = [HoeffdingAdaptiveTreeClassifier(grace_period=50, seed=7) for _ in range(LABELS)]

    def step(x: Any, y: Any) -> Any:
        row = dict(enumerate(x.tolist()))
        guess = [bool(tree.predict_one(row)) for tree in trees]
        for tree, on in zip(trees, y.tolist(), strict=True):
            tree.learn_one(row, on)
        return np.array(guess)

    return step


def river_all() -> Step:
    """river's multi-target tree on the labels as numbers."""
    from river.tree.isoup_tree_regressor import ISOUPTreeRegressor

    tree = ISOUPTreeRegressor(grace_period=50, leaf_prediction="mean")

    def step(x: Any, y: Any) -> Any:
        row = dict(enumerate(x.tolist()))
        guess = tree.predict_one(row)
        tree.learn_one(row, dict(enumerate(y.astype(float).tolist())))
        return np.array([guess.get(label, 0.0) > 0.5 for label in range(LABELS)])

    return step


def follow(step: Step, x: Any, y: Any) -> dict[str, Any]:
    """Micro-F1 of each quarter, and events/s."""
    guesses = np.zeros(y.shape, bool)
    start = time.perf_counter()
    for at in range(len(x)):
        guesses[at] = step(x[at], y[at])
    spent = time.perf_counter() - start
    f1 = []
    for part in np.array_split(np.arange(len(x)), 4):
        hits, chosen = (guesses[part] & y[part]).sum(), guesses[part].sum()
        f1.append(float(2 * hits / max(chosen + y[part].sum(), 1)))
    return {"micro_f1": f1, "events_per_second": len(x) / spent}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=6_000)
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    warm, _ = ours(True)
    follow(warm, np.zeros((60, FEATURES)), np.zeros((60, LABELS), bool))
    rows = []
    for name, labels in (("boxes", boxes), ("crossed", crossed)):
        rng = np.random.default_rng(7)
        x = rng.random((chosen.events, FEATURES))
        y = np.concatenate([labels(rng, half) for half in np.array_split(x, 2)])
        for adapt in (True, False):
            step, swaps = ours(adapt)
            row = {"stream": name, "model": "tree" if adapt else "tree, no adaptation"}
            rows.append(row | follow(step, x, y) | {"swaps": swaps()})
        rows.append({"stream": name, "model": "river HAT a label"} | follow(river_each(), x, y))
        rows.append({"stream": name, "model": "river iSOUP"} | follow(river_all(), x, y))
    result = {"machine": describe("numpy", "numba", "river"), "seed": 7, "rows": rows}
    print(f"machine: {result['machine']}, seed 7, {chosen.events} events\n")
    print("| stream | model | micro-F1 by quarter | events/s |\n|---|---|---|---|")
    for row in rows:
        quarters = ", ".join(f"{f1:.3f}" for f1 in row["micro_f1"])
        print(
            f"| {row['stream']} | {row['model']} | {quarters} | {row['events_per_second']:,.0f} |"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
