"""`BraidClassifier` under river's own estimator checks, and what they do not cover.

Run: every check that `river.checks.yield_checks` gives for a multi-label classifier, but for
`check_bounded_memory_growth`, which only compares two halves of a short stream and takes long; the
contract of bad input bounds the memory instead. river gives its checks of mini-batches
and of `predict_proba_one` to subclasses of `Classifier` alone, whose `y` is one value; the tests
below hold the same of dicts and DataFrames. The checks' own stream has to be downloaded, so they
get a drawn one of the same shape: emotions in music, six labels that follow from the features.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from river import checks, evaluate, metrics, preprocessing

from stream.learn.model import BraidClassifier

pd = pytest.importorskip("pandas")

NOT_RUN = {"check_bounded_memory_growth"}
LABELS = "amazed", "happy", "relaxing", "quiet", "sad", "angry"


def music(n: int, seed: int = 3) -> list[tuple[dict[str, float], dict[str, bool]]]:
    """Events with twenty features and six labels, one to three of them true."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n):
        x = rng.normal(size=20)
        x[:6] += 2.0 * (on := rng.random(6) < 0.35)
        named = {f"f{k}": float(value) for k, value in enumerate(x)}
        drawn.append((named, dict(zip(LABELS, on.tolist(), strict=True))))
    return drawn


def stand_in(model: Any, scale: int = 1) -> Iterator[Any]:
    yield music(50 * scale)


checks._yield_datasets = stand_in
PARAMS = list(BraidClassifier._unit_test_params())
MODELS = [BraidClassifier(**params) for params in PARAMS]
CHECKS = [
    pytest.param(model, check, id=f"{check.__name__}-{at}")
    for at, model in enumerate(MODELS)
    for check in checks.yield_checks(model)
    if check.__name__ not in NOT_RUN
]
MUSIC = music(80)


def taught(n: int = 60, **params: Any) -> BraidClassifier:
    model = BraidClassifier(**params)
    for x, y in MUSIC[:n]:
        model.learn_one(x, y)
    return model


@pytest.mark.parametrize(("model", "check"), CHECKS)
def test_rivers_checks(model: BraidClassifier, check: Any) -> None:
    check(model.clone())


def test_the_checks_are_those_that_we_think() -> None:
    """A river that brings other checks is to be noticed."""
    names = {check.__name__ for check in checks.yield_checks(MODELS[0])}
    assert {"check_learn_one", "check_shuffle_features_no_impact", "check_pickling"} <= names
    assert names > NOT_RUN
    assert len(names) >= 20


def test_progressive_validation_learns() -> None:
    f1 = metrics.multioutput.MicroAverage(metrics.F1())
    evaluate.progressive_val_score(music(300), BraidClassifier(), f1)
    assert f1.get() > 0.55


def test_in_a_pipeline() -> None:
    model = preprocessing.StandardScaler() | BraidClassifier()
    for x, y in MUSIC[:20]:
        model.learn_one(x, y)
    assert set(model.predict_one(MUSIC[0][0])) == set(MUSIC[0][1])


def test_probabilities_are_some_and_in_agreement_with_the_many() -> None:
    model = taught()
    frame = pd.DataFrame([x for x, _ in MUSIC[60:]], index=range(100, 120))
    many, sets = model.predict_proba_many(frame), model.predict_many(frame)
    assert list(many.index) == list(frame.index) == list(sets.index)
    for at, (x, y) in enumerate(MUSIC[60:]):
        one = model.predict_proba_one(x)
        assert set(one) == set(y)
        for label, p in one.items():
            assert 0 <= p[True] <= 1
            assert p[False] + p[True] == pytest.approx(1)
            assert many.iloc[at][label] == p[True]
        assert sets.iloc[at].to_dict() == model.predict_one(x)


