"""How many of the flipped labels are found: precision at the number flipped.

    python tests/bench/bench_suspicious.py --data DIR [--limit N] [--share X] [STREAM...]

`swapped`: of the labels given, a share goes missing, and as many labels are given to events,
drawn from all (event, label) cells without one. `uniform`: a share of all cells is flipped,
whatever they hold; where labels are few most of what is given then is wrong, so it is taken as a
share of the given ones too, and drawn from all cells. Every cell is scored just before it is
learnt, from the first event on; a label's first event, and missing labels far down, count as not
suspected. The highest scores, as many as were flipped, are compared with what was flipped. `told`
is the precision of those that a service would publish at `learn.suspicious_share` 0.01.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stream.config import load
from stream.pipeline import Item, Pipeline
from stream.source.folder import Folder
from stream.source.synthetic import Planted, SyntheticStream, label_name
from stream.types import Example

STREAMS = "20ng", "tmc2007_500", "scene", "medical", "bibtex", "enron", "yeast", "synthetic"
WAYS = "swapped", "uniform"


@dataclass(frozen=True)
class Found:
    """Precision at the number flipped, of what was told, and how many those were."""

    flipped: int
    precision: float
    told: int
    told_precision: float


def events(name: str, data: Path, limit: int) -> list[Example]:
    """A folder's events, or those of the built-in stream."""
    if name != "synthetic":
        folder = Folder(data / name)
        return list(folder.examples(limit or folder.events))
    drawn: Iterator[Any] = iter(SyntheticStream(Planted(labels=200, seed=5)))
    return [
        Example(one.id, text=one.text, labels=tuple(map(label_name, one.labels)))
        for one, _ in zip(drawn, range(limit or 6_000), strict=False)
    ]


def flips(truth: Any, share: float, way: str, seed: int) -> Any:
    """(events, labels) bool, the cells to flip."""
    rng = np.random.default_rng(seed)
    flat = truth.ravel()
    number = round(share * flat.sum())
    if way == "uniform":
        at = rng.choice(flat.size, number, replace=False)
    else:
        given, free = np.flatnonzero(flat), np.flatnonzero(~flat)
        half = number // 2
        at = np.concatenate(
            [rng.choice(given, half, replace=False), rng.choice(free, half, replace=False)]
        )
    chosen = np.zeros(flat.size, np.bool_)
    chosen[at] = True
    return chosen.reshape(truth.shape)


def find(stream: list[Example], share: float, way: str, seed: int, text: str = "0.01") -> Found:
    """Run a stream with flipped labels; see the module."""
    names = sorted({label for one in stream for label in one.labels or ()})
    place = {name: at for at, name in enumerate(names)}
    truth = np.zeros((len(stream), len(names)), np.bool_)
    for at, one in enumerate(stream):
        truth[at, [place[label] for label in one.labels or ()]] = True
    flipped = flips(truth, share, way, seed)
    given = truth ^ flipped
    pipeline = Pipeline(load(environ={}, overrides=[f"learn.suspicious_share={text}"]))
    model = pipeline.model
    scores = np.full(truth.shape, -np.inf, np.float32)
    told = right = 0
    for at, one in enumerate(stream):
        labels = tuple(names[k] for k in np.flatnonzero(given[at]))
        event = Example(one.id, one.text, one.features, one.vector, labels)
        out = pipeline.step([Item(event)])
        slots, low = model.suspicion.slots[0], model.suspicion.scores[0]
        inside = slots >= 0
        columns = [place[model.labels.names[slot]] for slot in slots[inside]]
        scores[at, columns] = low[inside]
        for label, score in zip(labels, model.suspicion.lost, strict=True):
            scores[at, place[label]] = max(scores[at, place[label]], score)
        for event_told in out.drift:
            if event_told.kind == "suspicious_label":
                told += 1
                right += flipped[at, place[event_told.scope.removeprefix("label/")]]
    number = int(flipped.sum())
    highest = np.argsort(-scores.ravel(), kind="stable")[:number]
    precision = float(flipped.ravel()[highest].mean())
    return Found(number, precision, told, right / told if told else float("nan"))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("streams", nargs="*", default=STREAMS)
    chosen = parser.parse_args()
    print("| stream | events | flipped as | seed | flipped | precision there | told | precision |")
    print("|---" * 8 + "|")
    for name in chosen.streams:
        stream = events(name, chosen.data, chosen.limit)
        for way in WAYS:
            for seed in range(chosen.seeds):
                found = find(stream, chosen.share, way, seed)
                print(f"| {name} | {len(stream):,} | {way} | {seed} | {found.flipped:,} "
                      f"| {found.precision:.3f} | {found.told} | {found.told_precision:.3f} |",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
