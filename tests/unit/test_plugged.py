"""The pipeline with a plugged encoder: found by it, and none the worse for its failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream import state
from stream.clock import ManualClock
from stream.config import Encoder, Index, Learn, Settings
from stream.encoders import Guard
from stream.metrics import Metrics
from stream.pipeline import Item, Outcomes, Pipeline
from stream.plugged import Plug
from stream.shared.publisher import SharedPublisher
from stream.shared.views import SharedViews
from stream.types import Description, Example
from stream.views import ModelView, Publisher, about_index
from tests.encoder_harness import Scripted, raises, until, well

LABELS = 30
PATIENT = 10_000  # milliseconds: no test here is of the time
TINY = Learn(small_labels=4, exemplar_bytes=400_000, hash_bits=12, linear_bytes=65_536, waiting=50)


def settings(**encoder: Any) -> Settings:
    given = {"plugin": "toy", "timeout_ms": PATIENT} | encoder
    index = Index(kind="flat", dimension=64, worth=0, sync_events=16)
    return Settings(learn=TINY, index=index, encoder=Encoder(**given))


def head(label: int) -> str:
    """Three letters that words of a label begin with; all that its texts have in common."""
    return f"{chr(97 + label // 26)}{chr(97 + label % 26)}q"


def event(n: int, labelled: bool = True, **fields: Any) -> Item:
    label = n % LABELS
    given: dict[str, Any] = {"text": f"{head(label)}{n * 7_919:06d} {head(label)}{n * 104_729:07d}"}
    given |= {"labels": (f"l{label}",)} if labelled else {}
    return Item(Example(str(n), **(given | fields)), learn=labelled)


def taught(pipeline: Pipeline, events: int = 12 * LABELS, start: int = 0) -> list[Outcomes]:
    stops = range(start, start + events, 8)
    return [pipeline.step([event(n) for n in range(at, at + 8)]) for at in stops]


def found(answer: Callable[[Item], Sequence[Any]]) -> int:
    """How many labels are among the first three tags of new texts of theirs."""
    first = 100_000 * LABELS
    tops = [answer(event(first + label, labelled=False))[:3] for label in range(LABELS)]
    return sum(f"l{label}" in [one.label for one in top] for label, top in enumerate(tops))


def by_pipeline(pipeline: Pipeline) -> Callable[[Item], Sequence[Any]]:
    return lambda item: pipeline.step([item]).predictions[0].top


def by_view(view: ModelView) -> Callable[[Item], Sequence[Any]]:
    return lambda item: view.predict([item.what], 3)[0].top  # type: ignore[list-item]


def scripted(*script: Any, **encoder: Any) -> tuple[Pipeline, Scripted]:
    """A pipeline with an encoder that follows a script, in an extreme space already."""
    made = Scripted(*script)
    chosen = settings(**encoder)
    pipeline = Pipeline(chosen.model_copy(update={"encoder": Encoder()}))
    pipeline.generations.plug = pipeline.plug = Plug(Guard(made, chosen.encoder))
    return pipeline, made


def kind(pipeline: Pipeline) -> str:
    assert pipeline.retrieval is not None
    return pipeline.retrieval.encoder.kind


@pytest.mark.usefixtures("toy_folder")
def test_labels_are_found_by_what_only_the_plugged_encoder_knows() -> None:
    plain, plugged = Pipeline(settings(plugin="")), Pipeline(settings())
    for pipeline in (plain, plugged):
        taught(pipeline)
    assert (kind(plain), kind(plugged)) == ("projection", "plugged")
    assert found(by_pipeline(plain)) < LABELS // 2
    assert found(by_pipeline(plugged)) > 0.9 * LABELS
    assert plugged.plug is not None
    assert sum(plugged.plug.guard.lost.values()) == 0
    assert about_index(plugged.retrieval)["plugin"] == "toy"


@pytest.mark.usefixtures("toy_folder")
def test_the_endpoint_finds_by_it_too() -> None:
    pipeline = Pipeline(settings())
    publisher = Publisher(0.25, ManualClock(), Metrics())
    taught(pipeline)
    publisher.refresh(pipeline, 0, force=True)
    view = publisher.current()
    assert view.model()["index"]["plugin"] == "toy"
    assert found(by_view(view)) > 0.9 * LABELS
    asked = event(5, labelled=False).what
    assert isinstance(asked, Example)
    why = view.explain(asked, ["l5"])
    assert [one.label for one in why.labels] == ["l5"]


def test_small_spaces_and_vectors_do_not_ask() -> None:
    pipeline, made = scripted(well)
    for n in range(40):
        pipeline.step([event(n % 4)])
    assert made.calls == []
    dense, made = scripted(well)
    rng = np.random.default_rng(0)
    for n in range(8 * LABELS):
        vector = rng.normal(size=6).astype(np.float32)
        dense.step([event(n, text=None, vector=vector)])
    assert dense.model.extreme
    assert (kind(dense), made.calls) == ("projection", [])


def test_a_micro_batch_is_asked_for_once() -> None:
    pipeline, made = scripted()
    taught(pipeline)
    made.calls.clear()
    items = [event(n) for n in range(4)] + [event(n, labelled=False) for n in range(4, 7)]
    named = Example("named", features={"a": 1.0}, labels=("l1",))
    out = pipeline.step([*items, Item(named)])
    assert sorted(text for call in made.calls for text in call) == sorted(
        item.what.text
        for item in items  # type: ignore[union-attr]
    )
    assert len(made.calls) == 2  # what is predicted only, what is learnt
    assert len(out.predictions) == 8


def test_late_labels_teach_the_index_too() -> None:
    pipeline, made = scripted()
    taught(pipeline)
    pipeline.step([Item(Example("late", text="some text"))])
    made.calls.clear()
    retrieval = pipeline.retrieval
    assert retrieval is not None
    pipeline.step([Item(Example("late", labels=("fresh",)))])
    identity = ids(pipeline, ["fresh"])
    assert made.calls == [["some text"]]
    assert retrieval.prototypes.weights(identity).tolist() == [1.0]


def test_what_fails_now_and_then_costs_only_candidates() -> None:
    answers = [answer for _ in range(10_000) for answer in (raises, well, well)]
    pipeline, _ = scripted(*answers)
    plain = Pipeline(settings(plugin=""))
    outs, others = taught(pipeline), taught(plain)
    assert all(len(out.predictions) == 8 and not out.failures for out in outs)
    assert sum(out.learnt for out in outs) == sum(out.learnt for out in others)
    assert pipeline.model.labels.names == plain.model.labels.names
    retrieval = pipeline.retrieval
    assert retrieval is not None
    vectors = retrieval.prototypes.vectors(retrieval.prototypes.ids)
    assert np.isfinite(vectors).all()
    weights = retrieval.prototypes.weights(retrieval.prototypes.ids)
    assert 0 < weights.sum() < pipeline.model.position  # those that failed moved nothing
    assert pipeline.plug is not None
    assert not pipeline.plug.guard.cut_off


def test_cut_off_it_gives_way_to_the_built_in_embedding() -> None:
    pipeline, made = scripted(*[well] * 20, *[raises] * 10_000, failures=3)
    outs = taught(pipeline)
    assert all(len(out.predictions) == 8 and not out.failures for out in outs)
    assert pipeline.plug is not None
    assert pipeline.plug.guard.cut_off
    assert kind(pipeline) == "projection"
    retrieval = pipeline.retrieval
    assert retrieval is not None
    assert retrieval.prototypes.dimension == 64
    assert about_index(retrieval)["encoder"] == "projection"
    asked = len(made.calls)
    before = retrieval.prototypes.weights(retrieval.prototypes.ids).sum()
    taught(pipeline, 80)
    assert retrieval.prototypes.weights(retrieval.prototypes.ids).sum() > before
    assert len(made.calls) == asked
    publisher = Publisher(0.25, ManualClock(), Metrics())
    publisher.refresh(pipeline, 0, force=True)
    assert publisher.current().predict([event(1).what], 3)[0].top  # type: ignore[list-item]


def test_one_that_hangs_holds_nothing_up() -> None:
    go = threading.Event()
    pipeline, made = scripted(*[well] * 10, until(go), failures=2, timeout_ms=50)
    end, start, outs = time.monotonic() + 60, 0, []
    while pipeline.plug is not None and not pipeline.plug.guard.cut_off:
        outs += taught(pipeline, 80, start)
        start += 80
        assert time.monotonic() < end
    outs += taught(pipeline, 80, start)
    go.set()
    assert all(len(out.predictions) == 8 and not out.failures for out in outs)
    assert kind(pipeline) == "projection"
    assert made.most_at_once == 1


def test_descriptions_wait_their_turn() -> None:
    pipeline, made = scripted()
    taught(pipeline, 80)
    made.calls.clear()
    known = [Item(Description(f"new{n}", f"described {n}")) for n in range(40)]
    pipeline.step([*known, Item(Description("new3", None))])
    told = [text for call in made.calls for text in call]
    assert 0 < len(told) < 40
    for _ in range(40):
        pipeline.step([event(1, labelled=False)])
    told = [text for call in made.calls for text in call if text.startswith("described")]
    assert sorted(told) == sorted(f"described {n}" for n in range(40) if n != 3)
    retrieval = pipeline.retrieval
    assert retrieval is not None
    weights = retrieval.prototypes.weights(ids(pipeline, [f"new{n}" for n in range(40)]))
    assert (weights > 0).sum() == 39


def ids(pipeline: Pipeline, names: Sequence[str]) -> np.ndarray:
    labels = pipeline.model.labels
    return labels.ids_of(labels.slots_of_names(names))


def revived(pipeline: Pipeline, chosen: Settings) -> Pipeline:
    return state.revive(chosen, state.take(pipeline, {}, {}))


@pytest.mark.usefixtures("toy_folder")
def test_a_snapshot_goes_on_with_the_same_encoder() -> None:
    pipeline = Pipeline(settings())
    taught(pipeline)
    again = revived(pipeline, settings())
    assert kind(again) == "plugged"
    for one in (pipeline, again):
        taught(one, 40, start=720)
    assert pipeline.retrieval is not None
    assert again.retrieval is not None
    one, other = pipeline.retrieval.prototypes, again.retrieval.prototypes
    assert one.ids.tolist() == other.ids.tolist()
    assert np.array_equal(one.vectors(one.ids), other.vectors(one.ids))
    assert found(by_pipeline(again)) > 0.9 * LABELS


@pytest.mark.usefixtures("toy_folder")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"plugin": ""}),
        ({"plugin": ""}, {}),
        ({"model": "one"}, {"model": "other"}),
    ],
)
def test_a_snapshot_of_another_encoder_starts_prototypes_anew(
    before: dict[str, Any], after: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = Pipeline(settings(**before))
    pipeline.step([Item(Description("told", "aaqdescribed in words"))])
    taught(pipeline)
    assert pipeline.retrieval is not None
    again = revived(pipeline, settings(**after))
    assert "prototypes" in caplog.text
    assert again.model.position == pipeline.model.position
    taught(again, 16, start=720)
    assert kind(again) == ("plugged" if again.plug else "projection")
    assert again.retrieval is not None
    prototypes = again.retrieval.prototypes
    assert prototypes.weights(prototypes.ids).sum() == 17  # the description, and 16 events
    taught(again, start=736)
    assert found(by_pipeline(again)) >= (0.9 * LABELS if again.plug else 0)


def test_none_is_made_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from stream.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match="sentence"):
        Pipeline(settings(plugin="sentence-transformers", model=str(tmp_path)))


@pytest.fixture
def shared(
    toy_folder: Path, tmp_path: Path
) -> Iterator[tuple[Pipeline, SharedPublisher, SharedViews]]:
    """A pipeline that was taught, and what the endpoint's process sees of it."""
    pipeline = Pipeline(settings(failures=3))
    taught(pipeline)
    publisher = SharedPublisher(0.25, ManualClock(), Metrics(), root=tmp_path)
    publisher.refresh(pipeline, 0, force=True)
    views = SharedViews(settings(failures=3), publisher.folder)
    yield pipeline, publisher, views
    views.close()
    publisher.close()


