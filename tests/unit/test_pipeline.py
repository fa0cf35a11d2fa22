"""The step: predict before learn, labels late and early, descriptions, the prototype index."""

from __future__ import annotations

import numpy as np
import pytest

from stream import state
from stream.checkpoint import Snapshot
from stream.config import Index, Learn, Settings
from stream.pipeline import Item, Pipeline
from stream.types import Description, Example

TINY = Learn(small_labels=4, exemplar_bytes=400_000, hash_bits=12, linear_bytes=65_536, waiting=50)


def settings(**index: object) -> Settings:
    return Settings(learn=TINY, index=Index(dimension=64, **index))  # type: ignore[arg-type]


def event(n: int, label: str | None = None, **fields: object) -> Item:
    text = f"topic{label} word{label} number{n % 3}"
    labels = None if label is None else (label,)
    return Item(Example(str(n), text=str(fields.get("text", text)), labels=labels))


def taught(pipeline: Pipeline, labels: int, each: int = 12) -> Pipeline:
    for n in range(labels * each):
        pipeline.step([event(n, f"l{n % labels}")])
    return pipeline


def top(pipeline: Pipeline, text: str) -> list[str]:
    made = pipeline.step([Item(Example("asked", text=text), learn=False)]).predictions[0]
    return [scored.label for scored in made.top]


@pytest.mark.parametrize("labels", [3, 40])
def test_learns_to_tag_in_small_and_extreme_spaces(labels: int) -> None:
    pipeline = taught(Pipeline(settings()), labels)
    assert pipeline.model.extreme == (labels > TINY.small_labels)
    assert (pipeline.retrieval is not None) == pipeline.model.extreme
    right = sum(top(pipeline, f"topicl{n} wordl{n}")[0] == f"l{n}" for n in range(labels))
    assert right >= 0.9 * labels


def test_labelled_events_are_predicted_with_all_that_came_before_them() -> None:
    pipeline = Pipeline(settings())
    out = pipeline.step([*(event(n, "only") for n in range(5)), event(5)])
    tops = [[scored.label for scored in out.predictions[n].top] for n in range(6)]
    assert tops == [[], ["only"], ["only"], ["only"], ["only"], []]
    assert [out.predictions[n].position for n in range(6)] == [0, 1, 2, 3, 4, 0]
    assert out.learnt == 5
    later = pipeline.step([event(9, "only")]).predictions[0]
    assert later.position == 5
    assert later.top[0].label == "only"


@pytest.mark.parametrize("labels", [3, 40])
@pytest.mark.parametrize("size", [5, 16, 100])
def test_predictions_do_not_depend_on_where_batches_are_cut(labels: int, size: int) -> None:
    rng = np.random.default_rng(3)
    items = [event(n, f"l{rng.integers(1 + n * labels // 200)}") for n in range(200)]
    items[120:120] = [Item(Description("l1", None)), Item(Description("l2", "topicl2 wordl2"))]
    without_index = settings(neighbours=0)

    def predicted(cut: int) -> list[object]:
        pipeline, made = Pipeline(without_index), []
        for start in range(0, len(items), cut):
            part = items[start : start + cut]
            out = pipeline.step(part).predictions
            made += [out[n] for n in range(len(part)) if n in out]
        return made

    assert predicted(size) == predicted(1)


@pytest.mark.parametrize("size", [7, 16, 60])
def test_without_background_the_state_depends_on_the_events_alone(size: int) -> None:
    """Neither on where batches are cut, nor on a restart from a snapshot between them."""
    rng = np.random.default_rng(4)
    items = [event(n, f"l{rng.integers(1 + n // 3)}") for n in range(240)]
    own = settings(background=False)

    def left(cut: int, restart_at: int) -> Snapshot:
        pipeline = Pipeline(own)
        for start in range(0, len(items), cut):
            pipeline.step(items[start : start + cut])
            if start <= restart_at < start + cut:
                pipeline = state.revive(own, state.take(pipeline, {}, {}))
        assert pipeline.retrieval is not None
        return state.take(pipeline, {}, {})

    found, expected = left(size, 130), left(1, len(items))
    assert found.meta == expected.meta
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert found.arrays[name].tobytes() == array.tobytes(), name


def test_predicting_alone_changes_nothing() -> None:
    pipeline = taught(Pipeline(settings()), 8)
    before = pipeline.model.position
    first = pipeline.step([Item(Example("a", text="topicl1"), learn=False)]).predictions[0]
    again = pipeline.step([Item(Example("a", text="topicl1"), learn=False)]).predictions[0]
    assert first == again
    assert pipeline.model.position == before
    assert pipeline.room.events == 0


