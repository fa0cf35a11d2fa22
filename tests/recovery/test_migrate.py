"""A snapshot that an older release wrote: read, gone on from, and written anew.

`format-4.tar.xz` was written by the last commit of that format: 301 records of the built-in
stream with few labels, six of them without labels, the last feedback whose event never came.
"""

from __future__ import annotations

import tarfile
from itertools import islice
from pathlib import Path

import numpy as np
import orjson
import pytest

from stream import state
from stream.checkpoint import SnapshotStore, read
from stream.config import Settings
from stream.generations import about
from stream.migrate import FORMAT, migrate
from stream.pipeline import Item, Pipeline
from stream.source.synthetic import Planted, SyntheticStream
from stream.types import Example
from tests.recovery.world import settings

HERE = Path(__file__).resolve().parent
PLANTED = Planted(labels=60, seed=11)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    with tarfile.open(HERE / "format-4.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    return SnapshotStore(tmp_path)


def small() -> Settings:
    return settings(
        learn={"small_labels": 8, "exemplar_bytes": 282_880, "cooccurrence_bytes": 20_000},
        index={"dimension": 8, "background": False},
    )


def events(first: int, n: int) -> list[Item]:
    found = islice(SyntheticStream(PLANTED).records(), first, first + n)
    return [Item(Example(**kept(orjson.loads(value)))) for _, value in found]


def kept(fields: dict[str, object]) -> dict[str, object]:
    labels = tuple(str(one) for one in fields["labels"])  # type: ignore[attr-defined]
    return {"id": fields["id"], "text": fields.get("text"), "labels": labels}


def test_format_4_is_what_a_run_of_today_would_hold(store: SnapshotStore) -> None:
    snapshot = store.load()
    assert snapshot is not None
    old = state.revive(small(), snapshot)
    assert old.model.position == 294
    assert (old.room.events, old.room.labels) == (6, 1)
    new = Pipeline(small())
    new.step(events(0, 294))
    ours, theirs = (state.take(one, {}, {}) for one in (old, new))
    assert set(ours.arrays) == set(theirs.arrays)
    for name, array in ours.arrays.items():
        assert array.dtype == theirs.arrays[name].dtype, name
    labels = old.model.labels
    assert labels.names
    assert all(labels.alike(name) is None for name in labels.names)
    assert labels.alike(labels.names[0].upper()) == labels.names[0]


def test_it_goes_on_and_is_written_in_the_present_format(store: SnapshotStore) -> None:
    snapshot = store.load()
    assert snapshot is not None
    pipeline = state.revive(small(), snapshot)
    outcome = pipeline.step(events(300, 200))
    assert len(outcome.predictions) == 200
    assert pipeline.model.position == 494
    path = store.write(state.take(pipeline, state.positions(snapshot), {}))
    text = (path / "manifest.json").read_bytes().partition(b"\n")[2]
    assert orjson.loads(text)["format"] == FORMAT
    again = state.revive(small(), read(path))
    probe = events(600, 50)
    ids = [one.what.id for one in probe]
    assert ids
    twice = [one.step(probe).predictions for one in (pipeline, again)]
    assert twice[0] == twice[1]
    np.testing.assert_array_equal(pipeline.model.labels.ids, again.model.labels.ids)


@pytest.mark.parametrize("small_labels", [8, 512])
def test_format_5_has_the_first_generation(small_labels: int) -> None:
    chosen = small().model_copy(
        update={"learn": small().learn.model_copy(update={"small_labels": small_labels})}
    )
    pipeline = Pipeline(chosen)
    pipeline.step(events(0, 200))
    taken = state.take(pipeline, {}, {})
    told = taken.meta.pop("generations")  # as that format had it
    migrate(5, taken.arrays, taken.meta)
    assert taken.meta["generations"] == told
    again = state.revive(chosen, taken)
    probe = events(300, 40)
    assert again.step(probe).predictions == pipeline.step(probe).predictions
    found = about(again.generations)
    assert found["verdicts"] == []
    numbers = [(one["number"], one["encoder"], one["state"]) for one in found["generations"]]
    assert numbers == ([(0, "projection", "in use")] if small_labels == 8 else [])
