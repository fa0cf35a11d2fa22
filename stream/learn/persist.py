"""The model's state as named arrays and plain JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stream import features
from stream.learn.decide import CODES
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.looked import Looked, pack
from stream.learn.model import Model
from stream.learn.small.learner import SmallLearner

_WAITING = ("truths", "bounds", "hits", "empty", "partial")


def dump(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays (not copied where they are the model's own) and metadata."""
    learner = model.learner
    arrays = learner.arrays() | model.partitioner.arrays() | model.drift.arrays()
    arrays |= model.suspicion.arrays()
    waiting = zip(_WAITING, model.waiting.peek(), strict=True)
    arrays |= {f"waiting.{name}": part for name, part in waiting}
    arrays |= _kept("recent", list(model.recent)) | _kept("taught", model.taught)
    nnz, names = model.density
    arrays["density.names"] = np.array(sorted(names), np.uint64)
    meta = {
        "position": model.position,
        "kind": learner.kind,
        "width": learner.width,
        "dense": isinstance(learner, SmallLearner) and learner.dense,
        "dimension": model.dimension,
        "seed": learner.seed if isinstance(learner, SmallLearner) else model.settings.seed,
        "nnz": nnz,
        "labels": model.labels.state(),
    }
    return arrays, meta


def load(model: Model, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Replace the state of a fresh model; capacities are the snapshot's, not the settings'."""
    model.position = meta["position"]
    model.dimension = meta["dimension"]
    model.labels.load(meta["labels"])
    settings, objective = model.settings, CODES[model.settings.objective]
    if meta["kind"] == ExtremeLearner.kind:
        model.learner = ExtremeLearner(
            settings.seed, meta["width"], 256, 10, 10, meta["dimension"], objective, settings.off
        )
    else:
        seed = meta["seed"]  # projections grow by the seed that drew them
        model.learner = SmallLearner(meta["dense"], seed, meta["width"], objective, settings.off)
    model.learner.load(arrays)
    model.partitioner.load(arrays)
    model.drift.load(arrays)
    model.suspicion.load(arrays)
    if len(arrays["waiting.bounds"]) > 1:
        truths, bounds, *rest = (np.array(arrays[f"waiting.{name}"]) for name in _WAITING)
        model.waiting.put(truths, np.diff(bounds), *rest)
    model.density = (meta["nnz"], set(arrays["density.names"].tolist()))
    model.recent.extend(_rows("recent", arrays))
    model.taught = _rows("taught", arrays)
    if len(model.labels) != model.learner.labels:
        raise ValueError(
            f"{len(model.labels)} label names for {model.learner.labels} labels learnt"
        )


def _kept(what: str, kept: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """Rows, their labels and which were looked for, by name."""
    truths = [truth for _, truth, _ in kept]
    looked = pack([slots for _, _, slots in kept])
    bounds = np.zeros(len(kept) + 1, np.int64)
    np.cumsum([len(truth) for truth in truths], out=bounds[1:])
    arrays = {
        f"{what}.truths": np.concatenate([np.zeros(0, np.int32), *truths]),
        f"{what}.bounds": bounds,
        f"{what}.looked": looked.slots,
        f"{what}.looked_bounds": looked.bounds,
        f"{what}.partial": looked.partial,
    }
    rows = features.batch([row for row, _, _ in kept])
    if rows.dense is not None:
        return arrays | {f"{what}.dense": rows.dense}
    return arrays | {
        f"{what}.indptr": rows.indptr,
        f"{what}.hashes": rows.hashes,
        f"{what}.raw": rows.raw,
        f"{what}.terms": rows.terms,
        f"{what}.words": rows.words,
        f"{what}.spans": rows.spans,
    }


def _rows(what: str, arrays: Mapping[str, Any]) -> list[tuple[Any, Any, Any]]:
    bounds = arrays[f"{what}.bounds"]
    looked = Looked(*(arrays[f"{what}.{name}"] for name in ("looked", "looked_bounds", "partial")))
    kept: list[tuple[Any, Any, Any]] = []
    for i in range(len(bounds) - 1):
        truth = arrays[f"{what}.truths"][bounds[i] : bounds[i + 1]]
        if f"{what}.dense" in arrays:
            kept.append((arrays[f"{what}.dense"][i], truth, looked.of(i)))
            continue
        low, high = arrays[f"{what}.indptr"][i], arrays[f"{what}.indptr"][i + 1]
        row = tuple(arrays[f"{what}.{name}"][low:high] for name in ("hashes", "raw", "terms"))
        low, high = arrays[f"{what}.spans"][i], arrays[f"{what}.spans"][i + 1]
        kept.append(((*row, arrays[f"{what}.words"][low:high]), truth, looked.of(i)))
    return kept
