"""Generations of the index: promoted whole, gone back from, kept in snapshots, never mixed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream import state
from stream.checkpoint import SnapshotStore
from stream.clock import ManualClock
from stream.config import Index, Settings
from stream.generations import about, generations
from stream.labels import LabelSpace
from stream.learn.encoder.encoders import Bag, Projection, quantised
from stream.learn.encoder.verdicts import Refused
from stream.metrics import Metrics
from stream.pipeline import Item, Pipeline
from stream.retrieval import Retrieval
from stream.types import Description, DriftEvent, Example
from stream.views import Publisher
from tests.generations_harness import (
    EVIDENCE,
    LABELS,
    TINY,
    Scripted,
    World,
    event,
    promoted,
    text,
)


@pytest.fixture
def world() -> World:
    return World.taught()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Holds what fills generations until it is set."""
    opened, fill = threading.Event(), generations.filled

    def filled(*given: Any) -> Any:
        assert opened.wait(30)
        return fill(*given)

    monkeypatch.setattr(generations, "filled", filled)
    return opened


@pytest.mark.parametrize("kind", ["flat", "faiss_cpu"])
def test_a_challenger_takes_over_with_its_prototypes(kind: str) -> None:
    world = World(kind)
    world.learn(0, LABELS)
    assert world.generations.current.encoder.kind == "projection"
    world.promote()
    current, before = world.generations.current, world.generations.before
    assert (current.number, current.encoder.kind, current.index.kind) == (1, "bag", kind)
    assert (before.number, before.encoder.kind) == (0, "projection")
    assert world.finds(range(LABELS)) == list(range(LABELS))
    (told,) = [one for one in world.drift if one.scope == "encoder"]
    assert told.kind == "promotion"
    assert told.evidence == {"generation": 1, "before": 0} | EVIDENCE


def test_the_school_knows_whom_challengers_are_up_against(world: World) -> None:
    """Also where training begins long after the stream did."""
    late = Scripted()
    world.generations.training.school = None
    world.generations.enrol(lambda _: late)
    ((encoder, slots, means, weights),) = late.crowned
    assert encoder is world.generations.current.encoder
    assert sorted(slots) == list(range(LABELS))
    assert means.shape == (LABELS, 64)
    assert (weights > 1).all()
    (lessons,) = late.recalled
    assert len(lessons) == 6 * LABELS
    assert set(lessons.labels.tolist()) == set(range(LABELS))
    assert world.schools[0].recalled == []  # it saw all


def test_what_came_meanwhile_is_learnt_before_the_swap(world: World, gate: threading.Event) -> None:
    world.school.says.append(world.promoted(LABELS))
    world.learn(LABELS, LABELS + 10)
    assert about(world.generations)["generations"][-1] == {
        "number": 1, "encoder": "bag", "dimension": 48, "state": "being made", "labels": LABELS,
    }  # fmt: skip
    assert world.generations.current.number == 0
    gate.set()
    world.until(lambda: world.generations.current.number == 1)
    assert world.finds(range(LABELS + 10)) == list(range(LABELS + 10))


def test_labels_that_training_does_not_know_are_known_at_once(world: World) -> None:
    """Their events, or what told what they mean, came before it began or are on their way to it."""
    world.pipeline.step([Item(Description("told", "wordtold topictold"))])
    world.promote(20)
    assert world.finds(range(LABELS)) == list(range(LABELS))
    told = world.pipeline.model.labels.slot("told")
    assert told in world.school.described
    identity = world.pipeline.model.labels.id_of(told or 0)
    assert identity in world.generations.current.prototypes.ids


def test_labels_whose_events_training_has_lost_are_those_of_the_exemplars(world: World) -> None:
    """Their centroids are of another state of the encoder; here they are another label's."""
    lost = [world.pipeline.model.labels.slot(f"l{n}") for n in (3, 4)]
    given = promoted(world.pipeline, LABELS, stale=lost)
    given.means[[lost[0], lost[1]]] = given.means[[lost[1], lost[0]]]
    world.school.says.append(given)
    world.until(lambda: world.generations.current.number == 1)
    assert world.finds(range(LABELS)) == list(range(LABELS))
    assert len(world.generations.current.prototypes) == LABELS


def test_a_busy_stream_is_caught_up_with(world: World, gate: threading.Event) -> None:
    """Though each micro-batch brings more than what is caught up with in one at least."""
    world.school.says.append(world.promoted(LABELS))
    world.pipeline.step([])
    gate.set()
    batch = [event(n, n % LABELS) for n in range(700)]
    for _ in range(20):
        world.pipeline.step(batch)
        if world.generations.current.number == 1:
            break
    assert world.generations.current.number == 1


