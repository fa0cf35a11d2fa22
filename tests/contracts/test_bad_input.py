"""What a stream may do to a learner: no exception, no NaN in any score or state, bounded memory.

The million events without a label are not learnt one by one: what they leave behind is. Counters
and decays are moved as far as a million negatives would move them, by their closed forms, from a
state that a thousand such events have brought about; the next events are learnt as usual.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream import features
from stream.config import Learn, Settings
from stream.learn import persist
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.extreme.state import EVENTS as EXTREME_EVENTS
from stream.learn.model import Model
from stream.learn.small.learner import SmallLearner
from stream.learn.small.state import EVENTS
from stream.pipeline import Item, Pipeline
from stream.types import Example, Prediction

TINY = {"exemplar_bytes": 400_000, "hash_bits": 12, "linear_bytes": 65_536}
SIZES = {"small": Learn(), "extreme": Learn(small_labels=2, **TINY)}  # type: ignore[arg-type]
MILLION = 1_000_000


@pytest.fixture(params=SIZES)
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return Pipeline(Settings(learn=SIZES[str(request.param)]))


def assert_sound(pipeline: Pipeline, made: Prediction) -> None:
    scores = [one.score for one in made.top]
    assert all(0.0 <= score <= 1.0 for score in scores)
    for name, array in persist.dump(pipeline.model)[0].items():
        assert array.dtype.kind != "f" or np.isfinite(array).all(), name


def feed(pipeline: Pipeline, events: list[Example]) -> Prediction:
    """Predict and learn each; the last prediction, all being sound."""
    made = None
    for event in events:
        out = pipeline.step([Item(event)])
        assert not out.failures
        assert out.learnt == (event.labels is not None)
        made = out.predictions[0]
        assert all(0.0 <= one.score <= 1.0 for one in made.top)
    assert made is not None
    assert_sound(pipeline, made)
    return made


def size(pipeline: Pipeline) -> int:
    return sum(np.asarray(part).nbytes for part in persist.dump(pipeline.model)[0].values())


def named(values: list[dict[str, float]], labels: list[tuple[str, ...]]) -> list[Example]:
    return [
        Example(str(at), features=own, labels=given)
        for at, (own, given) in enumerate(zip(values, labels, strict=True))
    ]


ABC = [("a", "b"), ("b",), ("c", "a"), ("d", "b")]
ODD = {
    "constant": lambda at: {"always": 5.0, "x": float(at % 4)},
    "constant and nothing else": lambda at: {"always": 5.0},
    "huge": lambda at: {"x": [1.0, 2.9e38, -2.9e38, 1e-40][at % 4], "y": float(at % 4)},
    "missing": lambda at: {f"x{k}": float(at % 4 + k) for k in range(6) if (at + k) % 3},
    "new": lambda at: {f"new {at}": 1.0, "x": float(at % 4), "y": 2.0},
    "new and huge": lambda at: {f"new {at}": 2.9e38 * (-1) ** at},
    "none": lambda at: {},
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_features(pipeline: Pipeline, kind: str) -> None:
    events = named([ODD[kind](at) for at in range(240)], [ABC[at % 4] for at in range(240)])
    feed(pipeline, events)


def test_a_feature_turns_huge_and_goes_after_a_while(pipeline: Pipeline) -> None:
    """And what the others say is still learnt."""
    values = [{"x": float(at % 4 == 0), "y": float(at % 4 == 1), "z": 1.0} for at in range(320)]
    for at in range(80, 120):
        values[at]["w"] = 2.9e38
    for at in range(160, 320):
        del values[at]["z"]
    feed(pipeline, named(values, [("a",) if at % 4 == 0 else ("b",) for at in range(320)]))
    asked = Item(Example("q", features={"x": 1.0, "y": 0.0}), learn=False)
    first = pipeline.step([asked]).predictions[0].top[0].label
    assert first == "a"


def test_vectors_of_zeros_and_of_huge_numbers(pipeline: Pipeline) -> None:
    rows = [np.zeros(5), np.full(5, 2.9e38), np.full(5, -2.9e38), np.full(5, 1e-40)]
    feed(
        pipeline,
        [
            Example(str(at), vector=rows[at % 4].astype(np.float32), labels=ABC[at % 3])
            for at in range(200)
        ],
    )


def test_labels_without_features(pipeline: Pipeline) -> None:
    """Empty texts and objects; the labels' rates are all there is to learn."""
    events = [
        Example(str(at), text="", labels=("often",) if at % 10 else ("often", "seldom", "third"))
        if at % 2
        else Example(str(at), features={}, labels=("often", "other"))
        for at in range(200)
    ]
    made = feed(pipeline, events)
    p = {one.label: one.score for one in made.top}
    assert p.get("often", 0.0) >= p.get("seldom", 0.0)


