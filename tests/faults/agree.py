"""Whether the models of several members are the same, from the snapshots that they left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from stream import config, state
from stream.checkpoint import SnapshotStore
from stream.pipeline import Item, Pipeline
from stream.source.synthetic import Planted, SyntheticStream
from stream.types import Example

_PROBES = 400


def models(folder: Path, own: Mapping[str, str]) -> dict[str, Pipeline]:
    """By member."""
    settings = config.load(environ={f"BRAID_{name}": value for name, value in own.items()})
    found = {}
    for place in sorted(folder.iterdir()):
        snapshot = SnapshotStore(place).load()
        assert snapshot is not None, place
        found[place.name] = state.revive(settings, snapshot)
    return found


def agreement(one: Pipeline, other: Pipeline, seed: int) -> float:
    """Share of probes that get the same five labels from both."""
    stream = SyntheticStream(Planted(labels=60, seed=seed)).records()
    probes = []
    for n in range(_PROBES):
        fields: dict[str, Any] = orjson.loads(next(stream)[1])
        payload = {key: fields[key] for key in ("text", "features") if fields.get(key) is not None}
        probes.append(Item(Example(str(n), **payload), learn=False))
    first, second = (each.step(probes).predictions for each in (one, other))
    same = [
        {scored.label for scored in first[at].top[:5]}
        == {scored.label for scored in second[at].top[:5]}
        for at in range(_PROBES)
    ]
    return sum(same) / len(same)
