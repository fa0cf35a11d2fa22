"""Recall, and when its sampler asks for a rebuild."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.base import Hits
from indexes.flat import Flat
from indexes.recall import RecallSampler, recall


def hits(ids: list[list[int]], scores: list[list[float]]) -> Hits:
    return Hits(np.array(ids, np.int64), np.array(scores, np.float32))


NONE = -np.inf
TRUTH = hits([[1, 2, 3]], [[0.9, 0.8, 0.7]])


@pytest.mark.parametrize(
    ("found", "share"),
    [
        (TRUTH, 1.0),
        (hits([[3, 1, 2]], [[0.9, 0.8, 0.7]]), 1.0),
        (hits([[1, 8, 9]], [[0.9, 0.5, 0.4]]), 1 / 3),
        (hits([[1, 2, -1]], [[0.9, 0.8, NONE]]), 2 / 3),
        (hits([[-1, -1, -1]], [[NONE, NONE, NONE]]), 0.0),
        # As good as the third, by score: right as well.
        (hits([[1, 2, 7]], [[0.9, 0.8, 0.7]]), 1.0),
    ],
)
def test_recall_of_one_query(found: Hits, share: float) -> None:
    assert recall(found, TRUTH).tolist() == pytest.approx([share])


def test_nothing_to_find_is_all_found() -> None:
    nothing = hits([[-1, -1]], [[NONE, NONE]])
    assert recall(nothing, nothing).tolist() == [1.0]
    few = hits([[4, -1]], [[0.2, NONE]])
    assert recall(few, few).tolist() == [1.0]
    assert recall(nothing, few).tolist() == [0.0]


def test_recall_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="other shapes"):
        recall(hits([[1]], [[0.5]]), TRUTH)


class Counting:
    """An exact answer that says which queries were asked."""

    def __init__(self, index: Flat) -> None:
        self.index, self.asked = index, []

    def __call__(self, queries: np.ndarray, k: int) -> Hits:
        self.asked += queries[:, 0].tolist()
        return self.index.search(queries, k)


@pytest.fixture
def exact() -> Flat:
    index = Flat(2)
    index.upsert(np.arange(20), np.random.default_rng(1).standard_normal((20, 2)).astype("f4"))
    return index


def drive(sampler: RecallSampler, exact: Flat, batches: list[int]) -> list[float]:
    """Serve numbered queries cut into batches; the numbers of those that were sampled."""
    oracle, at = Counting(exact), 0
    for size in batches:
        queries = np.ones((size, 2), np.float32)
        queries[:, 0] = np.arange(at, at + size)
        sampler.observe(queries, exact.search(queries, 5), oracle)
        at += size
    return oracle.asked


def test_one_in_n_is_sampled_however_the_queries_are_cut(exact: Flat) -> None:
    asked = drive(RecallSampler(every=10, k=3, seed=4), exact, [1] * 2_000)
    again = drive(RecallSampler(every=10, k=3, seed=4), exact, [700, 0, 1, 1_299])
    assert asked == again
    assert len(asked) == pytest.approx(200, rel=0.25)
    assert len(set(np.diff(asked).tolist())) > 5
    assert asked != drive(RecallSampler(every=10, k=3, seed=5), exact, [2_000])


def test_every_query_where_asked(exact: Flat) -> None:
    assert drive(RecallSampler(every=1, k=3), exact, [3, 4]) == list(range(7))


def test_a_rebuild_is_wanted_when_recall_falls(exact: Flat) -> None:
    sampler = RecallSampler(every=1, k=3, threshold=0.9, memory=10)
    drive(sampler, exact, [50])
    assert (sampler.value, sampler.wants_rebuild, sampler.samples) == (1.0, False, 50)
    queries = np.ones((1, 2), np.float32)
    wrong = hits([[97, 98, 99]], [[-9.0, -9.0, -9.0]])
    sampler.observe(queries, wrong, exact.search)
    assert sampler.value == pytest.approx(0.9)
    sampler.observe(queries, wrong, exact.search)
    assert sampler.value == pytest.approx(0.81)
    assert sampler.wants_rebuild
    sampler.reset()
    assert (sampler.value, sampler.wants_rebuild, sampler.samples) == (1.0, False, 0)


def test_few_samples_ask_for_nothing(exact: Flat) -> None:
    sampler = RecallSampler(every=1, k=1, memory=3)
    wrong = hits([[99]], [[-9.0]])
    for wanted in (False, False, True):
        sampler.observe(np.ones((1, 2), np.float32), wrong, exact.search)
        assert sampler.wants_rebuild is wanted


def test_bad_arguments_are_refused(exact: Flat) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RecallSampler(every=0)
    with pytest.raises(ValueError, match="threshold"):
        RecallSampler(threshold=1.5)
    with pytest.raises(ValueError, match="found must be"):
        RecallSampler(k=9).observe(np.ones((1, 2), np.float32), TRUTH, exact.search)
