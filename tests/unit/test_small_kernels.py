"""Kernels of the small learner against plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream.learn import odds
from stream.learn.small import linear, neighbours, squares
from stream.learn.small.nearest import select
from stream.learn.small.state import LAG, STORED, WINDOW, capacities, make


def test_polynomials_are_logits_sigmoids_logarithms_and_cosines() -> None:
    out = np.zeros(50_001, np.float32)
    p = np.linspace(0, 1, len(out)).astype(np.float32)
    odds.logits(p, len(p), out)
    inside = np.clip(p.astype(np.float64), 1e-9, 1 - 1e-9)
    exact = np.clip(np.log(inside / (1 - inside)), -odds.CLIP, odds.CLIP)
    assert out == pytest.approx(exact, abs=2e-6)
    z = np.linspace(-40, 40, len(out))
    odds.sigmoids(z, len(z), out)
    exact = 1 / (1 + np.exp(-np.clip(z, -30, 30)))
    assert np.max(np.abs(out - exact) / exact) < 3e-6
    x = np.geomspace(1e-30, 1e30, len(out)).astype(np.float32)
    exact = np.log(x.astype(np.float64))
    odds.logs(x, len(x))
    assert x == pytest.approx(exact, abs=1e-5)
    odds.cosines(z, len(z), 0.5, out)
    assert out == pytest.approx(0.5 * np.cos(z), abs=5e-6)


@pytest.mark.parametrize("n", [0, 1, 49, 50, 51, 799, 800, 4_096])
@pytest.mark.parametrize("most", [10, 50])
def test_the_highest_scores_are_found_however_they_lie(n: int, most: int) -> None:
    rng = np.random.default_rng(n)
    scores, best, who = np.zeros(4_096, np.float32), np.zeros(50, np.float32), np.zeros(50, int)
    random = rng.random(n).astype(np.float32)
    few = np.where(rng.random(n) < 0.01, random, 0).astype(np.float32)  # fewer than are wanted
    for drawn in (random, few, np.sort(random), np.sort(random)[::-1], np.ones(n, np.float32)):
        scores[:n] = drawn
        found = select(scores, n, most, 0.0, best, who)
        assert found == min(most, np.count_nonzero(drawn))
        assert best[:found].tolist() == np.sort(drawn)[::-1][:found].tolist()
        assert scores[who[:found]].tolist() == best[:found].tolist()
        assert len(set(who[:found].tolist())) == found


@pytest.mark.parametrize("width", [257, 259, 385])
def test_least_squares_are_the_textbook_recursion(width: int) -> None:
    """P and the weights come out the same though their steps are kept and settled later."""
    labels, ridge = 5, 0.3
    small = make(capacities(16, 64, 8, False), 7)
    q, p, r = small.squares, small.squares.p2, small.squares.r2
    rng = np.random.default_rng(width)
    exact_p, exact_r = np.eye(width) / ridge, np.zeros((labels, width))
    close, out = np.zeros(LAG, np.float32), np.zeros(16, np.float32)
    error, boost = np.zeros(16, np.float32), np.ones(16, np.float32)
    for event in range(5 * LAG + 3):
        phi = (rng.standard_normal(width) / np.sqrt(width)).astype(np.float32)
        y = (rng.random(labels) < 0.3).astype(np.float32)
        boost[0] = 1 + 20 * (event % 3 == 0)
        squares.predict(q, 2, r, phi, width, labels, close, out)
        assert out[:labels] == pytest.approx(exact_r @ phi, abs=1e-4)
        error[:labels] = y - out[:labels]
        squares.learn(q, 2, p, r, phi, width, labels, close, error, boost, boost * 0 + 1)
        gain = exact_p @ phi
        total = 1 + phi @ gain
        most = max(1.0, 0.5 * total / (total - 1))
        exact_r += np.outer((y - exact_r @ phi) * np.minimum(boost[:labels], most), gain / total)
        exact_p -= np.outer(gain, gain) / total
    assert 0 < q.kept[2] < LAG


def _filled(d: int, events: int, seed: int) -> tuple[Any, Any, Any]:
    """Dense rows in the window, and the rows themselves with their bins."""
    small = make(capacities(16, 128, 8, True), 7)
    rng = np.random.default_rng(seed)
    rows = (np.clip(rng.standard_normal((events, d)), -5, 5) / np.sqrt(d)).astype(np.float32)
    bins = rng.integers(0, 20, (events, d)).astype(np.uint8)
    for x, own in zip(rows, bins, strict=True):
        neighbours.remember_dense(small.sizes, small.memory, x, own, d)
        small.sizes[STORED] += 1
    return small, rows, bins


@pytest.mark.parametrize(("d", "events"), [(1, 30), (7, 900), (103, 1_200), (128, WINDOW + 300)])
def test_dense_neighbours_are_the_nearest(d: int, events: int) -> None:
    small, rows, bins = _filled(d, events, d)
    asked, sums = np.zeros(256, np.float32), np.zeros(WINDOW, np.float32)
    best, who = np.zeros(50, np.float32), np.zeros(50, np.int32)
    newest = np.arange(max(events - WINDOW, 0), events)
    x = rows[newest[len(newest) // 2]] * np.float32(0.9)
    distance = np.linalg.norm(rows[newest] - x, axis=1)
    found = neighbours.nearest_dense(small.sizes, small.memory, x, d, asked, sums, best, who)
    assert found == min(50, events)
    theirs = distance[np.isin(newest % WINDOW, who[:found])]
    assert len(theirs) == found
    # values are kept as bytes: who lies on the border may differ by what that rounds away
    assert np.max(theirs) <= np.sort(distance)[found - 1] + 0.041
    assert -best[:found] == pytest.approx(np.sort(distance)[:found], abs=0.021)
    count = np.zeros(WINDOW, np.uint8)
    own = bins[newest[-1]]
    found = neighbours.nearest_binned(small.sizes, small.memory, own, d, 10, count, sums, best, who)
    apart = np.sort(np.sqrt(2 * (bins[newest] != own).sum(axis=1) / d))
    assert -best[:found] == pytest.approx(apart[:10], abs=1e-5)
    assert not sums.any()


def test_sparse_neighbours_are_the_most_similar_of_the_window() -> None:
    small = make(capacities(16, 64, 8, False), 7)
    rng = np.random.default_rng(5)
    events, d = WINDOW + 500, 60
    rows = np.where(rng.random((events, d)) < 0.05, rng.random((events, d)), 0).astype(np.float32)
    column = np.arange(d, dtype=np.int32)
    for x in rows:
        neighbours.remember_sparse(small.sizes, small.memory, column, x, d)
        small.sizes[STORED] += 1
    best, who = np.zeros(50, np.float32), np.zeros(50, np.int32)
    sums = np.zeros(WINDOW, np.float32)
    x = rows[-1]
    found = neighbours.nearest_sparse(small.sizes, small.memory, column, x, d, sums, best, who)
    newest = np.arange(events - WINDOW, events)
    posted = [np.flatnonzero(rows[:, j])[-256:] for j in range(d)]  # a column keeps so many
    similar = sum(np.where(np.isin(newest, posted[j]), rows[newest, j] * x[j], 0) for j in range(d))
    assert best[:found] == pytest.approx(np.sort(similar)[::-1][:found], rel=1e-5)
    assert similar[np.argsort(newest % WINDOW)][who[:found]] == pytest.approx(best[:found])
    assert not sums.any()


@pytest.mark.parametrize("dense", [False, True])
def test_logistics_take_adagrad_steps(dense: bool) -> None:
    rng = np.random.default_rng(1)
    m, labels = 6, 3
    w = np.zeros((20, 8, 16), np.float32)
    column = rng.permutation(20)[:m].astype(np.int32)
    a, b = rng.standard_normal((2, m)).astype(np.float32)
    residual = np.zeros((4, 16), np.float32)
    residual[:, :labels] = rng.standard_normal((4, labels))
    linear.descend(w, column, a, b, m, labels, residual, dense)
    rates, starts = ((0.2, 0.2, 0, 0.2), (1e-3,) * 4) if dense else ((1, 1, 0.5, 1), (1e-3, 1e-3, 0.05, 1e-3))  # fmt: skip # noqa: E501
    out = np.zeros((16, 16), np.float32)
    linear.scores(w, column, a, b, m, labels, out)
    for e in range(4):
        x = a if e == 0 else b
        step = residual[e, :labels] * x[:, None]
        change = -rates[e] * step / np.sqrt(step**2 + starts[e])
        assert out[e, :labels] == pytest.approx(x @ change, rel=1e-4, abs=1e-6)
