"""Possible labels: how soon topics that no label names are found, what else is told, what it costs.

    python tests/bench/bench_discovery.py --data DIR [--events N] [PART...]

`planted`: texts, or vectors, of three topics come unlabelled among those of known labels, half of
which come unlabelled too; for each, after how many of its events it was told, and how many of the
terms told are its own. `stationary`: what is told where there is no such topic. `hidden`: all
events of a few labels of a real stream come unlabelled; which are told as clusters of which at
least half of the kept events are one label's, with what terms, and what else is told. `cost`: the
time of the stream's thread in discovery, and in all, in microseconds an event, all labelled.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe

from stream.config import load
from stream.learn.model import CHUNK
from stream.learn.warmup import warm
from stream.pipeline import Item, Pipeline
from stream.source.folder import Folder
from stream.source.synthetic import Drifting, DriftingStream, label_name
from stream.source.synthetic.words import word
from stream.types import DriftEvent, Example

PARTS = "planted", "stationary", "hidden", "cost"
SEEDS = 1, 2, 3
KNOWN = 4_000  # events before topics come
HIDDEN = {
    "20ng": ("sci.space", "rec.sport.hockey"),
    "tibkat": ("Architektur", "Islam", "Religionsunterricht", "Psychoanalyse", "Spieltheorie"),
}


def run(stream: list[Example], without: str = "") -> tuple[list[DriftEvent], float, float]:
    """What was told, and seconds of the thread in discovery and in all."""
    pipeline = Pipeline(load(environ={}, overrides=[f"learn.without={without}"]))
    found, spent, inside = [], 0.0, [0.0]

    def timed(function: Any) -> Any:
        def call(*given: Any) -> Any:
            before = time.thread_time()
            try:
                return function(*given)
            finally:
                inside[0] += time.thread_time() - before

        return call

    discovery: Any = pipeline.discovery
    discovery.learnt, discovery.unlabelled = timed(discovery.learnt), timed(discovery.unlabelled)
    for start in range(0, len(stream), CHUNK):
        items = [Item(one) for one in stream[start : start + CHUNK]]
        before = time.thread_time()
        told = pipeline.step(items).drift
        spent += time.thread_time() - before
        found += [(start, one) for one in told if one.kind == "possible_label"]
    return found, inside[0], spent


def planted(events: int, dimension: int, seed: int, share: float) -> Iterator[Example]:
    """Known labels, and three topics in a share of the events after KNOWN."""
    stream = DriftingStream(Drifting(seed=seed, dimension=dimension))
    rng = np.random.default_rng(seed)
    centres = 1.7 * rng.standard_normal((3, max(dimension, 1)))
    for at in range(events):
        if at >= KNOWN and rng.random() < share:
            which = int(rng.integers(3))
            words = [f"own{which}x{k}" for k in rng.choice(6, 3, replace=False)]
            words += [word("common", 0, int(k)) for k in np.minimum(rng.zipf(1.3, 8), 500)]
            vector = centres[which] + 1.2 * rng.standard_normal(max(dimension, 1))
            new = Example(f"topic{which}-{at}", " ".join(words))
            yield replace(new, text=None, vector=np.float32(vector)) if dimension else new
            continue
        one = stream.at(at)
        labels = tuple(map(label_name, one.labels)) if at < KNOWN or rng.random() < 0.5 else None
        yield Example(one.id, None if dimension else one.text, None, one.vector, labels)


def main_topic(event: DriftEvent, of: dict[str, str]) -> str:
    """What at least half of a cluster's kept events are of; empty for none."""
    ids = event.evidence["events"]
    name, n = Counter(of.get(one, "") for one in ids).most_common(1)[0]
    return name if 2 * n >= len(ids) else ""


def told_planted(events: int, share: float) -> None:
    for dimension in (0, 32):
        for seed in SEEDS:
            stream = list(planted(events, dimension, seed, share))
            of = {one.id: one.id.split("-")[0] for one in stream if one.id.startswith("topic")}
            found, _, _ = run(stream)
            line = []
            for topic in sorted(set(of.values())):
                mine = [(at, one) for at, one in found if main_topic(one, of) == topic]
                if not mine:
                    line.append(f"{topic} not of {Counter(of.values())[topic]}")
                    continue
                at, first = mine[0]
                after = sum(of.get(one.id) == topic for one in stream[: at + CHUNK])
                terms = first.evidence["terms"]
                own = sum(term.startswith(f"own{topic[-1]}x") for term in terms)
                said = f", {own} of {len(terms)} terms its own" if terms else ""
                line.append(f"{topic} after {after}{said}")
            false = sum(not main_topic(one, of) for _, one in found)
            kind = f"vectors of {dimension}" if dimension else "texts"
            print(f"{kind}, seed {seed}: {'; '.join(line)}; {false} others told", flush=True)


def told_hidden(data: Path, events: int) -> None:
    for name, labels in HIDDEN.items():
        folder = Folder(data / name, text=name == "tibkat")
        stream, of = [], {}
        for one in folder.examples(min(events, folder.events)):
            known = {label.rpartition("\t")[2] for label in one.labels or ()}
            hit = [label for label in labels if label in known]
            if hit:
                of[one.id] = hit[0]
            stream.append(replace(one, labels=None) if hit else one)
        found, _, _ = run(stream)
        print(f"{name}, {len(stream):,} events, hidden {dict(Counter(of.values()))}")
        for at, one in found:
            terms, topic = ", ".join(one.evidence["terms"]), main_topic(one, of)
            again = " again" if one.evidence["again"] else ""
            print(f"  at {at:,}{again}: {topic or 'none of them'} ({terms})", flush=True)


def cost(data: Path, events: int) -> None:
    for name in ("tibkat", "scene", "20ng"):
        folder = Folder(data / name, text=name == "tibkat")
        stream = list(folder.examples(min(events, folder.events)))
        _, inside, spent = run(stream)
        _, _, bare = run(stream, "discovery")
        each = 1e6 / len(stream)
        print(f"{name}, {len(stream):,} events: {inside * each:.1f} of {spent * each:.0f}; "
              f"without discovery {bare * each:.0f}", flush=True)  # fmt: skip


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("parts", nargs="*", default=PARTS)
    chosen = parser.parse_args()
    warm()
    print(describe("numpy", "numba"), f"seeds {SEEDS}")
    if "planted" in chosen.parts:
        told_planted(chosen.events // 2, 0.06)
    if "stationary" in chosen.parts:
        for dimension in (0, 32):
            for seed in SEEDS:
                found, _, _ = run(list(planted(chosen.events, dimension, seed, 0.0)))
                print(f"stationary, dimension {dimension}, seed {seed}: {len(found)} told")
    if "hidden" in chosen.parts:
        told_hidden(chosen.data, chosen.events)
    if "cost" in chosen.parts:
        cost(chosen.data, chosen.events)


if __name__ == "__main__":
    main()
