"""Exemplars read back as rows: what was learnt, of which labels, how much of it."""

from __future__ import annotations

import numpy as np
import pytest

from stream import features
from stream.config import Index, Settings
from stream.generations import filling
from stream.generations.resting import Contents
from stream.learn.encoder.encoders import Bag, Residual, quantised
from stream.learn.encoder.lessons import remembered
from stream.learn.extreme.learner import ExtremeLearner
from stream.pipeline import Item, Pipeline
from stream.types import Description, Example
from tests.generations_harness import TINY

LABELS, EACH, WIDTH = 12, 3, 16


def example(n: int, dense: bool) -> Example:
    """Event n, of label n modulo LABELS and of one that all have."""
    labels = (f"l{n % LABELS}", "all")
    if dense:
        row = np.random.default_rng(n).normal(size=WIDTH).astype(np.float32)
        return Example(str(n), vector=row, labels=labels)
    return Example(str(n), text=f"word{n} topic{n % LABELS} thing{n % 5}", labels=labels)


def taught(dense: bool = False) -> Pipeline:
    pipeline = Pipeline(Settings(learn=TINY, index=Index(dimension=64, worth=0)))
    pipeline.step([Item(example(n, dense)) for n in range(EACH * LABELS)])
    return pipeline


def learner_of(pipeline: Pipeline) -> ExtremeLearner:
    learner = pipeline.model.learner
    assert isinstance(learner, ExtremeLearner)
    return learner


def mask(pipeline: Pipeline, *names: str) -> np.ndarray:
    wanted = np.zeros(len(pipeline.model.labels), np.bool_)
    wanted[[pipeline.model.labels.slot(name) for name in names]] = True
    return wanted


def numbers(pipeline: Pipeline, found: object, row: int) -> set[str]:
    labels = found.labels[found.bounds[row] : found.bounds[row + 1]]  # type: ignore[attr-defined]
    return {pipeline.model.labels.names[slot] for slot in labels.tolist()}


@pytest.mark.parametrize("dense", [False, True])
def test_rows_come_back_as_they_were_learnt(dense: bool) -> None:
    pipeline = taught(dense)
    learner = learner_of(pipeline)
    found = remembered(learner, mask(pipeline, "l4"), 100, 100)
    assert len(found) == EACH
    rows = features.batch(
        [pipeline.featurizer.row(example(4 + LABELS * k, dense)) for k in range(3)]
    )
    assert [numbers(pipeline, found, k) for k in range(EACH)] == [{"l4", "all"}] * EACH
    if dense:
        np.testing.assert_allclose(found.inputs.dense, learner.embed(rows), atol=1e-6)
        return
    slot, _, n = learner.weighed(rows)
    assert found.inputs.slot.shape == slot.shape
    for k in range(EACH):  # the idf has moved on since
        assert set(found.inputs.slot[k, : found.inputs.n[k]]) == set(slot[k, : n[k]])
        assert np.linalg.norm(found.inputs.weight[k]) == pytest.approx(1, abs=1e-5)


def test_enough_is_enough() -> None:
    pipeline = taught()
    learner = learner_of(pipeline)
    everything = np.ones(len(pipeline.model.labels), np.bool_)
    assert len(remembered(learner, everything, 1_000, 1_000)) == EACH * LABELS
    newest = remembered(learner, everything, 1_000, 5)
    assert [numbers(pipeline, newest, k) for k in range(5)] == [
        {f"l{n}", "all"} for n in range(LABELS - 5, LABELS)
    ]
    assert len(remembered(learner, everything, 1, 1_000)) == LABELS
    assert len(remembered(learner, np.zeros_like(everything), 1, 1_000)) == 0


def test_what_is_retired_or_forgotten_does_not_come_back() -> None:
    pipeline = taught()
    learner = learner_of(pipeline)
    pipeline.step([Item(Description("l4", None))])
    found = remembered(learner, mask(pipeline, "all"), 1_000, 1_000)
    told = [numbers(pipeline, found, k) for k in range(len(found))]
    assert len(told) == EACH * LABELS
    assert {"l4", "all"} not in told
    slot = pipeline.model.labels.slot("l5")
    assert slot is not None
    learner.react(np.array([slot]), 3.0, values=1)
    assert len(remembered(learner, mask(pipeline, "l5"), 1_000, 1_000)) == 1


def test_a_text_alone_does_not_replace_what_was_trained() -> None:
    """Of a label whose exemplars have gone, unlike of one that has some or was never trained."""
    pipeline = taught()
    pipeline.step([Item(Description(name, f"called {name}")) for name in ("l1", "l2", "l3")])
    slots = pipeline.model.labels.slots_of_names(["l1", "l2", "l3"])
    exemplars = learner_of(pipeline).state.exemplars
    exemplars.n[(exemplars.label == slots[0]).any(axis=1)] = 0
    more = filling.others(pipeline.model, slots[:2], slots[:2])
    assert {slots[1], slots[2]} <= {*more.lessons.labels.tolist()}
    assert slots[0] not in more.lessons.labels


@pytest.mark.parametrize("dense", [False, True])
def test_a_generation_has_prototypes_of_labels_that_training_does_not_know(dense: bool) -> None:
    """More exemplars than are embedded together; of each label the mean of its own."""
    pipeline = Pipeline(Settings(learn=TINY, index=Index(dimension=64, worth=0)))
    pipeline.step([Item(example(n, dense)) for n in range(1_500)])
    learner, labels = learner_of(pipeline), pipeline.model.labels
    draw = np.random.default_rng(3)
    if dense:
        shapes = (8, WIDTH), (8,), (24, 8), (24, WIDTH)
        encoder: Bag | Residual = Residual(
            *(draw.normal(size=shape).astype("f4") for shape in shapes)
        )
    else:
        encoder = quantised(draw.normal(size=(1 << 12, 24)).astype(np.float32))
    known = np.array([labels.slot(f"l{n}") for n in range(5)])
    more = filling.others(pipeline.model, known, known[:0])
    none = Contents(np.zeros(0, np.int64), np.zeros((0, 24), np.float32), np.zeros(0, np.float32))
    made = filling.filled(Index(kind="flat"), encoder, 1, none, more).prototypes
    names = [f"l{n}" for n in range(5, LABELS)]
    slots = labels.slots_of_names([*names, "all"])
    assert sorted(made.ids.tolist()) == sorted(labels.ids_of(slots).tolist())
    for name in names:
        lessons = remembered(learner, mask(pipeline, name), 8, 1_500)
        rows = filling.of_inputs(encoder, lessons.inputs)
        mean = rows.sum(axis=0) / np.linalg.norm(rows.sum(axis=0))
        (at,) = labels.ids_of(labels.slots_of_names([name]))
        np.testing.assert_allclose(made.vectors(np.array([at]))[0], mean, atol=0.02)
        assert made.weights(np.array([at])) == [8]
