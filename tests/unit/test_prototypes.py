"""Prototypes: decayed means, descriptions, the dirty set, snapshots."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.base import DimensionMismatch
from indexes.prototypes import Prototypes, labels_within

WIDTH = 12
ROUNDED = 1e-3  # of a number that is kept as float16


def rows_of(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)


def unit(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


def same(one: Prototypes, two: Prototypes) -> bool:
    a, b = one.snapshot(), two.snapshot()
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_the_first_positives_give_their_mean() -> None:
    prototypes, rows = Prototypes(WIDTH), rows_of(5)
    prototypes.learn(np.full(5, 8), rows)
    np.testing.assert_allclose(
        prototypes.vectors([8])[0], unit(rows.mean(axis=0, dtype=np.float64)), atol=ROUNDED
    )
    assert prototypes.weights([8]).tolist() == [5.0]


def test_past_the_window_the_mean_decays() -> None:
    prototypes, rows = Prototypes(WIDTH, window=4), rows_of(30)
    prototypes.learn(np.zeros(30, np.int64), rows)
    mean = np.zeros(WIDTH)
    for at, row in enumerate(rows.astype(np.float64)):
        mean += (row - mean) * max(1 / (at + 1), 1 / 4)
    np.testing.assert_allclose(prototypes.vectors([0])[0], unit(mean), atol=ROUNDED)
    assert prototypes.weights([0]).tolist() == [4.0]


def test_how_positives_are_cut_into_calls_leaves_no_trace() -> None:
    draw = np.random.default_rng(2)
    ids, rows = draw.integers(0, 20, 400), rows_of(400)
    whole, singly, chunked = (Prototypes(WIDTH, window=6) for _ in range(3))
    whole.learn(ids, rows)
    for id_, row in zip(ids, rows, strict=True):
        singly.learn(np.array([id_]), row)
    for at in range(0, 400, 37):
        chunked.learn(ids[at : at + 37], rows[at : at + 37])
    assert same(whole, singly)
    assert same(whole, chunked)


def test_one_row_serves_all_labels_of_an_event() -> None:
    one, two, row = Prototypes(WIDTH), Prototypes(WIDTH), rows_of(1)
    one.learn([4, 9, 2], row[0])
    two.learn([4, 9, 2], np.repeat(row, 3, axis=0))
    assert same(one, two)


def test_a_description_is_outweighed_by_events() -> None:
    prototypes, text, rows = Prototypes(WIDTH), rows_of(1)[0], rows_of(50, seed=5) + 1
    prototypes.learn([3], text)
    np.testing.assert_allclose(prototypes.vectors([3])[0], unit(text), atol=ROUNDED)
    likeness = []
    for row in rows:
        likeness.append(float(prototypes.vectors([3])[0] @ unit(text)))
        prototypes.learn([3], row)
    expected = (text.astype(np.float64) + rows.sum(axis=0, dtype=np.float64)) / 51
    np.testing.assert_allclose(prototypes.vectors([3])[0], unit(expected), atol=ROUNDED)
    assert likeness[-1] < 0.5 * likeness[0]


def test_discounted_labels_move_faster_and_others_do_not() -> None:
    prototypes, rows = Prototypes(WIDTH), rows_of(101)
    for id_ in (1, 2):
        prototypes.learn(np.full(100, id_), rows[:100])
    prototypes.discount([1, 1, 77], 0.1)
    assert prototypes.weights([1, 2, 77]).tolist() == pytest.approx([10.0, 100.0, 0.0])
    np.testing.assert_array_equal(prototypes.vectors([1]), prototypes.vectors([2]))
    prototypes.learn([1, 2], rows[100])
    near = prototypes.vectors([1, 2]) @ unit(rows[100])
    assert near[0] > near[1]
    prototypes.discount([2], 0.0)
    prototypes.learn([2], rows[100])
    np.testing.assert_allclose(prototypes.vectors([2])[0], unit(rows[100]), atol=ROUNDED)
    with pytest.raises(ValueError, match="factor"):
        prototypes.discount([1], 1.5)


def test_vectors_have_length_one_or_are_zero() -> None:
    prototypes, rows = Prototypes(WIDTH), rows_of(6) * 40
    prototypes.learn(np.arange(6), rows)
    prototypes.learn([6], np.zeros(WIDTH))
    found = prototypes.vectors([5, 0, 99, 6])
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 0, 0], atol=1e-6)


def test_retired_labels_leave_no_prototype() -> None:
    prototypes, rows = Prototypes(WIDTH), rows_of(40)
    prototypes.learn(np.arange(40), rows)
    kept = prototypes.vectors(np.arange(1, 40, 2))
    assert prototypes.retire([*range(0, 40, 2), 4, 1_000]) == 20
    assert len(prototypes) == 20
    assert not prototypes.vectors(np.arange(0, 40, 2)).any()
    np.testing.assert_array_equal(prototypes.vectors(np.arange(1, 40, 2)), kept)
    prototypes.learn([0], rows[5])
    np.testing.assert_allclose(prototypes.vectors([0])[0], unit(rows[5]), atol=ROUNDED)
    assert prototypes.weights([0]).tolist() == [1.0]


def test_changes_are_drained_in_their_order() -> None:
    prototypes, rows = Prototypes(WIDTH), rows_of(6)
    prototypes.learn([5, 1, 5, 9, 3], rows[:5])
    first = prototypes.drain_dirty(2)
    assert first.ids.tolist() == [5, 1]
    np.testing.assert_array_equal(first.vectors, prototypes.vectors([5, 1]))
    prototypes.learn([5], rows[5])
    assert prototypes.pending == 3
    assert prototypes.drain_dirty().ids.tolist() == [9, 3, 5]
    nothing = prototypes.drain_dirty()
    assert (len(nothing.ids), nothing.vectors.shape, len(nothing.removed)) == (0, (0, WIDTH), 0)


def test_retiring_and_learning_again_is_one_change() -> None:
    prototypes, rows = Prototypes(WIDTH), rows_of(3)
    prototypes.learn([1, 2], rows[:2])
    prototypes.retire([2, 1])
    changes = prototypes.drain_dirty(0)
    assert (changes.ids.tolist(), changes.removed.tolist()) == ([], [2, 1])
    prototypes.learn([1], rows[2])
    prototypes.retire([1])
    prototypes.learn([1], rows[2])
    changes = prototypes.drain_dirty()
    assert (changes.ids.tolist(), changes.removed.tolist()) == ([1], [])


BAD = {
    "narrow": ([1], np.ones((1, WIDTH - 1)), DimensionMismatch),
    "count": ([1, 2], np.ones((1, WIDTH)), DimensionMismatch),
    "negative": ([1, -1], np.ones(WIDTH), ValueError),
    "nan": ([1, 2], np.full((2, WIDTH), np.nan), ValueError),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_positives_change_nothing(case: str) -> None:
    prototypes, other = Prototypes(WIDTH), Prototypes(WIDTH)
    for each in (prototypes, other):
        each.learn([1], rows_of(1)[0])
    ids, rows, error = BAD[case]
    with pytest.raises(error):
        prototypes.learn(ids, rows)
    assert same(prototypes, other)


def test_a_restored_copy_goes_on_to_the_bit() -> None:
    draw = np.random.default_rng(3)
    ids, rows = draw.integers(0, 50, 600), rows_of(600)
    prototypes, restored = Prototypes(WIDTH, window=9), Prototypes(WIDTH, window=9)
    prototypes.learn(ids[:300], rows[:300])
    prototypes.drain_dirty(20)
    prototypes.retire([3, 4, 5])
    state = prototypes.snapshot()
    restored.learn([1_000], rows[0])
    restored.restore(state)
    assert same(prototypes, restored)
    for each in (prototypes, restored):
        each.learn(ids[300:], rows[300:])
        each.discount([7], 0.5)
    assert same(prototypes, restored)
    one, two = prototypes.drain_dirty(), restored.drain_dirty()
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_snapshot_of_another_width_is_refused() -> None:
    wide = Prototypes(WIDTH + 1)
    wide.learn([1], np.ones(WIDTH + 1))
    with pytest.raises(DimensionMismatch):
        Prototypes(WIDTH).restore(wide.snapshot())
    with pytest.raises(ValueError, match="lacks 'ids'"):
        Prototypes(WIDTH).restore({})


def test_a_snapshot_with_a_mean_that_is_no_number_is_refused() -> None:
    prototypes = Prototypes(WIDTH)
    prototypes.learn([1, 2], rows_of(2))
    for wrong in (np.nan, np.inf):
        state = prototypes.snapshot()
        state["means"][1, 2] = wrong
        with pytest.raises(ValueError, match="finite"):
            Prototypes(WIDTH).restore(state)


def test_memory_follows_the_labels() -> None:
    prototypes = Prototypes(WIDTH)
    before = prototypes.memory_bytes
    prototypes.learn(np.arange(10_000), np.ones(WIDTH))
    assert 2 * WIDTH <= (prototypes.memory_bytes - before) / 10_000 <= 4 * WIDTH + 100


def test_a_mean_at_float16_stays_beside_one_at_float64() -> None:
    draw = np.random.default_rng(4)
    rows = draw.standard_normal((300, 64)) + draw.standard_normal(64)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    prototypes, mean = Prototypes(64), np.zeros(64)
    prototypes.learn(np.zeros(300, np.int64), rows)
    for at, row in enumerate(rows.astype(np.float64)):
        mean += (row - mean) * max(1 / (at + 1), 1 / 200)
    assert prototypes.vectors([0])[0] @ unit(mean) > 1 - 5e-5


def test_what_a_float16_cannot_hold_is_refused() -> None:
    prototypes = Prototypes(WIDTH)
    with pytest.raises(ValueError, match="65504"):
        prototypes.learn([1], np.full(WIDTH, 70_000.0))
    assert len(prototypes) == 0


def test_the_least_useful_are_evicted_and_counted() -> None:
    room = 40
    capacity = int(room * (2 * WIDTH + 13 + 12 / 0.35 + 8)) + 1
    assert labels_within(capacity, WIDTH) == room
    prototypes, rows = Prototypes(WIDTH, capacity_bytes=capacity), rows_of(room + 8)
    prototypes.learn(np.arange(room), rows[:room])
    prototypes.learn(np.arange(30), rows[:30])
    assert (len(prototypes), prototypes.evicted) == (room, 0)
    prototypes.drain_dirty()
    for _ in range(300):  # later than those, whose positives are as few
        prototypes.learn([35], rows[35])
    prototypes.discount([35], 1 / 200)
    prototypes.learn(np.arange(room, room + 4), rows[room : room + 4])
    assert (len(prototypes), prototypes.evicted) == (room, 4)
    changes = prototypes.drain_dirty()
    assert set(changes.removed.tolist()) < {30, 31, 32, 33, 34, 36, 37, 38, 39}
    assert 35 in prototypes.ids
    assert np.isin(np.arange(30), prototypes.ids).all()
    assert changes.ids.tolist() == [35, 40, 41, 42, 43]
    assert not prototypes.vectors(changes.removed).any()
    tiny = Prototypes(WIDTH, capacity_bytes=1)
    tiny.learn(np.arange(5), rows[:5])
    assert (len(tiny), tiny.evicted) == (1, 4)


def test_memory_stays_within_its_capacity() -> None:
    capacity = 200_000
    prototypes, draw = Prototypes(WIDTH, capacity_bytes=capacity), np.random.default_rng(5)
    for at in range(0, 20_000, 50):
        prototypes.learn(at + np.arange(50), draw.standard_normal((50, WIDTH)))
    assert prototypes.memory_bytes <= 1.05 * capacity
    assert prototypes.evicted == 20_000 - len(prototypes)
    assert len(prototypes) > 0.9 * labels_within(capacity, WIDTH)


def test_labels_that_hardly_moved_are_not_drained() -> None:
    least, draw = 0.02, np.random.default_rng(6)
    prototypes, middle = Prototypes(WIDTH, least_move=least), draw.standard_normal(WIDTH)
    drained, given, moments = None, None, 0
    for _ in range(400):
        prototypes.learn([3], middle + draw.standard_normal(WIDTH))
        changes = prototypes.drain_dirty()
        if len(changes.ids):
            given, moments = changes.vectors[0], moments + 1
        drained = prototypes.vectors([3])[0] @ given
        assert drained >= 1 - least - 1e-5
    assert 5 < moments < 200
    prototypes.learn([3], -middle)
    prototypes.learn([8, 9], -middle)
    prototypes.drained([8, 77])
    assert prototypes.drain_dirty().ids.tolist() == [9]
    prototypes.retire([3])
    assert prototypes.drain_dirty().removed.tolist() == [3]


BAD_SETTINGS = {
    "dimension": {"dimension": 0},
    "window": {"window": 0.5},
    "least_move": {"least_move": 1.0},
    "capacity_bytes": {"capacity_bytes": 0},
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_bad_settings_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Prototypes(**{"dimension": WIDTH, **BAD_SETTINGS[name]})
