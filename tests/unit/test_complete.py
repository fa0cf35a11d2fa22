"""Label sets of events known in part: what agrees, what is learnt, votes and steps with gaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.small import complete, neighbours, sets, squares
from stream.learn.small.learner import SmallLearner
from stream.learn.small.state import EVENTS, LAG, LAST_SET, PROJECTED, STORED

LABELS = 4


def _slots(*labels: int) -> Any:
    return np.array(labels, np.int32)


def _pairs() -> Any:
    """State after events in which 0 goes with 1, and 2 with 3."""
    learner = SmallLearner(False, 1)
    learner.add_labels(LABELS)
    sizes, own = learner.state.sizes, learner.state.sets
    for n in range(40):
        truth = _slots(0, 1) if n % 2 else _slots(2, 3)
        sets.remember(sizes, own, truth, False)
        sets.count(sizes, own, truth)
        sizes[LAST_SET] = np.int64(sets.key_of(truth))
        sizes[STORED] += 1
        sizes[EVENTS] += 1
    return learner.state


def _odds(p: Any) -> Any:
    return np.log(p / (1 - p))


def _ranked(state: Any, p: Any) -> sets.Candidates:
    c = sets.candidates(LABELS + 2, 50)
    sets.gather(state.sizes, state.sets, c, p, LABELS, 0, 8.0)
    sets.rank(state.sizes, state.sets, c, _odds(p), LABELS)
    return c


def _likeliest(state: Any, given: Any, looked: tuple[int, ...]) -> set[int]:
    p = np.full(LABELS, 0.4, np.float32)
    y, known = np.zeros(LABELS + 2, np.float32), np.zeros(LABELS + 2, np.float32)
    y[given], known[list(looked)], known[given] = 1, 1, 1
    room = sets.candidates(LABELS + 2, 50, 2 * sets.MOST)
    c = _ranked(state, p)
    return set(
        complete.likeliest(
            state.sizes, state.sets, c, room, _odds(p), p, y, known, given, LABELS
        ).tolist()
    )  # fmt: skip


def test_the_likeliest_set_follows_what_goes_together() -> None:
    state = _pairs()
    assert _likeliest(state, _slots(0), (0,)) == {0, 1}
    assert _likeliest(state, _slots(3), (3,)) == {2, 3}
    assert _likeliest(state, _slots(), (0,)) == {2, 3}


def test_the_likeliest_set_never_denies_what_is_known() -> None:
    state = _pairs()
    assert _likeliest(state, _slots(0, 2), (1, 3)) == {0, 2}
    assert _likeliest(state, _slots(), (0, 1, 2, 3)) == set()
    assert _likeliest(state, _slots(0), (1,)) >= {0}


def test_learning_from_part_makes_what_is_known_likelier() -> None:
    state = _pairs()
    p = np.full(LABELS, 0.4, np.float32)
    y, known = np.zeros(LABELS, np.float32), np.zeros(LABELS, np.float32)
    y[0], known[0] = 1, 1

    def agreeing() -> float:
        c = _ranked(state, p)
        return float(sum(c.q[at] for at in range(c.m[0]) if 0 in c.label[at, : c.n[at]]))

    before = agreeing()
    complete.learn(state.sets, _ranked(state, p), y, known, 1)
    assert agreeing() > before
    weight = state.sets.weight.copy()
    complete.learn(state.sets, _ranked(state, p), y, np.zeros(LABELS, np.float32), 0)
    assert np.allclose(state.sets.weight, weight)  # nothing is known: nothing is learnt


def test_votes_pass_over_those_that_a_label_was_not_looked_for_in() -> None:
    learner = SmallLearner(False, 1)
    learner.add_labels(2)
    state = learner.state
    state.sizes[STORED] = 4
    state.memory.y[:4, :2] = [[2, 0], [1, 0], [1, 1], [0, 1]]
    best, who = np.ones(4, np.float32), np.arange(4, dtype=np.int32)
    prior, out = np.full(2, 0.5, np.float32), np.zeros(2, np.float32)

    def votes(found: int) -> list[float]:
        neighbours.votes(
            state.sizes, state.memory, state.sets, best, who, found, 2, 8.0, 1.0, 2, prior, out
        )
        return out.tolist()

    state.memory.partial[0] = 1
    assert votes(4) == [np.float32(2.5 / 3), np.float32(0.5 / 3)]  # 0: events 1, 2; 1: 0, 1
    assert votes(2) == [np.float32(1.5 / 2), np.float32(0.5 / 3)]


def test_a_label_looked_for_in_half_steps_as_if_it_were_alone() -> None:
    """Shared covariance with the ratio comes nearer to the label's own least squares."""
    rng = np.random.default_rng(3)
    width, n = PROJECTED + 1, 900
    phi = rng.normal(0, 0.3, (n, width)).astype(np.float32) * (np.arange(width) < 12)
    y = phi @ rng.normal(0, 1, width).astype(np.float32)
    seen = rng.random(n) < 0.5

    def fit(rows: Any, ratio: float) -> Any:
        q = SmallLearner(False, 1).state.squares
        q.p0[:] = np.eye(width)
        one, out, close = np.ones(1, np.float32), np.zeros(1, np.float32), np.zeros(LAG, np.float32)
        times = np.array([ratio], np.float32)
        for at in rows:
            squares.predict(q, 0, q.r0, phi[at], width, 1, close, out)
            error = np.array([(y[at] - out[0]) * seen[at]], np.float32)
            squares.learn(q, 0, q.p0, q.r0, phi[at], width, 1, close, error, one, times)
        kept = q.kept[0]
        return q.r0[0] + q.step[0, :kept, 0] @ q.gain[0, :kept, :width]

    alone = fit(np.flatnonzero(seen), 1.0)
    whole = np.arange(n)
    near, far = (float(np.linalg.norm(fit(whole, ratio) - alone)) for ratio in (2.0, 1.0))
    assert near < 0.7 * far
