"""States of an index that never change, and what another process attaches to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexes.base import DimensionMismatch, LabelIndex
from indexes.faiss_cpu import FaissCpu
from indexes.flat import Flat
from indexes.frozen import FrozenLists, attach

WIDTH = 64


def units(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(params=["flat", "untrained", "trained"])
def index(request: pytest.FixtureRequest) -> LabelIndex:
    """150 ids, of which 20 were removed and 10 replaced."""
    made: LabelIndex
    if request.param == "flat":
        made = Flat(WIDTH)
    else:
        made = FaissCpu(WIDTH, train_at=100 if request.param == "trained" else 10_000)
    rows = units(150, 1)
    made.upsert(np.arange(150), rows)
    made.remove(np.arange(20))
    made.upsert(np.arange(20, 30), -rows[20:30])
    return made


def test_it_stays_as_it_was(index: LabelIndex, tmp_path: Path) -> None:
    queries = units(40, 2)
    want, state = index.search(queries, 8), index.frozen()
    for name, array in state.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {
        path.name.removesuffix(".npy"): np.load(path, mmap_mode="r") for path in tmp_path.iterdir()
    }
    index.upsert(np.arange(20, 80), units(60, 3))
    index.remove(np.arange(60, 100))
    if isinstance(index, FaissCpu):
        index.rebuild()
    for each in (state, attach(mapped)):
        assert (len(each), each.dimension, each.kind) == (130, WIDTH, index.kind)
        assert each.generation_number == state.generation_number
        got = each.search(queries, 8)
        assert np.array_equal(got.ids, want.ids)
        assert np.array_equal(got.scores, want.scores)
        assert (each.search(queries, 140).ids[:, 130:] == -1).all()
        with pytest.raises(DimensionMismatch):
            each.search(queries[:, 1:], 8)
    assert len(index) == 90


def test_a_missing_array_is_named(index: LabelIndex) -> None:
    arrays = index.frozen().arrays()
    del arrays["overlay.ids"]
    with pytest.raises(ValueError, match=r"lacks 'overlay\.ids'"):
        attach(arrays)


def test_attaching_copies_nothing() -> None:
    index = FaissCpu(WIDTH, train_at=100)
    index.upsert(np.arange(150), units(150, 1))
    arrays = index.frozen().arrays()
    state = attach(arrays)
    assert isinstance(state, FrozenLists)
    assert np.shares_memory(state.view.rows.high, arrays["generation.rows.high"])
    assert not state.view.rows.high.flags.writeable
