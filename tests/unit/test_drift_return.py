"""A state of a partition that was put aside comes back when its events do, and only then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream.learn.former import ASIDE, FORCE, NEW, STATES, choose, explained
from stream.learn.model.frozen import nothing_near
from stream.learn.small import kept
from stream.learn.small.learner import SmallLearner
from stream.learn.small.state import capacities
from tests.unit.test_drift_forget import KINDS, MINE, NO_LEAF, ROWS, row, score, taught, teach

OTHER = {0: 1, 1: 0, 2: 2, 3: 3}  # labels 0 and 1 exchange what is said of them


ORDER = np.random.default_rng(5).integers(0, 4, 1_000)  # in turn, the last set would tell all


def live(learner: Any, start: int, stop: int, width: int, swapped: bool = False) -> None:
    """Events, each of one label; after the change those of 0 and 1 speak of the other one."""
    for at in range(start, stop):
        label = int(ORDER[at])
        teach(learner, label, at, width, OTHER[label] if swapped else label)


def grown(extreme: bool, width: int) -> Any:
    """A learner before any change."""
    learner = taught(extreme, width, 0)
    live(learner, 0, 240, width)
    return learner


def changed(extreme: bool, width: int) -> Any:
    """A learner that has lived through a change."""
    learner = grown(extreme, width)
    live(learner, 240, 272, width, swapped=True)
    learner.react(MINE, 3.0, 16)
    live(learner, 272, 352, width, swapped=True)
    return learner


def returned(extreme: bool, width: int) -> Any:
    """The same, when its labels mean again what they did."""
    learner = changed(extreme, width)
    live(learner, 352, 392, width)
    return learner


def best(learner: Any, asked: int, width: int) -> int:
    """The likeliest label of a row that speaks of one."""
    rows = row(asked, 9_999, width)
    if isinstance(learner, SmallLearner):
        return int(learner.predict(rows, NO_LEAF)[0][0].argmax())
    near = nothing_near(1)
    return int(learner.predict(rows, NO_LEAF, near.slots, near.similar)[0][0, 0])


@KINDS
@ROWS
def test_a_state_that_returns_is_found_by_a_look(extreme: bool, width: int) -> None:
    learner = returned(extreme, width)
    assert learner.look(MINE, 16)
    assert not learner.look(MINE, 16), "it is in force now"
    live(learner, 392, 416, width)  # weights that all labels share had moved
    assert [best(learner, label, width) for label in range(4)] == [0, 1, 2, 3]


@KINDS
@ROWS
def test_a_state_that_does_not_return_stays_away(extreme: bool, width: int) -> None:
    learner = changed(extreme, width)
    before = [score(learner, label, width) for label in range(4)]
    assert [best(learner, label, width) for label in range(4)] == [1, 0, 2, 3]
    assert not learner.look(MINE, 16)
    assert [score(learner, label, width) for label in range(4)] == before


@KINDS
@ROWS
def test_a_look_before_any_alarm_finds_nothing(extreme: bool, width: int) -> None:
    assert not grown(extreme, width).look(MINE, 16)
    assert not taught(extreme, width, 0).look(MINE, 16)


@KINDS
@ROWS
def test_a_needless_alarm_is_taken_back(extreme: bool, width: int) -> None:
    learner = grown(extreme, width)
    learner.react(MINE, 3.0, 2)
    hurt = [score(learner, int(label), width) for label in MINE]
    live(learner, 240, 260, width)
    learner.look(MINE, 8)
    for label, low in zip(MINE, hurt, strict=True):
        assert score(learner, int(label), width) > max(low, 0.4)


@KINDS
@ROWS
def test_an_alarm_finds_the_state_that_is_back_and_the_one_left_is_put_aside(
    extreme: bool, width: int
) -> None:
    learner = returned(extreme, width)
    learner.react(MINE, 3.0, 16)
    live(learner, 392, 416, width)
    assert [best(learner, label, width) for label in range(4)] == [0, 1, 2, 3]
    live(learner, 416, 456, width, swapped=True)
    assert learner.look(MINE, 16), "and it returns in its turn"


@KINDS
@ROWS
def test_the_snapshot_holds_what_was_put_aside(extreme: bool, width: int) -> None:
    learner = returned(extreme, width)
    again = taught(extreme, width, 0)
    again.load({name: array.copy() for name, array in learner.arrays().items()})
    assert learner.look(MINE, 16)
    assert again.look(MINE, 16)
    for name, array in learner.arrays().items():
        assert array.tobytes() == again.arrays()[name].tobytes(), name


@pytest.mark.parametrize("width", [0, 12])
def test_views_predict_as_the_learner_does_and_hold_nothing_aside(width: int) -> None:
    learner = changed(False, width)
    twin = learner.frozen()
    assert len(twin.kept.label) == 0
    assert len(learner.kept.label) > 0
    rows = row(1, 7_777, width)
    assert np.array_equal(twin.predict(rows, NO_LEAF)[0], learner.predict(rows, NO_LEAF)[0])


def test_what_is_put_aside_is_bounded_and_the_first_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "MOST", 1)
    learner = SmallLearner(False, 7)
    learner.add_labels(40)
    capacity = capacities(64, 64, 8, False)
    aside = kept.nothing()
    for label in range(40):
        aside = kept.fit(aside, capacity, 1)
        kept.swap(learner.state, aside, [label], 4, False, label)
    assert sorted(aside.label.tolist()) == list(range(24, 40))


def test_states_are_judged_by_their_own_votes() -> None:
    given = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0, 1]], np.bool_)
    state = np.array([NEW, NEW, FORCE, FORCE, ASIDE, ASIDE])
    alike = np.array([0, 1, 1, 0, 0, 1])  # what is in force says the opposite
    shares = explained(given, state, np.array([0, 1]), lambda at: 1.0 * (alike == alike[at]))
    assert shares.tolist() == [0, 0, 1, 0, 0, 0]


def test_a_number_is_taken_from_the_oldest_when_none_is_free() -> None:
    shares = np.zeros(ASIDE + STATES)
    shares[NEW] = 0.5
    state, age = np.array([NEW, FORCE, 2, 3, 4, 5, 2]), np.array([0.0, 1, 9, 5, 8, 6, 2])
    assert choose(state, shares, age, False) == (0, 4)
    assert choose(state[:4], shares, age[:4], False) == (0, 4), "a free one first"
    shares[3] = 0.3
    assert choose(state, shares, age, False) == (3, 3), "nearer to what is new"
    assert choose(state, shares, age, True) == (3, 3)
    shares[FORCE] = 0.25
    assert choose(state, shares, age, True) == (0, 4), "not clearly better"
