"""The model's state as named arrays and plain JSON, and back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from stream import features
from stream.config import Learn
from stream.features import Rows
from stream.learn.decide import CODES
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.looked import Looked, pack
from stream.learn.model import Model
from stream.learn.small.learner import SmallLearner

_ROWS = ("indptr", "hashes", "raw", "terms", "dense", "words", "spans")
_WAITING = ("truths", "bounds", "hits", "empty", "partial")


def dump(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays (not copied where they are the model's own) and metadata."""
    learner = model.learner
    arrays = learner.arrays() | model.partitioner.arrays() | model.drift.arrays()
    arrays |= model.suspicion.arrays() | model.labels.arrays()
    waiting = zip(_WAITING, model.waiting.peek(), strict=True)
    arrays |= {f"waiting.{name}": part for name, part in waiting}
    arrays |= _kept("recent", model.recent) | _kept("taught", model.taught)
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
    }
    return arrays, meta


def kind_of(model: Model) -> dict[str, Any]:
    """What `attach` must know of a model's learner beside its arrays."""
    learner = model.learner
    return {
        "kind": learner.kind,
        "width": learner.width,
        "dense": isinstance(learner, SmallLearner) and learner.dense,
        "dimension": model.dimension,
    }


def attach(
    settings: Learn, arrays: Mapping[str, Any], kind: Mapping[str, Any], before: Any = None
) -> ExtremeLearner | SmallLearner:
    """A learner that predicts from arrays that belong to somebody else; it must not learn.

    Parameters
    ----------
    arrays
        Of `learner.arrays()`; those of an extreme learner are not copied.
    kind
        Of `kind_of`.
    before
        The learner attached before, whose room is taken over: the two must not work at once.
    """
    objective = CODES[settings.objective]
    if kind["kind"] == ExtremeLearner.kind:
        learner = ExtremeLearner(
            settings.seed, kind["width"], 256, 10, 10, kind["dimension"], objective, settings.off
        )
        learner.attach(arrays, before if isinstance(before, ExtremeLearner) else None)
        return learner
    small = SmallLearner(kind["dense"], settings.seed, kind["width"], objective, settings.off)
    small.load(arrays)
    return small


def load(model: Model, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Replace the state of a fresh model; capacities are the snapshot's, not the settings'.

    The model takes the arrays over: they change as it learns.
    """
    model.position = meta["position"]
    model.dimension = meta["dimension"]
    model.labels.load(arrays)
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
    model.remember(*_taken("recent", arrays))
    rows, taught, looked = _taken("taught", arrays)
    model.taught = [
        (features.row_of(rows, at), truth, slots)
        for at, (truth, slots) in enumerate(zip(taught, looked, strict=True))
    ]
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


def _taken(what: str, arrays: Mapping[str, Any]) -> tuple[Rows, list[Any], list[Any]]:
    """The reverse of `_kept`: rows, the labels of each, and which were looked for."""
    part = {name: arrays[f"{what}.{name}"] for name in _ROWS if f"{what}.{name}" in arrays}
    rows = features.blank(0, 1) if "dense" in part else features.EMPTY
    bounds = arrays[f"{what}.bounds"].tolist()
    truths = [arrays[f"{what}.truths"][a:b] for a, b in itertools.pairwise(bounds)]
    looked = Looked(*(arrays[f"{what}.{name}"] for name in ("looked", "looked_bounds", "partial")))
    return replace(rows, **part), truths, [looked.of(at) for at in range(len(truths))]
