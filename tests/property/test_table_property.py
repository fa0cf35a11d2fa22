"""The table of ids against a dict, through random lives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.table import Table

# Few values that collide, and any.
IDS = st.lists(st.one_of(st.integers(0, 30), st.integers(0, 2**62)), max_size=40)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "place", "drop"]), IDS), max_size=30)


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_it_is_a_dict(steps: list[tuple[str, list[int]]]) -> None:
    table, model, following = Table(), {}, 0
    for what, ids in steps:
        keys = np.array(ids, np.int64)
        if what == "put":
            numbers = np.arange(following, following + len(ids))
            table.put(keys, numbers)
            model.update(zip(ids, numbers.tolist(), strict=True))
            following += len(ids)
        elif what == "place":
            found, following_now = table.place(keys, following)
            for id_, number in zip(ids, found.tolist(), strict=True):
                if id_ not in model:
                    model[id_] = following
                    following += 1
                assert model[id_] == number
            assert following == following_now
        else:
            there = len({id_ for id_ in ids if model.pop(id_, None) is not None})
            assert table.drop(keys) == there
        assert len(table) == len(model)
    asked = np.array([*model, 31, 2**62 - 1], np.int64)
    assert table.find(asked).tolist() == [model.get(id_, -1) for id_ in asked.tolist()]
    assert table.nbytes <= 12 * max(16, 2 * (following + 40) / 0.7)