@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
def test_a_retired_label_does_not_come_back(
    world: World, gate: threading.Event, when: str
) -> None:  # fmt: skip
    def retire() -> None:
        world.pipeline.step([Item(Description("l7", None))])

    given = world.promoted(LABELS)
    if when == "before":
        retire()
    world.school.says.append(given)
    world.learn(7, 8) if when == "meanwhile" else world.pipeline.step([])
    if when == "meanwhile":
        retire()
    gate.set()
    world.until(lambda: world.generations.current.number == 1)
    if when == "after":
        retire()
    identity = world.pipeline.model.labels.id_of(7)
    assert identity not in world.generations.current.prototypes.ids
    assert identity not in world.generations.before.prototypes.ids
    assert world.nearest(7) != "l7"
    world.generations.roll_back()
    world.until(lambda: world.generations.current.number == 0)
    assert identity not in world.generations.current.prototypes.ids
    world.learn(7, 8)  # an event takes it up again
    assert world.nearest(7) == "l7"


def test_a_label_taken_up_again_meanwhile_is_there(world: World, gate: threading.Event) -> None:
    world.school.says.append(world.promoted(LABELS))
    world.pipeline.step([Item(Description("l7", None))])
    world.learn(7, 8, each=2)
    gate.set()
    world.until(lambda: world.generations.current.number == 1)
    identity = world.pipeline.model.labels.id_of(7)
    assert world.generations.current.prototypes.weights(np.array([identity])) == [2]


def test_training_that_is_to_go_on_begins_with_the_one_gone_back_to(
    world: World, gate: threading.Event
) -> None:
    gate.set()
    world.promote()
    gate.clear()
    world.generations.roll_back()
    assert world.generations.resume()
    world.pipeline.step([])
    assert len(world.schools) == 1
    gate.set()
    world.until(lambda: world.generations.current.number == 0)
    assert len(world.schools) == 2
    assert world.school.crowned[0][0] is world.generations.current.encoder


def test_of_two_promotions_the_later_stays(world: World, gate: threading.Event) -> None:
    first, second = (world.promoted(LABELS, seed) for seed in (1, 2))
    world.school.says.append(first)
    world.pipeline.step([])
    world.school.says.append(second)
    world.pipeline.step([])
    gate.set()
    world.until(lambda: world.generations.current.number == 2)
    assert world.generations.current.encoder is second.encoder
    assert world.generations.before.encoder is first.encoder
    assert world.finds(range(LABELS)) == list(range(LABELS))


def test_one_that_cannot_be_made_is_told_and_the_other_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("none left")

    monkeypatch.setattr(generations, "filled", fail)
    world.school.says.append(world.promoted(LABELS))
    world.until(lambda: bool(world.generations.verdicts))
    assert world.drift[-1].evidence["outcome"] == "failed"
    assert "none left" in world.drift[-1].evidence["reason"]
    assert world.school.crowned[-1][0] is world.generations.current.encoder
    assert world.finds(range(LABELS)) == list(range(LABELS))
    assert "could not be made" in caplog.text
    caplog.clear()


def test_verdicts_are_told_with_their_evidence(world: World) -> None:
    world.school.says += [
        Refused(False, {"difference": 0.001}), Refused(True, {"reason": "the loss is nan"}),
    ]  # fmt: skip
    out = world.pipeline.step([])
    outcomes = [(one.kind, one.evidence["outcome"]) for one in out.drift]
    assert outcomes == [("refusal", "refused"), ("refusal", "diverged")]
    assert [one["evidence"] for one in about(world.generations)["verdicts"]] == [
        one.evidence for one in out.drift
    ]


def test_the_challenger_is_kept_with_snapshots_and_gone_on_with(
    world: World, tmp_path: Path
) -> None:
    store = SnapshotStore(tmp_path)
    state.begin(store, world.pipeline, {}, {})()
    position = world.pipeline.model.position
    assert world.school.kept == [("keep", position)]
    snapshot = store.load()
    assert snapshot is not None
    again, other = state.revive(world.settings, snapshot), Scripted()
    again.generations.enrol(lambda _: other)
    assert other.kept == [("resume", position)]
    assert len(other.crowned) == 1


def test_a_drift_alarm_asks_for_a_challenger(world: World) -> None:
    world.generations.discount([0, 1])
    assert world.school.alarms == 1