@pytest.mark.parametrize("params", PARAMS)
def test_learning_many_is_learning_one_by_one(params: dict[str, Any]) -> None:
    one, many = taught(60, **params), BraidClassifier(**params)
    for start in range(0, 60, 17):
        part = MUSIC[start : min(start + 17, 60)]
        many.learn_many(pd.DataFrame([x for x, _ in part]), pd.DataFrame([y for _, y in part]))
    for x, _ in MUSIC[60:]:
        assert one.predict_proba_one(x) == many.predict_proba_one(x)


def test_nothing_to_learn_and_nothing_to_predict() -> None:
    model = BraidClassifier()
    model.learn_many(pd.DataFrame(), pd.DataFrame())
    assert model.predict_proba_one({"x": 1}) == {}
    assert model.predict_one("words") == {}
    assert model.predict_proba_many(pd.DataFrame()).empty
    assert model.predict_many(pd.DataFrame({"x": [1.0, 2.0]})).shape == (2, 0)


def test_labels_not_in_y_are_unknown_not_false() -> None:
    """`b` is always true where it was looked for, in half of the events."""
    silent, false = BraidClassifier(), BraidClassifier()
    for n in range(80):
        x, y = {"x": float(n % 3), "y": 1.0}, {"a": n % 3 == 0, "b": True}
        half = y if n % 2 else {"a": y["a"]}
        silent.learn_one(x, half)
        false.learn_one(x, {"b": False} | half)
    x = {"x": 1.0, "y": 1.0}
    assert silent.predict_proba_one(x)["b"][True] > 0.85
    assert false.predict_proba_one(x)["b"][True] < 0.75
    frame = pd.DataFrame({"x": [0.0, 1.0], "y": [1.0, 1.0]})
    silent.learn_many(frame, pd.DataFrame({"a": [True, False], "b": [np.nan, True]}))
    assert silent.predict_proba_one(x)["b"][True] > 0.85


def test_a_label_that_was_only_ever_false_is_not_chosen() -> None:
    model = BraidClassifier()
    model.learn_one({"x": 1}, {"never": False, "always": True})
    assert model.predict_one({"x": 1})["never"] is False
    assert model.predict_proba_one({"x": 1})["never"] == {False: 1.0, True: 0.0}
    assert model.predict_one({"x": 1})["unheard of"] is False


def test_labels_of_any_type_do_not_mix() -> None:
    model = BraidClassifier()
    for n in range(60):
        model.learn_one({"x": float(n % 2)}, {1: n % 2 == 1, "1": n % 2 == 0})
    assert model.predict_one({"x": 1.0}) == {1: True, "1": False}


@pytest.mark.parametrize(
    ("on", "off"),
    [
        ({"f": "red"}, {"f": "blue"}),
        ({"f": True}, {"f": False}),
        ({"f": np.bool_(True)}, {"f": np.bool_(False)}),
        ({"text": "river bank"}, {"text": "stock market"}),
        ("river bank", "stock market"),
        ({"text": "river bank", "n": 1.0}, {"text": "stock market", "n": 1.0}),
        ({"f": 5, "g": None}, {"f": float("nan"), "g": float("inf")}),
    ],
    ids=["words", "bools", "numpy bools", "text", "a string", "text and numbers", "odd numbers"],
)
def test_every_kind_of_value_is_learnt(on: Any, off: Any) -> None:
    model = BraidClassifier()
    for _ in range(40):
        model.learn_one(on, {"on": True, "off": False})
        model.learn_one(off, {"on": False, "off": True})
    assert model.predict_one(on) == {"on": True, "off": False}
    assert model.predict_one(off) == {"on": False, "off": True}


def test_copied_it_goes_on_the_same() -> None:
    """By the protocol that river's checks of pickling use."""
    model = taught(40)
    again = copy.deepcopy(model)
    for x, y in MUSIC[40:]:
        assert model.predict_proba_one(x) == again.predict_proba_one(x)
        model.learn_one(x, y)
        again.learn_one(x, y)


def test_river_is_not_imported_with_the_model() -> None:
    code = "import sys, stream.learn.model, stream.cli; sys.exit('river' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_other_name_is_made_up() -> None:
    import stream.learn.model as module

    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing
