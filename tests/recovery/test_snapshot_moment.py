"""A snapshot is of the moment that it was taken, however much is learnt before it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream import state
from stream.checkpoint import Snapshot, SnapshotStore
from stream.config import Index, Learn, Settings
from stream.errors import SnapshotError
from stream.labels import LabelSpace
from stream.pipeline import Item, Pipeline
from stream.types import Example

TINY = Settings(
    learn=Learn(small_labels=8, exemplars=256, hash_bits=10, linear_bits=10),
    index=Index(dimension=16),
)


def teach(pipeline: Pipeline, first: int, last: int) -> None:
    for n in range(first, last):
        pipeline.step([Item(Example(str(n), text=f"word{n} and", labels=(f"l{n}",)))])


@pytest.mark.parametrize("before", [5, 40])
def test_learning_between_taking_and_writing_leaves_no_trace(tmp_path: Path, before: int) -> None:
    pipeline = Pipeline(TINY)
    teach(pipeline, 0, before)
    taken = state.take(pipeline, {}, {})
    teach(pipeline, before, before + 300)
    store = SnapshotStore(tmp_path)
    store.write(taken)
    found = store.load()
    assert found is not None
    revived = state.revive(TINY, found)
    assert len(revived.model.labels) == revived.model.learner.labels == before
    teach(revived, before, before + 300)
    assert revived.model.position == pipeline.model.position


def test_a_snapshot_that_does_not_fit_together_is_refused() -> None:
    pipeline = Pipeline(TINY)
    teach(pipeline, 0, 5)
    taken = state.take(pipeline, {}, {})
    more = LabelSpace()
    for n in range(6):
        more.add(f"l{n}")
    with pytest.raises(SnapshotError, match="does not fit together: 6 label names for 5"):
        state.revive(TINY, Snapshot({**taken.arrays, **more.arrays()}, taken.meta))
