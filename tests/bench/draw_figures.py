"""Draws the figures of `deploy/docs/algorithm.md` from runs of the learner on seeded streams.

    python tests/bench/draw_figures.py [--only NAME ...] [--seed 7] [--out deploy/docs/figures]

Beside the drawings, `figures.json` keeps the machine, the seed and what the text quotes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from indexes.faiss_cpu import FaissCpu
from indexes.flat import Flat
from indexes.recall import recall
from stream.config import Learn, Settings
from stream.learn.partitions.partitioner import Partitioner
from stream.pipeline import Item, Pipeline
from stream.source.planted import ZipfGroups
from stream.source.synthetic import Drift, Planted, SyntheticStream, label_name
from stream.types import Example
from tests.bench.bench_partitions import rand_index
from tests.bench.machine import describe
from tests.drift_harness import delay, planned
from tests.drift_harness import run as run_drifting

OUT = Path(__file__).resolve().parents[2] / "deploy" / "docs" / "figures"
INK = "#7a818b"  # reads on white and on black
BLUE, ORANGE, GREEN, RED = "#3b82c4", "#d07a1f", "#2f9e69", "#d0494f"
POINTS = 300  # of a line
CHUNK = 32
Figures = dict[str, Any]


def style() -> None:
    """One ink for all text and lines, no ground, text as text."""
    mpl.use("svg")
    mpl.rcParams.update({
        "svg.hashsalt": "braidstream", "svg.fonttype": "none", "font.size": 9,
        "font.family": "sans-serif", "savefig.transparent": True, "axes.spines.top": False,
        "axes.spines.right": False, "axes.edgecolor": INK, "axes.labelcolor": INK,
        "axes.titlecolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
        "grid.color": INK, "grid.alpha": 0.25, "legend.frameon": False, "lines.linewidth": 1.4,
    })  # fmt: skip


def save(figure: Any, path: Path) -> None:
    """Write a drawing without a date, so that equal runs give equal files."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def thin(x: Any, y: Any) -> tuple[Any, Any]:
    """At most POINTS points of a line."""
    step = max(1, len(x) // POINTS)
    return np.asarray(x)[::step], np.asarray(y)[::step]


def rolling(values: Any, width: int) -> tuple[Any, Any]:
    """Places and means of the last `width` values; NaN is left out."""
    at = np.flatnonzero(np.isfinite(values))
    means = np.convolve(values[at], np.ones(width) / width, "valid")
    return at[width - 1 :], means


def marks(axis: Any, places: Any, colour: str, label: str, dashed: bool = True) -> None:
    """Vertical lines, named once."""
    for n, place in enumerate(places):
        axis.axvline(
            place, color=colour, lw=1, ls="--" if dashed else "-", alpha=0.8,
            label=label if n == 0 else None,
        )  # fmt: skip


def drift(seed: int, out: Path) -> Figures:
    """One group of eight drifts suddenly; with the reaction and without."""
    start, events = 6_000, 11_000
    plan = planned("small sparse", seed, Drift("sudden", start))
    figure, axis = plt.subplots(figsize=(7, 3))
    said: Figures = {"events": events, "change": start}
    for reacting, colour in ((True, BLUE), (False, ORANGE)):
        trace = run_drifting(plan, events, reacting)
        name = "with the reaction" if reacting else "without"
        x, y = rolling(trace.hit[:, 0], 60)
        axis.plot(*thin(x, y), color=colour, label=f"the drifting group, {name}")
        if reacting:
            alarms = [(at, leaf) for at, leaf, _ in trace.alarms]
            said |= {"alarms": alarms, "delay": delay(trace, plan)}
            others = trace.hit[:, 1:]
            some = np.isfinite(others).any(axis=1)
            mean = np.full(events, np.nan)
            mean[some] = np.nanmean(others[some], axis=1)
            axis.plot(*thin(*rolling(mean, 400)), color=GREEN, label="the other seven")
        after = trace.hit[start : start + 2_000, 0]
        said["mean_after_with" if reacting else "mean_after_without"] = float(np.nanmean(after))
    marks(axis, [start], INK, "planted change")
    marks(axis, [at for at, _ in said["alarms"]], RED, "alarm", dashed=False)
    axis.set(xlabel="events", ylabel="true labels found", ylim=(0, 1.02))
    axis.grid(axis="y")
    axis.legend(fontsize=8, loc="lower left")
    save(figure, out / "drift.svg")
    return said


def stream(seed: int, out: Path) -> Figures:
    """P@1 on the demo's stream with its re-mixes and alarms; reliability of the scores."""
    events, plan = 30_000, Planted(seed=seed)
    pipeline = Pipeline(Settings(learn=Learn(seed=seed)))
    source = SyntheticStream(plan)
    first, alarms, pairs = np.zeros(events), [], []
    for begin in range(0, events, CHUNK):
        part = list(islice(source, min(CHUNK, events - begin)))
        truths = [tuple(label_name(label) for label in one.labels) for one in part]
        done = pipeline.step([
            Item(Example(one.id, text=one.text, labels=truth))
            for one, truth in zip(part, truths, strict=True)
        ])  # fmt: skip
        for n, truth in enumerate(truths):
            top = done.predictions[n].top[:5]
            first[begin + n] = bool(top) and top[0].label in truth
            if begin >= events // 2:
                pairs += [(one.score, one.label in truth) for one in top]
        alarms += [one.position for one in done.drift if one.kind.endswith("alarm")]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=(2, 1))
    left.plot(*thin(*rolling(first, 500)), color=BLUE, label="P@1 of the last 500 events")
    marks(left, range(plan.remix, events, plan.remix), INK, "half of the groups re-mix")
    left.plot(
        alarms, np.full(len(alarms), 0.02), "|", color=RED, ms=9, label="alarm of a partition"
    )
    left.set(xlabel="events", ylabel="P@1", ylim=(0, 1))
    left.grid(axis="y")
    left.legend(fontsize=8, loc=(0.02, 0.2))
    score, hit = np.array(pairs).T
    bins = np.minimum((score * 10).astype(int), 9)
    held = np.flatnonzero(np.bincount(bins, minlength=10) >= 50)
    means = np.array([[score[bins == b].mean(), hit[bins == b].mean()] for b in held])
    right.plot([0, 1], [0, 1], color=INK, lw=1, ls="--", label="as often as said")
    right.plot(*means.T, "o-", color=GREEN, ms=4, label="first five scores")
    right.set(xlabel="probability said", ylabel="share that was true", xlim=(0, 1), ylim=(0, 1))
    right.legend(fontsize=8, loc="upper left")
    save(figure, out / "stream.svg")
    weights = np.array([np.mean(bins == b) for b in held])
    return {
        "events": events, "precision_at_1": float(first.mean()), "alarms": len(alarms),
        "labels": len(pipeline.model.labels), "partitions": pipeline.model.partitioner.leaves,
        "calibration_error": float(weights @ np.abs(means[:, 0] - means[:, 1])),
    }  # fmt: skip


