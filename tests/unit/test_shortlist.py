"""Candidates of the extreme learner: by name, by parts of a name, by title."""

from __future__ import annotations

import numpy as np
import pytest

from stream import features
from stream.config import EXTREME_PARTS, Learn
from stream.learn import persist
from stream.learn.model import Model
from stream.scores import Tally
from stream.types import Prediction, Scored

LARGE = Learn(small_labels=4, exemplar_bytes=400_000, hash_bits=12, linear_bytes=65_536)


def taught(settings: Learn = LARGE) -> Model:
    model = Model(settings, 8)
    texts = [f"title{at % 9}x of it\nword{at % 7} noise{at}" for at in range(90)]
    labels = [(f"l{at % 9}",) for at in range(90)]
    model.learn(features.batch([features.of_text(text) for text in texts]), labels)
    assert model.extreme
    return model


def found(model: Model, text: str) -> set[str]:
    slots = model.predict(features.batch([features.of_text(text)])).slots[0]
    return {model.labels.names[slot] for slot in slots if slot >= 0}


def test_a_label_without_events_is_found_by_its_name() -> None:
    model = taught(LARGE.model_copy(update={"without": "descriptions"}))
    model.describe("new", "Wärmeinsel")
    assert "new" in found(model, "unheard of Wärmeinseln")
    assert "new" in found(model, "wärmeinselforschung")  # by its first letters
    assert "new" not in found(model, "unheard of")
    model.describe("new", "Kometenbahn")
    assert "new" not in found(model, "Wärmeinsel")
    assert "new" in found(model, "Kometenbahn")
    arrays, meta = persist.dump(model)
    again = Model(LARGE, 8)
    persist.load(again, {name: np.array(array) for name, array in arrays.items()}, meta)
    assert "new" in found(again, "Kometenbahn")
    model.describe("new", None)
    assert "new" not in found(model, "Kometenbahn")
    assert "new" in found(again, "Kometenbahn")


def test_a_name_that_is_never_right_is_shut_out() -> None:
    model = taught(LARGE.model_copy(update={"without": "descriptions,name_parts"}))
    model.describe("new", "of")
    assert "new" in found(model, "of")
    rows = features.batch([features.of_text(f"of word{at % 7}") for at in range(120)])
    model.learn(rows, [(f"l{at % 9}",) for at in range(120)])
    assert "new" not in found(model, "of")


def test_many_names_are_many_candidates_at_most() -> None:
    model = taught()
    for at in range(400):
        model.describe(f"n{at}", f"name{at}")
    every = " ".join(f"name{at}" for at in range(400))
    assert len(found(model, every)) <= 192
    model.learn(features.batch([features.of_text(every)]), [("n7",)])


def test_names_are_learnt_the_same_however_a_stream_is_cut() -> None:
    texts = [f"name{at % 7} title{at % 9}\nname{at % 30} of noise{at}" for at in range(120)]
    rows = [features.of_text(text) for text in texts]
    labels = [(f"n{at % 7}",) for at in range(120)]
    models = [taught(), taught()]
    for model in models:
        for at in range(40):
            model.describe(f"n{at}", f"name{at}")
    models[0].learn(features.batch(rows), labels)
    for row, own in zip(rows, labels, strict=True):
        one = features.batch([row])
        models[1].predict(one)
        models[1].learn(one, [own])
    whole, single = (persist.dump(model)[0] for model in models)
    for name, array in whole.items():
        assert np.asarray(array).tobytes() == np.asarray(single[name]).tobytes(), name


def test_alike_titles_vote() -> None:
    model = taught()
    rows = features.batch([features.of_text("title3x of it\nquite other")])
    model.predict(rows)
    learner = model.learner
    with_titles = learner._scratch.x[:, 24].sum()  # type: ignore[union-attr]
    assert with_titles > 0.9


@pytest.mark.parametrize("part", EXTREME_PARTS)
def test_any_part_can_be_left_out(part: str) -> None:
    model = taught(LARGE.model_copy(update={"without": part}))
    model.describe("new", "word3")
    scores = model.predict(features.batch([features.of_text("title3x of it\nword3")]))
    assert np.isfinite(scores.p).all()


def test_calibration_is_that_of_the_later_half() -> None:
    tally = Tally(["a", "b"])
    for at in range(200):
        score = 0.9 if at < 100 else 0.5
        made = Prediction("x", (Scored("a", score),), (), 0)
        tally.add(made, ["a"] if at % 2 else ["b"])
    assert tally.full()["calibration_error"] == pytest.approx(0.0)
    tally = Tally(["a"])
    for _ in range(10):
        tally.add(Prediction("x", (Scored("a", 0.8),), (), 0), ["a"])
    assert tally.full()["calibration_error"] == pytest.approx(0.2)
    assert Tally([]).full()["calibration_error"] == 0