def test_a_view_answers_from_its_own_generation(world: World) -> None:
    publisher = Publisher(60, ManualClock(), Metrics())
    publisher.refresh(world.pipeline, 0, force=True)
    old = publisher.current()
    asked = [Example(str(n), text=text(n)) for n in range(LABELS)]
    was = old.predict(asked, 5)
    world.promote()
    world.learn(0, LABELS, each=1)
    publisher.refresh(world.pipeline, 0, force=True)
    assert old.predict(asked, 5) == was
    assert old.generations()["generations"][0]["number"] == 0
    new = publisher.current()
    assert new.model()["index"]["generation"] == 1
    states = [(one["number"], one["state"]) for one in new.generations()["generations"]]
    assert states == [(1, "in use"), (0, "before")]


def test_they_survive_a_snapshot(world: World) -> None:
    world.promote()
    world.learn(LABELS, LABELS + 3)
    world.generations.roll_back()
    world.until(lambda: world.generations.current.number == 0)
    world.generations.roll_back()
    world.until(lambda: world.generations.current.number == 1)
    again = state.revive(world.settings, state.take(world.pipeline, {}, {}))
    assert about(again.generations) | {"training": 0} == about(world.generations) | {"training": 0}
    bag = again.generations.current.encoder  # type: ignore[union-attr]
    assert isinstance(bag, Bag)
    probe = [Item(Example("asked", text=text(n)), learn=False) for n in range(LABELS + 3)]
    assert again.step(probe).predictions == world.pipeline.step(probe).predictions
    opened: list[int] = []
    again.generations.enrol(opened.append)  # type: ignore[arg-type]
    assert not opened, "held"
    assert again.generations.roll_back()


@pytest.mark.parametrize("dense", [False, True], ids=["texts", "vectors"])
def test_a_contest_trains_and_promotes(monkeypatch: pytest.MonkeyPatch, dense: bool) -> None:
    """As it does in a process of its own, but that any challenger is good enough."""
    torch = pytest.importorskip("torch")
    from stream.learn.encoder import trial
    from stream.learn.encoder.contest import Contest
    from stream.learn.encoder.recipe import Recipe
    from stream.training.inline import InlineSchool

    assert torch
    judged = trial.judged
    monkeypatch.setattr(trial, "judged", lambda *given: replace(judged(*given), promote=True))
    rng = np.random.default_rng(3)
    means = rng.normal(size=(LABELS, 24)).astype(np.float32)

    def given(n: int) -> Item:
        if not dense:
            return event(n, n % LABELS)
        vector = means[n % LABELS] + 0.2 * rng.normal(size=24).astype(np.float32)
        return Item(Example(str(n), vector=vector, labels=(f"l{n % LABELS}",)))

    pipeline = Pipeline(Settings(learn=TINY, index=Index(dimension=64, worth=0, kind="flat")))
    recipe = Recipe(dimension=64, bits=12)
    pipeline.generations.enrol(lambda width: InlineSchool(Contest(recipe, 7, 256, 256, width)))
    told: list[DriftEvent] = []
    for n in range(20 * 64):
        told += pipeline.step([given(n)]).drift
        current = pipeline.retrieval
        if current is not None and current.number:
            break
    assert current is not None
    assert current.encoder.kind == ("residual" if dense else "bag")
    assert current.encoder.dimension == (24 if dense else 64)
    evidence = next(one.evidence for one in told if one.kind == "promotion")
    assert evidence["events"] >= 256
    assert {"champion", "challenger", "difference", "standard_error", "seen"} <= evidence.keys()
    asked = [given(n) for n in range(LABELS)]
    made = pipeline.step([Item(one.what, learn=False) for one in asked]).predictions
    right = [made[n].top[0].label == f"l{n}" for n in range(LABELS)]
    assert sum(right) >= 0.9 * LABELS


def test_one_being_made_is_not_kept_and_nothing_is_lost(
    world: World, gate: threading.Event
) -> None:
    world.school.says.append(world.promoted(LABELS))
    world.pipeline.step([])
    again = state.revive(world.settings, state.take(world.pipeline, {}, {}))
    gate.set()
    assert again.generations.current is not None
    assert again.generations.current.number == 0
    assert again.generations.coming is None


@pytest.mark.parametrize("kind", ["fixed", "learnt"])
def test_an_index_that_is_to_find_nothing_is_not_asked(kind: str) -> None:
    """Each kind of encoder has a number of neighbours of its own; 0 is none."""
    none = {"fixed": Index(neighbours=0), "learnt": Index(learnt_neighbours=0)}[kind]
    encoder = Projection(4) if kind == "fixed" else quantised(np.eye(4, dtype=np.float32))
    labels, rows = LabelSpace(), np.eye(4, dtype=np.float32)
    labels.add("a")
    for settings, asked in ((none, False), (Index(), True)):
        retrieval = Retrieval(settings, encoder)
        retrieval.learn([[labels.id_of(0)]], rows[:1])
        assert (retrieval.near(rows, labels) is not None) == asked