def partitions(seed: int, out: Path) -> Figures:
    """Partitions of 1,000 labels beside their planted groups, half of which re-mix midway."""
    labels, phase, step = 1_000, 20_000, 250
    planted, ours = ZipfGroups(labels, seed), Partitioner()
    ours.add_labels(labels)
    at, found, leaves, changed = [], [], [], {"split": [], "merge": [], "move": []}
    for event in range(0, 2 * phase, step):
        if event == phase:
            planted.remix()
        for delta in ours.observe(*planted.draw(step)):
            if delta.kind in changed:
                changed[delta.kind].append(event)
        leaf_of = ours.leaf_of[:labels]
        seen = leaf_of >= 0
        at.append(event + step)
        leaves.append(ours.leaves)
        found.append(rand_index(planted.group_of()[seen], leaf_of[seen]))
    figure, (top, below) = plt.subplots(2, 1, figsize=(7, 4.2), sharex=True)
    top.plot(at, leaves, color=BLUE, label="partitions")
    top.axhline(planted.groups, color=INK, lw=1, ls=":", label="planted groups")
    top.set(ylabel="number", ylim=(0, None))
    own = top.twinx()
    own.plot(at, found, color=GREEN, label="agreement (ARI)")
    own.set(ylabel="ARI", ylim=(0, 1.02))
    own.spines["right"].set_visible(True)
    marks(top, [phase], INK, "half of the groups re-mix")
    marks(below, [phase], INK, "")
    lines = [one.get_legend_handles_labels() for one in (top, own)]
    top.legend(lines[0][0] + lines[1][0], lines[0][1] + lines[1][1], fontsize=8, loc="lower right")
    edges = np.arange(0, 2 * phase + 1, 1_000)
    for kind, colour in (("move", INK), ("split", ORANGE), ("merge", RED)):
        counts, _ = np.histogram(changed[kind], edges)
        below.step(edges[:-1], counts, where="post", color=colour, label=f"{kind}s")
    below.set(xlabel="events", ylabel="in 1,000 events", yscale="symlog", ylim=(0, None))
    below.legend(fontsize=8)
    save(figure, out / "partitions.svg")
    half = phase // step
    return {
        "labels": labels, "groups": planted.groups, "change": phase,
        "ari_before": found[half - 1], "ari_lowest_after": min(found[half:]), "ari_end": found[-1],
        "leaves_before": leaves[half - 1], "leaves_end": leaves[-1],
        **{f"{kind}s": len(places) for kind, places in changed.items()},
    }  # fmt: skip


