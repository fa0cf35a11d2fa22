"""Any rows with any labels: no exception, sound scores, and the same again."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream import features
from stream.config import Learn
from stream.features import AnyRow
from stream.learn import persist
from stream.learn.model import Model
from stream.learn.partitions.partitioner import Partitioner

TINY = Learn(small_labels=3, exemplar_bytes=400_000, hash_bits=10, linear_bytes=16_384)
few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

names = st.sampled_from(list("abcdefgh")) | st.text(min_size=1, max_size=3)
labels = st.lists(names, max_size=6).map(tuple)
values = st.floats(-(2.0**127), 2.0**127, width=32) | st.sampled_from([0.0, 1.0, 1e30, 1e-45])
texts = st.text(max_size=40) | st.lists(st.sampled_from("river sea rain wind".split())).map(
    " ".join
)


@st.composite
def named(draw: st.DrawFn) -> AnyRow:
    """Few names or arbitrary ones, any numbers."""
    found = draw(st.dictionaries(st.sampled_from(list("xyzw")) | st.text(), values, max_size=8))
    numbers = np.array(list(found.values()), np.float32)
    kept = numbers != 0
    return features.of_values(features.name_hashes(list(found))[kept], numbers[kept])


vectors = st.lists(values, min_size=3, max_size=3).map(lambda row: np.array(row, np.float32))
sparse = st.lists(st.tuples(texts.map(features.of_text) | named(), labels), min_size=1, max_size=40)
dense = st.lists(st.tuples(vectors, labels), min_size=1, max_size=40)
events = sparse | dense


def check(model: Model, rows: Any) -> None:
    for scorer in (model, model.freeze()):
        scores = scorer.predict(rows)
        assert len(scores.p) == len(rows)
        assert np.isfinite(scores.p).all()
        assert ((scores.p >= 0) & (scores.p <= 1)).all()
        assert (np.diff(scores.p, axis=1) <= 0).all()
        known = scores.slots[scores.slots >= 0]
        assert known.size == 0 or known.max() < len(model.labels)


@few
@given(events=events, large=st.booleans())
def test_any_stream_is_learnt_and_predicted(events: Any, large: bool) -> None:
    model = Model(TINY if large else Learn(), 8)
    rows = features.batch([row for row, _ in events])
    check(model, rows)
    model.learn(rows, [names for _, names in events])
    assert model.position == len(events)
    check(model, rows)


@few
@given(events=events, cut=st.integers(1, 7), retired=st.none() | st.sampled_from(list("abc")))
def test_the_same_stream_makes_the_same_model_however_it_is_cut(
    events: Any, cut: int, retired: str | None
) -> None:
    states = []
    for step in (len(events), cut):
        model = Model(TINY, 8)
        for _ in range(2):
            for start in range(0, len(events), step):
                part = events[start : start + step]
                model.learn(features.batch([row for row, _ in part]), [own for _, own in part])
            if retired is not None:
                model.describe(retired, None)
        arrays, meta = persist.dump(model)
        states.append(({name: array.tobytes() for name, array in arrays.items()}, repr(meta)))
    assert states[0] == states[1]


@few
@given(sets=st.lists(st.lists(st.integers(0, 39), unique=True, max_size=40), max_size=60))
def test_any_label_sets_leave_the_partitions_whole(sets: list[list[int]]) -> None:
    partitioner = Partitioner()
    partitioner.add_labels(40)
    bounds = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([len(own) for own in sets], out=bounds[1:])
    partitioner.observe(np.array([label for own in sets for label in own], np.int32), bounds)
    leaf_of = partitioner.leaf_of[:40]
    together = [partitioner.members(leaf).tolist() for leaf in range(partitioner.highest)]
    placed = sorted(label for members in together for label in members)
    assert placed == np.flatnonzero(leaf_of >= 0).tolist()
    assert all((leaf_of[members] == leaf).all() for leaf, members in enumerate(together))
    company = {label for own in sets if 2 <= len(own) <= 32 for label in own}
    assert company <= set(placed)
