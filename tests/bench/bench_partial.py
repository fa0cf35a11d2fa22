"""What is lost where half of the labels are not looked for, said and unsaid.

    python tests/bench/bench_partial.py --data DIR [--limit N] [--seeds N] [STREAM...]

Every cell (event, label) is looked for with probability one half. `full`: all labels are given.
`plain`: positives that were not looked for are missing without a word, so that they read as
negatives. `checked`: the same positives, and `labels_checked` names the cells looked for. `half`,
for comparison: as many cells are known, half of the events with all labels, the rest with none.
`kept`: the same positives are dropped as in `plain`, and `labels_checked` names all cells but
those; so what is unknown is always positive, which no event ever shows, and known cells are
positive half as often as all are.
All are scored prequentially against the full truth. The last columns are what `checked`, `half` and
`kept` lose over what `plain` loses. The aim is a third for `checked`; where `half` is far above it,
the stream is short of labels rather than misread.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from stream.config import load
from stream.pipeline import Item, Pipeline
from stream.scores import Tally
from stream.source.folder import Folder
from stream.types import Example

STREAMS = "yeast", "emotions", "enron", "bibtex", "20ng"
WAYS = "full", "plain", "checked", "half", "kept"


def thinned(folder: Folder, limit: int, seed: int, way: str) -> Iterator[tuple[Example, Example]]:
    """Each event with its full truth, and as the model is to get it."""
    rng = np.random.default_rng(seed)
    names = folder.label_names
    for example in folder.examples(limit or folder.events):
        looked = rng.random(len(names)) < 0.5
        seen = tuple(name for name, on in zip(names, looked, strict=True) if on)
        if way in {"full", "half"}:
            unlabelled = way == "half" and rng.random() < 0.5
            yield example, replace(example, labels=None) if unlabelled else example
            continue
        given = tuple(name for name in example.labels or () if name in set(seen))
        lost = set(example.labels or ()) - set(given)
        kept = tuple(name for name in names if name not in lost)
        checked = {"checked": seen, "kept": kept}.get(way)
        yield example, replace(example, labels=given, checked=checked)


def micro_f1(folder: Folder, limit: int, seed: int, way: str) -> float:
    """Prequential, against the full truth."""
    pipeline, tally = Pipeline(load(environ={})), Tally(folder.label_names)
    for whole, given in thinned(folder, limit, seed, way):
        made = pipeline.step([Item(given)])
        tally.add(made.predictions[0], whole.labels or ())
    return float(tally.full()["micro_f1"])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("streams", nargs="*", default=STREAMS)
    chosen = parser.parse_args()
    print("| stream | events | full | plain | checked | half | kept "
          "| loss: checked/plain | half/plain | kept/plain |")  # fmt: skip
    print("|---" * 10 + "|")
    for name in chosen.streams:
        folder = Folder(chosen.data / name)
        f1 = {
            way: statistics.mean(
                micro_f1(folder, chosen.limit, seed, way)
                for seed in range(1 if way == "full" else chosen.seeds)
            )
            for way in WAYS
        }
        lost = {way: f1["full"] - f1[way] for way in WAYS}
        events = min(chosen.limit or folder.events, folder.events)
        print(f"| {name} | {events:,} | {f1['full']:.3f} | {f1['plain']:.3f} "
              f"| {f1['checked']:.3f} | {f1['half']:.3f} | {f1['kept']:.3f} "
              f"| {lost['checked'] / lost['plain']:.2f} | {lost['half'] / lost['plain']:.2f} "
              f"| {lost['kept'] / lost['plain']:.2f} |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