def index(seed: int, out: Path) -> Figures:
    """Recall of the ten nearest while prototypes come and then move, watched and not."""
    width, labels, step, clusters, served = 64, 30_000, 1_000, 600, 4_000
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((clusters, width), np.float32)
    home = rng.integers(0, clusters, labels)
    truth, sides = Flat(width), {True: FaissCpu(width, seed=seed, background=True, threads=1),
                                 False: FaissCpu(width, seed=seed, threads=1)}  # fmt: skip
    share: dict[bool, list[float]] = {True: [], False: []}
    trained: dict[bool, list[int]] = {True: [], False: []}
    at: list[int] = []

    def near(ids: Any, spread: float) -> Any:
        rows = middles[home[ids]] + spread * rng.standard_normal((len(ids), width), np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def put(ids: Any, known: int) -> None:
        rows, queries = near(ids, 0.7), near(rng.integers(0, known, served), 0.9)
        truth.upsert(ids, rows)
        exact = truth.search(queries[:200], 10)
        at.append((at[-1] if at else 0) + len(ids))
        for watched, one in sides.items():
            before = one.trainings
            one.upsert(ids, rows)
            share[watched].append(float(recall(one.search(queries[:200], 10), exact).mean()))
            for start in range(200, served if watched else 0, 100):  # what it serves, to sample
                one.search(queries[start : start + 100], 10)
            one.wait()
            trained[watched] += [at[-1]] * (one.trainings > before)

    for begin in range(0, labels, step):
        put(np.arange(begin, begin + step), begin + step)
    middles[: clusters // 2] = rng.standard_normal((clusters // 2, width), np.float32)
    gone = np.tile(np.flatnonzero(home < clusters // 2), 3)
    for begin in range(0, len(gone), step):
        put(gone[begin : begin + step], labels)
    figure, axis = plt.subplots(figsize=(7, 3))
    axis.plot(at, share[False], color=ORANGE, label="not watched")
    axis.plot(at, share[True], color=BLUE, label="recall sampled, as in the service")
    marks(axis, [labels], INK, "half of the clusters begin to move")
    for watched, place, colour in ((True, 0.03, BLUE), (False, 0.0, ORANGE)):
        name = "centres trained" if watched else None
        where = np.full(len(trained[watched]), 0.53 + place)
        axis.plot(trained[watched], where, "|", color=colour, ms=9, mew=2, label=name)
    axis.set(xlabel="prototypes written", ylabel="recall of the ten nearest", ylim=(0.5, 1.01))
    axis.grid(axis="y")
    axis.legend(fontsize=8, loc="center left")
    save(figure, out / "index.svg")
    said = {
        ("watched" if watched else "not_watched"): {
            "lowest": min(share[watched]), "mean": float(np.mean(share[watched])),
            "last": share[watched][-1], "trained_at": trained[watched],
        } for watched in sides
    }  # fmt: skip
    for one in sides.values():
        one.close()
    return {"labels": labels, "width": width, "change": labels, "queries": served} | said


DRAW: dict[str, Callable[[int, Path], Figures]] = {
    "drift": drift, "stream": stream, "partitions": partitions, "index": index,
}  # fmt: skip


def main() -> None:
    """Run, draw and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=DRAW, default=list(DRAW))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    style()
    kept = chosen.out / "figures.json"
    result = json.loads(kept.read_text()) if kept.exists() else {}
    result |= {
        "machine": describe("numpy", "numba", "faiss-cpu", "matplotlib"), "seed": chosen.seed,
    }  # fmt: skip
    for name in chosen.only:
        begun = time.perf_counter()
        result[name] = DRAW[name](chosen.seed, chosen.out)
        print(f"{name}: {json.dumps(result[name])}, {time.perf_counter() - begun:.0f} s")
        kept.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