def test_one_label_alone(pipeline: Pipeline) -> None:
    """In every event, then in none, with features that say when."""
    feed(pipeline, [Example(str(n), text=f"w{n % 3}", labels=("only",)) for n in range(120)])
    assert [one.label for one in pipeline.step([Item(Example("q", text="w1"), learn=False)])
            .predictions[0].top] == ["only"]  # fmt: skip
    feed(pipeline, [Example(str(n), text="without", labels=()) for n in range(120)])
    without = pipeline.step([Item(Example("q", text="without"), learn=False)]).predictions[0]
    assert without.chosen == ()


def test_every_event_has_all_labels(pipeline: Pipeline) -> None:
    labels = tuple(f"l{k}" for k in range(40))
    made = feed(pipeline, [Example(str(n), text=f"w{n % 5} x", labels=labels) for n in range(150)])
    # Of an event an extreme space keeps 16 labels as an exemplar, so its shortlists hold fewer.
    assert len(made.chosen) >= (16 if pipeline.model.extreme else 40)
    assert min(one.score for one in made.top) > 0.5
    before = size(pipeline)
    feed(pipeline, [Example(str(n), text=f"w{n % 5} x", labels=labels) for n in range(150)])
    assert size(pipeline) <= 1.05 * before


def test_new_features_for_ever_take_bounded_memory() -> None:
    """The posting pool and the exemplars of an extreme space are full after some hundred."""
    settings = Settings(learn=SIZES["extreme"])
    pipeline = Pipeline(settings)

    def stretch(start: int) -> None:
        feed(
            pipeline,
            [
                Example(str(n), text=" ".join(f"new{n}x{k}" for k in range(20)), labels=ABC[n % 4])
                for n in range(start, start + 400)
            ],
        )

    stretch(0)
    stretch(400)
    before = size(pipeline)
    stretch(800)
    assert size(pipeline) <= 1.02 * before


def vanish(model: Model, slot: int, n: int) -> None:
    """Move the counters and decays of a label as `n` events without it would."""
    learner = model.learner
    model.position += n - n % 16
    if isinstance(learner, SmallLearner):
        memory = learner.state.memory
        learner.state.sizes[EVENTS] += n
        learner.state.columns.df[:] = np.minimum(
            learner.state.columns.df.astype(np.int64) * (n // 1_000), 2**32 - 1
        )
        memory.ema[0, slot] *= np.float32(0.8) ** n
        memory.ema[1, slot] *= np.float32(0.95) ** n
        memory.last[slot] = 0
        memory.mcount[:, slot] = 0
    else:
        assert isinstance(learner, ExtremeLearner)
        learner.state.sizes[EXTREME_EVENTS] += n
        learner.state.labels.shown[slot] = 100.0  # Σ 0.99^k
        learner.state.labels.hit[slot] = 0.0
    model.suspicion.state.sizes[0] += n


def test_a_label_that_vanishes_for_a_million_events(pipeline: Pipeline) -> None:
    def event(n: int, label: str) -> Example:
        return Example(str(n), text=f"own{label} word{label} common", labels=(label, "other"))

    feed(pipeline, [event(n, "gone" if n % 2 else f"l{n % 3}") for n in range(200)])
    feed(pipeline, [event(n, f"l{n % 3}") for n in range(1_000)])
    slot = pipeline.model.labels.slot("gone")
    assert slot is not None
    vanish(pipeline.model, slot, MILLION - 1_000)
    made = feed(pipeline, [event(n, f"l{n % 3}") for n in range(60)])
    p = {one.label: one.score for one in made.top}
    assert p.get("gone", 0.0) < 0.1
    feed(pipeline, [event(n, "gone") for n in range(60)])  # and it comes back
    asked = Item(Example("q", text="owngone wordgone common"), learn=False)
    top = [one.label for one in pipeline.step([asked]).predictions[0].top[:2]]
    assert "gone" in top


def test_the_clocks_of_partitions_hold_for_millions_of_events() -> None:
    """Their rates are inflated by a growth factor, which must be brought back in time."""
    model = Model(Learn(), 8)
    row = features.stack([features.of_text("x")])
    model.learn(row, [("a", "b")])
    state = model.partitioner.state
    state.growth[0] = 1e200 / 1.0001  # where a million and more events take it
    state.growth[1] = 1e200 * 10
    state.labels.rate[:2] = 1e200
    for _ in range(400):
        model.learn(row, [("a", "b")])
    assert state.growth[0] < 1e190
    assert np.isfinite(state.labels.rate).all()
    scores: Any = model.predict(row)
    assert (scores.p > 0.5).all()