def test_another_process_embeds_by_itself(
    shared: tuple[Pipeline, SharedPublisher, SharedViews],
) -> None:
    _, _, views = shared
    view = views.current()
    assert view.model()["index"]["plugin"] == "toy"
    assert found(by_view(view)) > 0.9 * LABELS
    assert views.status()["problems"] == []


def test_what_fails_in_the_other_process_is_told_and_costs_only_candidates(
    shared: tuple[Pipeline, SharedPublisher, SharedViews],
) -> None:
    pipeline, _, views = shared
    broken = Scripted(*[raises] * 100)
    broken.dimension = 48
    views._guard = Guard(broken, settings(failures=3).encoder)
    view = views.current()
    answers = [view.predict([event(350 + n).what], 3) for n in range(9)]  # type: ignore[list-item]
    assert all(one[0].top for one in answers)
    assert len(broken.calls) == 3
    told = views.status()["problems"]
    assert len(told) == 1
    assert "endpoint's process" in told[0]
    assert "toy is cut off" in told[0]
    assert pipeline.plug is not None
    assert not pipeline.plug.guard.cut_off  # the stream's own is another


def test_the_other_process_follows_where_the_stream_cuts_off(
    shared: tuple[Pipeline, SharedPublisher, SharedViews],
) -> None:
    pipeline, publisher, views = shared
    assert views.current().model()["index"]["encoder"] == "plugged"
    assert pipeline.plug is not None
    broken = Scripted(*[raises] * 100)
    broken.dimension = 48
    pipeline.plug.guard = Guard(broken, settings(failures=3).encoder)
    taught(pipeline, 80)
    publisher.refresh(pipeline, 0, force=True)
    view = views.current()
    assert view.model()["index"]["encoder"] == "projection"
    asked = event(3).what
    assert isinstance(asked, Example)
    assert view.predict([asked], 3)[0].top


