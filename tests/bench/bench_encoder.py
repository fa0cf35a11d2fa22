"""An embedding learnt from the stream against the fixed projection.

    python tests/bench/bench_encoder.py [--data ../shared/data] [--limit 0] [--ablation 30000]
        [--parts search whole ablation dense cold mixture] [--seed 7] [--device cpu]
        [--keep DIR] [--out DIR]

`search`: the first events of tibkat by year, its texts as the service reads them. Batches of 256
are searched for by prototypes alone, with what was known before, then learnt; all see the same
batches and search exactly, among the labels seen so far. `projection` is generation 0 at 512 and
at 256 floats, `sparse` the centroids of the rows themselves, learnt by 1,024; `learnt` is trained
on the events alone, `learnt_names` on the names of labels too, once they are met. `whole`: the
same over all events, without `sparse`, which costs more with every label.

`ablation` takes parts away from `learnt_names`, on the first events. `dense`: vectors of 1,000
labels in a random subspace under louder noise, and English titles embedded by all-MiniLM-L6-v2.
`cold`: all label names are given before the first event; recall@20 of a label's first event and
the next, with names and without, and of the 20 most frequent labels. `mixture`: the whole learner
with `encoder.train` and without, names once they are met.

Parts that are not asked for stay in the folder's file as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from encoder_dense import planted, titles
from encoder_mixture import Whole, race
from encoder_race import COLD_K, Batch, Learnt, Projected, Racer, Sparse, Tally, Texts
from encoder_transformer import MixedTrainer
from machine import describe

from stream.config import load
from stream.learn.encoder.recipe import Recipe
from stream.source.folder import Folder

PARTS = ("search", "whole", "ablation", "dense", "cold", "mixture")
LEFT_OUT: dict[str, dict[str, Any]] = {
    "whole": {},
    "no text": {"text": False},
    "no centroid": {"centroid": False},
    "no free vector": {"free": False},
    "no hard negatives": {"hard": 0},
    "no tail sampling": {"tail": False},
    "no replays": {"replays": 0},
    "softmax, dynamic margin": {"margin": 0.1},
    "softmax, fixed margin": {"margin": 0.1, "fixed_margin": True},
    "triplet, dynamic margin": {"loss": "triplet", "margin": 0.3},
    "triplet, fixed margin": {"loss": "triplet", "margin": 0.3, "fixed_margin": True},
}
_DENSE_EVENTS = 12_000


class Frequent:
    """The labels that were given most often."""

    def __init__(self, labels: int) -> None:
        self._count = np.zeros(labels, np.int64)

    def step(self, batch: Batch) -> Any:
        """See `Racer`."""
        top = np.argsort(-self._count, kind="stable")[:COLD_K]
        np.add.at(self._count, batch.lessons.labels, 1)
        return np.tile(top, (len(batch.lessons), 1))


def run(what: str, racers: dict[str, Racer], batches: Iterable[Batch]) -> dict[str, Any]:
    """Race, and print each one's figures."""
    tallies = {name: Tally() for name in racers}
    for batch in batches:
        for name, racer in racers.items():
            tallies[name].run(racer, batch)
    made = {name: tally.figures() for name, tally in tallies.items()}
    for name, figures in made.items():
        print(f"{what}: {name}: {json.dumps(figures)}", flush=True)
    return made


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--ablation", type=int, default=30_000)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", type=Path, help="Of embedded titles, to use again.")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    folder = Folder(asked.data / "tibkat", text=True)
    most, seed, device, recipe = asked.limit or folder.events, asked.seed, asked.device, Recipe()
    found: dict[str, Any] = {
        "machine": describe("torch", "numpy", "numba"), "device": device, "seed": seed,
        "events": most, "ablation_events": asked.ablation,
    }  # fmt: skip
    if device != "cpu":
        found["machine"]["gpu"] = torch.cuda.get_device_name()
    if "search" in asked.parts:
        first = min(most, asked.ablation)
        racers: dict[str, Racer] = {
            "projection_512": Projected(512),
            "projection_256": Projected(256),
            "sparse": Sparse(folder.labels),
            "learnt": Learnt(recipe, seed, device),
            "learnt_names": Learnt(recipe, seed, device, names=True),
        }
        found["search"] = run("search", racers, Texts(folder, first))
    if "whole" in asked.parts:
        racers = {
            "projection_512": Projected(512),
            "learnt": Learnt(recipe, seed, device),
            "learnt_names": Learnt(recipe, seed, device, names=True),
        }
        found["whole"] = run("whole", racers, Texts(folder, most))
        found["whole_events"] = most
    if "ablation" in asked.parts:
        found["ablation"] = {}
        for name, without in LEFT_OUT.items():
            racer = {name: Learnt(replace(recipe, **without), seed, device, names=True)}
            found["ablation"] |= run("ablation", racer, Texts(folder, min(most, asked.ablation)))
        mixed = Learnt(recipe, seed, device, names=True, trainer=MixedTrainer)
        texts = Texts(folder, min(most, asked.ablation))
        found["ablation"] |= run("ablation", {"transformer": mixed}, texts)
    if "dense" in asked.parts:
        events = min(most, _DENSE_EVENTS)
        with tempfile.TemporaryDirectory() as own:
            for name, stream in (
                ("planted", planted(events, seed)),
                ("titles", titles(asked.data, events, (asked.keep or Path(own)) / "titles.npy")),
            ):
                batches = list(stream)
                width = batches[0].lessons.inputs.dense.shape[1]
                dense = {
                    "projection": Projected(width, width),
                    "learnt": Learnt(recipe, seed, device, width=width),
                }
                found[name] = run(name, dense, batches)
    if "cold" in asked.parts:
        texts = Texts(folder, min(most, asked.ablation))
        told = Learnt(recipe, seed, device)
        every = range(folder.labels)
        rows = texts.names(every)
        for label in every:
            told.trainer.describe(label, rows.take(np.array([label])))
        cold: dict[str, Racer] = {
            "names": told,
            "no names": Learnt(recipe, seed, device),
            "most frequent": Frequent(folder.labels),
        }
        found["cold"] = run("cold", cold, texts)
    if "mixture" in asked.parts:
        names = folder.descriptions()
        wholes = {
            "fixed": Whole(load(), names),
            "learnt": Whole(load(overrides=["encoder.train=true"]), names),
        }
        race(folder, most, wholes)
        found["mixture"] = {name: whole.figures() for name, whole in wholes.items()}
        found["mixture"]["promotions"] = wholes["learnt"].promotions
        found["mixture_events"] = most
        print(f"mixture: {json.dumps(found['mixture'])}", flush=True)
    if asked.out:
        file = asked.out / ("encoder.json" if device == "cpu" else f"encoder_{device}.json")
        before = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(before | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
