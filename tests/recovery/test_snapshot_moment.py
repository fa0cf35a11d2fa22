"""A snapshot is of the moment that it was taken, however much is learnt before it is written."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream import state
from stream.checkpoint import Snapshot, SnapshotStore
from stream.config import Index, Learn, Settings
from stream.errors import SnapshotError
from stream.labels import LabelSpace
from stream.pipeline import Item, Pipeline
from stream.types import Example
from tests.recovery.world import World

TINY = Settings(
    learn=Learn(small_labels=8, exemplar_bytes=400_000, hash_bits=10, linear_bytes=16_384),
    index=Index(dimension=16),
)


def teach(pipeline: Pipeline, first: int, last: int) -> None:
    for n in range(first, last):
        pipeline.step([Item(Example(str(n), text=f"word{n} and", labels=(f"l{n}",)))])


@pytest.mark.parametrize("kind", ["flat", "faiss_cpu"])
@pytest.mark.parametrize("forked", [False, True])
@pytest.mark.parametrize("before", [5, 40])
def test_learning_between_taking_and_writing_leaves_no_trace(
    tmp_path: Path, before: int, forked: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "FORK_BYTES", 0 if forked else 1 << 62)
    pipeline = Pipeline(TINY.model_copy(update={"index": Index(dimension=16, kind=kind)}))
    teach(pipeline, 0, before)
    expected = state.take(pipeline, {}, {})
    store = Held(tmp_path)
    finish = state.begin(store, pipeline, {}, {})
    teach(pipeline, before, before + 300)
    (tmp_path / "go").touch()
    finish()
    found = store.load()
    assert found is not None
    assert found.meta == expected.meta
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert found.arrays[name].tobytes() == array.tobytes(), name
    revived = state.revive(pipeline.settings, found)
    assert len(revived.model.labels) == revived.model.learner.labels == before
    teach(revived, before, before + 300)
    assert revived.model.position == pipeline.model.position


def test_a_writer_that_is_killed_is_counted_and_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state, "FORK_BYTES", 0)
    world = World(tmp_path)
    world.produce(40)
    member = world.member()
    member.turns(1)
    member.snapshot()
    member.store.__class__ = Held
    member.turns(1)
    member.clock.advance(11.0)
    member.runner._maintain()
    folder = member.store.folder
    while not (left := list(folder.glob(".tmp-*"))):
        time.sleep(0.01)
    os.kill(int(left[0].name.removeprefix(".tmp-").partition("-")[0]), signal.SIGKILL)
    assert member.runner._writing is not None
    member.runner._writing.join()
    assert "ended with -9" in caplog.text
    registry = member.metrics.registry
    assert registry.get_sample_value("braid_snapshots_total", {"outcome": "failed"}) == 1
    assert registry.get_sample_value("braid_snapshots_total", {"outcome": "written"}) == 1
    member.finish()  # the stream goes on
    member.crash()
    again = world.member()
    assert 0 < again.learnt < 40
    assert [path.name for path in folder.iterdir()] == ["snapshot-000000000001"]
    again.finish()
    world.account()
    again.crash()


def test_an_error_in_the_writer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "FORK_BYTES", 0)
    pipeline = Pipeline(TINY)
    teach(pipeline, 0, 5)
    store = SnapshotStore(tmp_path / "gone")
    store.folder.rmdir()
    with pytest.raises(SnapshotError, match=r"cannot write .*gone.*No such file") as told:
        state.begin(store, pipeline, {}, {})()
    assert "checkpoint.folder" in told.value.remedy


class Held(SnapshotStore):
    """Begins to write at once, goes on when there is a file `go`."""

    def write_parts(self, arrays: Any, meta: Any, alive: Any = lambda: None) -> Path:
        """Let the writer wait between its first array and the next."""
        return super().write_parts(self._held(arrays), meta, alive)

    def _held(self, arrays: Any) -> Iterator[tuple[str, Any]]:
        for at, one in enumerate(arrays):
            while at == 1 and not (self.folder / "go").exists():
                time.sleep(0.01)
            yield one


def test_a_snapshot_that_does_not_fit_together_is_refused() -> None:
    pipeline = Pipeline(TINY)
    teach(pipeline, 0, 5)
    taken = state.take(pipeline, {}, {})
    more = LabelSpace()
    for n in range(6):
        more.add(f"l{n}")
    with pytest.raises(SnapshotError, match="does not fit together: 6 label names for 5"):
        state.revive(TINY, Snapshot({**taken.arrays, **more.arrays()}, taken.meta))
