"""Forgetting: what an alarm takes from a partition's labels, and from nobody else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream import features
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.extreme.state import STORED
from stream.learn.model.frozen import nothing_near
from stream.learn.small.learner import SmallLearner

KINDS = pytest.mark.parametrize("extreme", [False, True])
ROWS = pytest.mark.parametrize("width", [0, 12])
NO_LEAF = np.full(16, -1, np.int32)
MINE, OTHERS = np.array([0, 1]), np.array([2, 3])


def row(label: int, at: int, width: int) -> Any:
    if width:
        vector = np.random.default_rng(at).normal(0, 0.1, width).astype(np.float32)
        vector[3 * label : 3 * label + 3] += 1
        return features.batch([vector])
    return features.batch([features.of_text(f"topic{label} about{label} noise{at % 7} more{at}")])


def taught(extreme: bool, width: int, events: int = 240) -> Any:
    """Events of one label each, in turn."""
    learner: Any = SmallLearner(width > 0, 7, width)
    if extreme:
        learner = ExtremeLearner(7, width, 1_024, 12, 14, 16)
    learner.add_labels(4, 1)
    for at in range(events):
        teach(learner, at % 4, at, width)
    return learner


def teach(learner: Any, label: int, at: int, width: int, spoken: int | None = None) -> None:
    """An event of a label, spoken of as that label is, or as another one."""
    rows = row(label if spoken is None else spoken, at, width)
    bounds = np.array([0, 1], np.int64)
    truth = np.array([label], np.int32)
    if isinstance(learner, ExtremeLearner):
        near = nothing_near(1)
        learner.learn(rows, truth, bounds, NO_LEAF, near.slots, near.similar)
    else:
        learner.learn(rows, truth, bounds, NO_LEAF)


def score(learner: Any, asked: int, width: int) -> float:
    """The probability of a label for a row of its own."""
    rows = row(asked, 9_999, width)
    if isinstance(learner, ExtremeLearner):
        near = nothing_near(1)
        found = learner.predict(rows, NO_LEAF, near.slots, near.similar)
        slots, p = found[0], found[1]
        at = np.flatnonzero(slots[0] == asked)
        return float(p[0, at[0]]) if len(at) else 0.0
    return float(learner.predict(rows, NO_LEAF)[0][0, asked])


@KINDS
@ROWS
def test_the_others_are_predicted_as_before(extreme: bool, width: int) -> None:
    learner = taught(extreme, width)
    before = [score(learner, int(label), width) for label in OTHERS]
    mine = [score(learner, int(label), width) for label in MINE]
    learner.react(MINE, 3.0, 4)
    assert [score(learner, int(label), width) for label in OTHERS] == pytest.approx(before, abs=0.1)
    assert all(score(learner, int(k), width) < was for k, was in zip(MINE, mine, strict=True))


@KINDS
@ROWS
def test_the_newest_exemplars_go_on_voting(extreme: bool, width: int) -> None:
    learner = taught(extreme, width)
    learner.react(MINE, 3.0, 4)
    state = learner.state
    forget = state.labels.forget if extreme else state.memory.forget
    assert forget[:4].tolist() == [240 - 8, 240 - 8, -1, -1]  # two in four events are theirs


@KINDS
@ROWS
def test_forgetting_often_is_as_forgetting_once(extreme: bool, width: int) -> None:
    learner = taught(extreme, width)
    for _ in range(30):
        learner.react(MINE, 3.0, 4)
    for at in range(240, 360):
        teach(learner, at % 4, at, width)
    assert min(score(learner, label, width) for label in range(4)) > 0.4


def test_centroids_move_after_ever_so_many_alarms() -> None:
    learner = taught(True, 0)
    norms = []
    for alarm in range(40):
        learner.react(MINE, 3.0, 4)
        for at in range(8):
            teach(learner, at % 4, 1_000 + 8 * alarm + at, 0)
        norms.append(learner.state.labels.norm[:4].copy())
    kept = np.array(norms)
    assert np.isfinite(kept).all()
    assert kept[-1, :2] == pytest.approx(kept[5, :2], rel=0.5), "as large as after the first ones"
    assert (kept[-1, 2:] > kept[0, 2:]).all(), "the others' grow with their events"


@ROWS
def test_more_values_than_exemplars_keep_all(width: int) -> None:
    for extreme in (False, True):
        learner = taught(extreme, width, 40)
        learner.react(MINE, 3.0, 500)
        forget = learner.state.labels.forget if extreme else learner.state.memory.forget
        assert (forget[:2] == 0).all()


def test_a_learner_without_exemplars_can_forget() -> None:
    for learner in (taught(False, 0, 0), taught(True, 0, 0)):
        learner.react(MINE, 3.0, 5)
        teach(learner, 0, 0, 0)


def test_the_window_may_have_turned_over() -> None:
    learner = taught(True, 0, 1_500)
    assert learner.state.sizes[STORED] == 1_500
    learner.react(MINE, 3.0, 4)
    assert score(learner, 2, 0) > 0.5
