"""The re-ranker of label sets: candidates, probabilities, learning, bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream import features
from stream.config import Learn
from stream.learn.model import Model
from stream.learn.small import sets
from stream.learn.small.learner import SmallLearner
from stream.learn.small.state import CARRIED, EVENTS, FREQUENT, LAST_SET, STORED, WINDOW


def _slots(*labels: int) -> Any:
    return np.array(labels, np.int32)


class _Bench:
    """The re-ranker alone, over `labels` labels."""

    def __init__(self, labels: int) -> None:
        learner = SmallLearner(False, 1)
        learner.add_labels(labels)
        self.labels = labels
        self.sizes, self.sets = learner.state.sizes, learner.state.sets
        self.c = sets.candidates(labels + 2, 50)

    def see(self, truth: Any) -> None:
        sets.remember(self.sizes, self.sets, truth, False)
        sets.count(self.sizes, self.sets, truth)
        self.sizes[LAST_SET] = np.int64(sets.key_of(truth))
        self.sizes[STORED] += 1
        self.sizes[EVENTS] += 1

    def rank(self, p: Any, near: int = 0) -> dict[tuple[int, ...], float]:
        """Candidates with their probabilities; the `near` newest events are the neighbours."""
        for k in range(near):
            self.c.who[k] = (self.sizes[STORED] - 1 - k) % WINDOW
            self.c.best[k] = 1.0
        p = np.array(p, np.float32)
        sets.gather(self.sizes, self.sets, self.c, p, self.labels, near, 8.0)
        self.odds = np.log(p / (1 - p))
        sets.rank(self.sizes, self.sets, self.c, self.odds, self.labels)
        found = {}
        for at in range(self.c.m[0]):
            found[tuple(sorted(self.c.label[at, : self.c.n[at]].tolist()))] = float(self.c.q[at])
        return found


def test_a_key_knows_the_set_and_not_its_order() -> None:
    assert sets.key_of(_slots(3, 1, 2)) == sets.key_of(_slots(1, 2, 3))
    keys = {int(sets.key_of(_slots(*some))) for some in ((), (0,), (1,), (0, 1), (2,))}
    assert len(keys) == 5


def test_candidates_are_prefixes_the_half_set_and_sets_seen() -> None:
    bench = _Bench(5)
    bench.see(_slots(4))
    bench.see(_slots(0, 3))
    found = bench.rank([0.9, 0.6, 0.2, 0.1, 0.05], near=2)
    prefixes = {(), (0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 3, 4)}
    assert found.keys() == prefixes | {(4,), (0, 3)}
    assert sum(found.values()) == pytest.approx(1)
    assert bench.c.m[1] >= 0  # the set above one half is the prefix of two
    half = bench.c.label[bench.c.m[1], : bench.c.n[bench.c.m[1]]].tolist()
    assert sorted(half) == [0, 1]


def test_marginals_are_sums_over_sets() -> None:
    bench = _Bench(3)
    bench.see(_slots(1, 2))
    found = bench.rank([0.7, 0.4, 0.4], near=1)
    for label in range(3):
        total = sum(q for labels, q in found.items() if label in labels)
        assert bench.c.marginal[label] == pytest.approx(total)


def test_a_set_seen_often_gains_over_one_never_seen() -> None:
    bench = _Bench(2)
    before = bench.rank([0.5, 0.5])
    for _ in range(60):
        bench.see(_slots(0, 1))
    after = bench.rank([0.5, 0.5])
    assert after[0, 1] > 2 * before[0, 1]


def test_learning_finds_that_two_labels_go_together() -> None:
    bench = _Bench(2)
    rng = np.random.default_rng(2)
    y, known = np.zeros(2, np.float32), np.ones(2, np.float32)
    loss = []
    for _ in range(400):
        both = rng.random() < 0.5
        truth = _slots(0, 1) if both else _slots()
        own = [0.6, 0.6] if both else [0.4, 0.4]
        bench.rank(own)
        y[:] = both
        p = np.zeros(2, np.float32)
        sets.mix(bench.sets, bench.c, bench.odds, 2, p)
        loss.append(float(np.mean((p - y) ** 2)))
        sets.learn(bench.sets, bench.c, truth)
        sets.learn_mix(bench.sets, bench.c, bench.odds, y, p, known, 2)
        bench.see(truth)
    assert np.mean(loss[-100:]) < 0.6 * np.mean(loss[:20])
    assert np.isfinite(bench.sets.weight).all()


def test_the_most_frequent_sets_are_kept() -> None:
    bench = _Bench(40)
    for label in range(40):
        for _ in range(label + 1):
            bench.see(_slots(label))
    kept = {int(label) for label in bench.sets.top[:, 0]}
    assert kept == set(range(40 - FREQUENT, 40))
    assert bench.sets.size[1] == sum(range(1, 41))


def test_a_set_too_large_to_carry_is_no_candidate_and_breaks_nothing() -> None:
    model = Model(Learn(objective="subset"), 8)
    row = features.batch([features.of_text("all of them")])
    every = [f"l{k}" for k in range(CARRIED + 10)]
    for _ in range(40):
        model.learn(row, [every])
    scores = model.predict(row)
    assert np.isfinite(scores.p).all()
    assert scores.p[0].min() > 0.5


def test_without_sets_the_likeliest_set_is_that_above_one_half() -> None:
    model = Model(Learn(objective="subset", without="sets"), 8)
    row = features.batch([features.of_text("a word")])
    for _ in range(30):
        model.learn(row, [["x"]])
    scores = model.predict(row)
    assert (scores.chosen == (scores.p > 0.5)).all()
