"""Going back to the generation before, and what is trained after that."""

from __future__ import annotations

import pytest

from stream import state
from stream.generations import obey
from tests.generations_harness import LABELS, World, until


@pytest.fixture
def world() -> World:
    return World.taught()


def test_going_back_and_forth(world: World) -> None:
    world.promote()
    first = world.school
    world.learn(LABELS, LABELS + 5)  # the one before learns them too
    assert world.generations.roll_back()
    assert not world.generations.roll_back(), "one is being made"
    world.until(lambda: world.generations.current.number == 0)
    assert first.closed.wait(30)
    assert world.generations.current.encoder.kind == "projection"
    assert world.generations.before.number == 1
    assert world.finds(range(LABELS + 5)) == list(range(LABELS + 5))
    assert world.drift[-1].kind == "rollback"
    assert world.drift[-1].evidence == {"generation": 0, "before": 1}
    assert world.generations.roll_back()
    world.until(lambda: world.generations.current.number == 1)
    assert world.generations.current.encoder.kind == "bag"
    assert world.finds(range(LABELS + 5)) == list(range(LABELS + 5))


def test_what_an_index_was_worth_is_known_when_it_is_back(world: World) -> None:
    brought = world.pipeline.model.learner.state.rescorer.brought  # type: ignore[union-attr]
    brought[:] = 5_000, 10
    world.promote()
    assert world.pipeline.model.index_worth is None
    brought[:] = 5_000, 500
    again = state.revive(world.settings, state.take(world.pipeline, {}, {}))
    for pipeline in (world.pipeline, again):
        assert pipeline.generations.roll_back()
        until(pipeline, 0)
        assert pipeline.model.index_worth == 10 / 5_000
        assert pipeline.generations.before is not None
        assert pipeline.generations.before.brought == (5_000, 500)


def test_nothing_is_trained_after_going_back_until_somebody_says_so(world: World) -> None:
    assert not world.generations.roll_back()
    assert not world.generations.resume()
    world.promote()
    world.generations.roll_back()
    world.until(lambda: world.generations.current.number == 0)
    world.learn(0, LABELS)
    assert world.generations.training.told()[0] == "held"
    assert len(world.schools) == 1
    assert world.generations.resume()
    assert world.generations.training.told()[0] == "on"
    assert len(world.schools) == 2
    assert len(world.school.crowned) == 1
    world.promote(seed=2)
    assert world.generations.current.number == 2, "numbers are not used again"


def test_orders_are_obeyed_once(world: World) -> None:
    order = {"what": "rollback", "from": 1}
    assert not obey(world.generations, order)
    world.promote()
    assert obey(world.generations, order)
    world.until(lambda: world.generations.current.number == 0)
    assert not obey(world.generations, order)
    assert obey(world.generations, {"what": "resume"})