TOPICS = {
    "animals": ("the cat sleeps on the sofa", "dogs bark at strangers", "a kitten purrs softly"),
    "cooking": ("boil the pasta in salted water", "bake bread in the oven", "stir the soup slowly"),
    "space": ("the rocket reached orbit", "astronauts aboard a station", "a galaxy far from earth"),
    "money": ("the bank raised interest rates", "investors sold shares", "inflation and currency"),
    "music": ("she plays the violin", "an orchestra tunes up", "the choir sang a melody"),
    "sport": ("the striker scored a goal", "runners in a marathon", "tennis players at the net"),
    "health": ("the doctor prescribed pills", "patients in hospital", "a vaccine against flu"),
    "law": ("the judge read the verdict", "lawyers in court", "a contract was breached"),
}  # fmt: skip
ASKED = {
    "animals": "puppies and hamsters", "cooking": "a recipe for fried onions",
    "space": "telescopes watch planets and stars", "money": "stock market and loans",
    "music": "guitar and drums", "sport": "football championship",
    "health": "medicine for illness", "law": "attorney sues over legislation",
}  # fmt: skip


def test_the_real_one_knows_what_words_mean(minilm: str) -> None:
    chosen = settings(plugin="sentence-transformers", model=minilm, timeout_ms=10_000)
    pipeline = Pipeline(chosen)
    for round_ in range(3):
        for topic, texts in TOPICS.items():
            item = Item(Example(f"{topic}{round_}", text=texts[round_], labels=(topic,)))
            pipeline.step([item])
    retrieval, plug = pipeline.retrieval, pipeline.plug
    assert retrieval is not None
    assert plug is not None
    near = retrieval.near(plug.guard.embed(list(ASKED.values())), pipeline.model.labels)
    assert near is not None
    first = [pipeline.model.labels.names[slot] for slot in near.slots[:, 0].tolist()]
    assert sum(one == topic for one, topic in zip(first, ASKED, strict=True)) >= 7
