"""Prototypes: decayed means, descriptions, the dirty set, snapshots."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.base import DimensionMismatch
from indexes.prototypes import Prototypes

WIDTH = 12


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
        prototypes.vectors([8])[0], unit(rows.mean(axis=0, dtype=np.float64)), atol=1e-6
    )
    assert prototypes.weights([8]).tolist() == [5.0]


def test_past_the_window_the_mean_decays() -> None:
    prototypes, rows = Prototypes(WIDTH, window=4), rows_of(30)
    prototypes.learn(np.zeros(30, np.int64), rows)
    mean = np.zeros(WIDTH)
    for at, row in enumerate(rows.astype(np.float64)):
        mean += (row - mean) * max(1 / (at + 1), 1 / 4)
    np.testing.assert_allclose(prototypes.vectors([0])[0], unit(mean), atol=1e-6)
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
    np.testing.assert_allclose(prototypes.vectors([3])[0], unit(text), atol=1e-6)
    likeness = []
    for row in rows:
        likeness.append(float(prototypes.vectors([3])[0] @ unit(text)))
        prototypes.learn([3], row)
    expected = (text.astype(np.float64) + rows.sum(axis=0, dtype=np.float64)) / 51
    np.testing.assert_allclose(prototypes.vectors([3])[0], unit(expected), atol=1e-5)
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
    np.testing.assert_allclose(prototypes.vectors([2])[0], unit(rows[100]), atol=1e-6)
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
    np.testing.assert_allclose(prototypes.vectors([0])[0], unit(rows[5]), atol=1e-6)
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


def test_memory_follows_the_labels() -> None:
    prototypes = Prototypes(WIDTH, capacity=8)
    before = prototypes.memory_bytes
    assert before == 8 * (WIDTH + 1) * 4
    prototypes.learn(np.arange(100), rows_of(100))
    assert 100 * (WIDTH + 1) * 4 <= prototypes.memory_bytes - before <= 100_000
