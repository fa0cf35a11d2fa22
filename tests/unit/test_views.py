"""Views answer from one state while the model moves on."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from stream.clock import ManualClock
from stream.errors import Conflict, InvalidRecord, NotReady
from stream.metrics import Metrics
from stream.pipeline import Item, Pipeline
from stream.serve.answers import Generations, ModelInfo
from stream.types import Description, DriftEvent, Example, Prediction
from stream.views import ModelView, Publisher
from tests.recovery.world import settings

ASK = [Example(f"q{n}", text=f"word{n} common") for n in range(6)]
SMALL, EXTREME = 512, 8


class Rig:
    """A pipeline and its publisher."""

    def __init__(self, small_labels: int) -> None:
        self.pipeline = Pipeline(settings(learn={"small_labels": small_labels}))
        self.clock = ManualClock()
        self.publisher = Publisher(0.25, self.clock, Metrics())
        self._n = 0

    def learn(self, events: int = 16, labels: int = 6) -> None:
        items = []
        for _ in range(events):
            what = self._n % labels
            text = f"word{what} common word{(what + 1) % labels}"
            items.append(Item(Example(f"e{self._n}", text=text, labels=(f"label{what}",))))
            self._n += 1
        self.publisher.note(self.pipeline.step(items).drift)

    def view(self) -> ModelView:
        self.publisher.refresh(self.pipeline, 0, force=True)
        return self.publisher.current()


@pytest.fixture(params=[SMALL, EXTREME], ids=["small", "extreme"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)


def answers(view: ModelView) -> list[Prediction]:
    return view.predict(ASK, 5)


def test_there_is_none_before_the_first(rig: Rig) -> None:
    with pytest.raises(NotReady):
        rig.publisher.current()
    assert rig.publisher.status() == {
        "ready": False,
        "reason": "the model has not made its first view yet",
        "lag": 0,
        "position": 0,
        "problems": [],
    }
    rig.view()
    assert rig.publisher.status()["ready"]


def test_view_of_a_new_model_answers_with_nothing(rig: Rig) -> None:
    view = rig.view()
    assert [one.top for one in answers(view)] == [()] * len(ASK)
    assert view.predict([Example("v", vector=np.ones(4, np.float32))], 5)[0].top == ()
    assert (view.position, view.partitions(), view.labels("", 9)) == (0, [], [])
    assert view.label("label0") is None


def test_what_the_endpoint_documents_is_what_a_view_tells(rig: Rig) -> None:
    """Answers are written as they are, and routes are tested on stand-ins for views."""
    rig.learn(labels=20)
    view = rig.view()
    told = ModelInfo.model_validate(view.model())
    assert told.index.kind == ("flat" if rig.pipeline.model.extreme else "none")
    Generations.model_validate(view.generations())


def test_view_of_a_model_that_knows_descriptions_alone(rig: Rig) -> None:
    """Which kind of payload the stream has is still open."""
    rig.pipeline.step([Item(Description(f"label{n}", "words"), predict=False) for n in range(20)])
    for length in (3, 700, 5_000):
        made = rig.view().predict([Example("v", vector=np.ones(length, np.float32))], 5)
        assert made[0].top == ()
    assert len(answers(rig.view())) == len(ASK)


def test_old_view_answers_as_before_while_the_model_learns(rig: Rig) -> None:
    rig.learn(64, 12)
    old = rig.view()
    before, model, partitions = answers(old), old.model(), old.partitions()
    label = old.label("label1")
    rig.learn(200, 12)
    new = rig.view()
    assert new is not old
    assert (old.position, new.position) == (64, 264)
    if rig.pipeline.retrieval is None:  # the index answers from its newest state
        assert answers(old) == before
    assert {key: old.model()[key] for key in ("position", "labels", "threshold")} == {
        key: model[key] for key in ("position", "labels", "threshold")
    }
    assert old.partitions() == partitions
    assert old.label("label1") == label
    assert answers(new) != before
    assert [one.position for one in answers(new)] == [264] * len(ASK)


def test_memory_taken_over_never_disturbs_a_view_still_held() -> None:
    rig = Rig(SMALL)
    held: list[tuple[ModelView, list[Prediction]]] = []
    for turn in range(12):
        rig.learn(16, 12)
        view = rig.view()
        if turn % 3 == 0:
            held.append((view, answers(view)))
        del view
        gc.collect()  # the others are freed, and their memory is taken
        for old, said in held:
            assert answers(old) == said
    assert len({view.position for view, _ in held}) == len(held)


def test_views_are_read_while_others_are_made(rig: Rig) -> None:
    rig.learn(32, 12)
    rig.view()
    stop, failed = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            view = rig.publisher.current()
            said = answers(view)
            view.partitions()
            if {one.position for one in said} != {view.position}:
                failed.append(said)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for one in readers:
        one.start()
    for _ in range(20):
        rig.learn(16, 12)
        rig.view()
    stop.set()
    for one in readers:
        one.join()
    assert failed == []


def test_new_label_is_in_the_next_view_and_not_in_the_old(rig: Rig) -> None:
    rig.learn(32)
    old = rig.view()
    rig.pipeline.step([Item(Example("n", text="novel thing", labels=("new",)))])
    assert old.label("new") is None
    assert old.labels("ne", 5) == []
    new = rig.view()
    info = new.label("new")
    assert info is not None
    assert (info.events, info.retired) == (1, False)
    assert new.labels("ne", 5) == ["new"]
    made = new.predict([Example("q", text="novel thing")], 10)[0]
    assert "new" in [one.label for one in made.top]


@pytest.mark.parametrize("wrong", [Example("a", labels=("x",)), Example("a", vector=np.ones(3))])
def test_payload_that_does_not_fit_is_refused(rig: Rig, wrong: Example) -> None:
    rig.learn(16)
    with pytest.raises(InvalidRecord):
        rig.view().predict([wrong], 3)


def test_retired_and_described_labels_reach_a_view_without_events(rig: Rig) -> None:
    """The position does not move, the model does."""
    rig.learn(32)
    rig.view()
    for text, retired in ((None, True), ("words", False)):
        rig.pipeline.step([Item(Description("label1", text), predict=False)])
        rig.publisher.note([], True)
        info = rig.view().label("label1")
        assert info is not None
        assert (info.retired, info.description) == (retired, text)


def test_views_are_made_when_due_and_only_for_a_change(rig: Rig) -> None:
    rig.learn(16)
    first = rig.view()
    rig.learn(16)
    rig.publisher.refresh(rig.pipeline, 3)
    assert rig.publisher.current() is first  # not due yet
    rig.clock.advance(0.3)
    rig.publisher.refresh(rig.pipeline, 3)
    second = rig.publisher.current()
    assert second is not first
    rig.clock.advance(5.0)
    rig.publisher.refresh(rig.pipeline, 3)
    assert rig.publisher.current() is second  # nothing changed


def test_idle_stream_still_shows_its_drift_and_lag(rig: Rig) -> None:
    rig.learn(16)
    view = rig.view()
    event = DriftEvent("split", "partition/1", 16)
    rig.publisher.note([event])
    rig.clock.advance(1.0)
    rig.publisher.refresh(rig.pipeline, 7)
    assert event not in view.drift()
    assert rig.publisher.current().drift()[-1] == event
    rig.clock.advance(1.0)
    rig.publisher.refresh(rig.pipeline, 9)
    assert rig.publisher.current().model()["lag"] == 9
    assert rig.publisher.status()["lag"] == 9


def test_views_of_a_snapshot_take_no_orders(rig: Rig) -> None:
    publisher = Publisher(0.25, rig.clock, Metrics(), follows=False)
    publisher.refresh(rig.pipeline, 0, force=True)
    assert publisher.current().generations()["training"]["state"] == "off"
    with pytest.raises(Conflict, match="snapshot"):
        publisher.order({"what": "resume"})


def test_drift_history_is_bounded(rig: Rig) -> None:
    rig.publisher.note([DriftEvent("split", "partition/1", n) for n in range(5_000)])
    history = rig.view().drift()
    assert len(history) == 1_000
    assert history[-1].position == 4_999