def test_late_and_early_labels_join_their_event() -> None:
    pipeline = Pipeline(settings())
    out = pipeline.step([event(1), Item(Example("1", labels=("late",)))])
    assert (out.learnt, out.late_labels) == (1, ["joined"])
    out = pipeline.step([Item(Example("2", labels=("early",)))])
    assert (out.learnt, out.late_labels) == (0, ["kept"])
    assert pipeline.step([event(2)]).learnt == 1
    assert pipeline.model.labels.names == ["late", "early"]


def test_an_event_of_another_kind_fails_alone() -> None:
    pipeline = taught(Pipeline(settings()), 2, each=2)
    odd = Item(Example("odd", vector=np.ones(3, np.float32), labels=("x",)))
    out = pipeline.step([event(1, "l0"), odd, event(2, "l1")])
    assert {at: error.reason for at, error in out.failures.items()} == {1: "payload_kind"}
    assert sorted(out.predictions) == [0, 2]
    assert out.learnt == 2


@pytest.mark.parametrize("labels", [2, 40])
def test_a_described_label_is_found_before_its_first_event(labels: int) -> None:
    pipeline = taught(Pipeline(settings()), labels)
    pipeline.step([Item(Description("cold", "glaciers permafrost icebergs"))])
    assert "cold" in top(pipeline, "icebergs and glaciers")


@pytest.mark.parametrize("labels", [3, 40])
def test_a_retired_label_is_not_predicted_until_an_event_carries_it(labels: int) -> None:
    pipeline = taught(Pipeline(settings()), labels)
    pipeline.step([Item(Description("l1", None))])
    assert "l1" not in top(pipeline, "topicl1 wordl1")
    pipeline.step([event(1, "l1")])
    assert "l1" in top(pipeline, "topicl1 wordl1")


def test_a_new_label_is_in_the_index_at_once() -> None:
    pipeline = taught(Pipeline(settings(sync_events=10_000)), 40)
    assert pipeline.retrieval is not None
    pipeline.step([Item(Example("n", text="never seen words", labels=("brand new",)))])
    rows = pipeline.featurizer.row(Example("q", text="never seen words"))
    from stream.features import batch

    near = pipeline.near(batch([rows]))
    assert near is not None
    assert near.slots[0, 0] == pipeline.model.labels.slot("brand new")


def test_every_label_has_a_prototype() -> None:
    """Those that were only seen while the space was small have one too."""
    pipeline = Pipeline(settings())
    for n in range(40):
        pipeline.step([event(n, f"l{n}")])
    assert pipeline.retrieval is not None
    assert len(pipeline.retrieval.index) == 40


def test_the_kind_of_index_follows_the_size() -> None:
    pipeline = taught(Pipeline(settings(flat_limit=64, sync_events=16)), 40, each=2)
    assert pipeline.retrieval is not None
    assert pipeline.retrieval.index.kind == "flat"
    for n in range(100):
        pipeline.step([event(n, f"m{n}")])
    assert pipeline.retrieval.index.kind == "faiss_cpu"
    assert len(pipeline.retrieval.index) == 140
    assert (
        "140 labels" in pipeline.retrieval.reason or "over the limit" in pipeline.retrieval.reason
    )


def test_dense_vectors_small_and_extreme() -> None:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(30, 16)).astype(np.float32)
    for labels in (3, 30):
        pipeline = Pipeline(settings())
        for n in range(labels * 15):
            vector = centres[n % labels] + rng.normal(0, 0.2, 16).astype(np.float32)
            pipeline.step([Item(Example(str(n), vector=vector, labels=(f"l{n % labels}",)))])
        right = 0
        for n in range(labels):
            made = pipeline.step([Item(Example("q", vector=centres[n]), learn=False)])
            right += made.predictions[0].top[0].label == f"l{n}"
        assert right >= 0.9 * labels


def test_an_index_that_brings_nothing_is_asked_seldom() -> None:
    asked = {}
    for worth in (0.0, 0.5):
        pipeline = Pipeline(settings(worth=worth))
        taught(pipeline, 40, each=80)
        found = pipeline.model.index_worth
        assert found is not None
        assert found < 0.5
        learner = pipeline.model.learner
        asked[worth] = learner.state.rescorer.brought[0]  # type: ignore[union-attr]
    assert asked[0.5] < asked[0.0]


def test_new_labels_of_an_extreme_space_are_told_at_their_event() -> None:
    pipeline = Pipeline(settings())
    taught(pipeline, 40)
    start = pipeline.model.position
    out = pipeline.step([event(n, f"fresh{n}" if n % 3 else "l1") for n in range(10)])
    told = {one.scope: one.position for one in out.drift if one.kind == "new_label"}
    assert told == {f"label/fresh{n}": start + n for n in range(10) if n % 3}
