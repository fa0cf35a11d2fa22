"""The contract of `Model`, run on every kind of row, with a small and an extreme learner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from stream import features
from stream.config import Learn
from stream.features import AnyRow, Rows
from stream.learn import persist
from stream.learn.model import Model
from stream.learn.ranking import Scores

KINDS = ("text", "named", "dense_named", "vector")
SIZES = {
    "small": Learn(),
    "extreme": Learn(small_labels=4, exemplar_bytes=400_000, hash_bits=12, linear_bytes=65_536),
}
GROUPS = 6
Labels = list[tuple[str, ...]]
State = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A kind of row and a size of learner."""

    kind: str
    size: str

    def model(self) -> Model:
        return Model(SIZES[self.size], 16)

    def draw(self, n: int, seed: int = 1) -> tuple[list[AnyRow], Labels]:
        """Events whose labels follow from their rows; labels come up one after the other."""
        rng = np.random.default_rng(seed)
        rows, labels = [], []
        for at in range(n):
            group = int(rng.integers(min(GROUPS, 1 + at // 4)))
            rows.append(self.row(rng, group))
            own = [f"g{group}", f"g{group}-{rng.integers(3)}"]
            labels.append(tuple(own[: rng.choice([0, 1, 2, 2, 2])]))
        return rows, labels

    def row(self, rng: np.random.Generator, group: int) -> AnyRow:
        if self.kind == "text":
            words = [f"word{group}x{k}" for k in rng.integers(0, 5, 3)]
            noise = [f"noise{k}" for k in rng.integers(0, 200, 4)]
            return features.of_text(f"{words[0]} {noise[0]}\n" + " ".join(words[1:] + noise[1:]))
        if self.kind == "named":
            own = [f"f{group}-{k}" for k in sorted(set(rng.integers(0, 4, 3).tolist()))]
            names = [*own, *(f"n{k}" for k in sorted(set(rng.integers(0, 90, 3).tolist())))]
            return features.of_values(
                features.name_hashes(names), rng.normal(1, 0.3, len(names)).astype(np.float32)
            )
        values = rng.normal(0, 0.4, 8).astype(np.float32)
        values[group % 8] += 2
        if self.kind == "vector":
            return values
        return features.of_values(features.name_hashes([f"c{k}" for k in range(8)]), values)


@pytest.fixture(params=[f"{kind}-{size}" for kind in KINDS for size in SIZES])
def case(request: pytest.FixtureRequest) -> Case:
    return Case(*str(request.param).split("-"))


def state(model: Model) -> State:
    """A copy of all that the model is."""
    arrays, meta = persist.dump(model)
    return {name: np.array(array) for name, array in arrays.items()}, meta


def assert_same(one: State, other: State) -> None:
    assert one[1] == other[1]
    assert one[0].keys() == other[0].keys()
    for name, array in one[0].items():
        assert array.dtype == other[0][name].dtype, name
        assert array.shape == other[0][name].shape, name
        assert array.tobytes() == other[0][name].tobytes(), name


def assert_sound(scores: Scores, n: int) -> None:
    assert scores.slots.shape == scores.p.shape
    assert len(scores.p) == n
    assert np.isfinite(scores.p).all()
    assert ((scores.p >= 0) & (scores.p <= 1)).all()
    assert (np.diff(scores.p, axis=1) <= 0).all()
    for slots in scores.slots:
        found = slots[slots >= 0].tolist()
        assert len(set(found)) == len(found)


def assert_equal(one: Scores, other: Scores) -> None:
    assert one.slots.tobytes() == other.slots.tobytes()
    assert one.p.tobytes() == other.p.tobytes()
    assert one.chosen.tobytes() == other.chosen.tobytes()


def taught(case: Case, n: int, seed: int = 1) -> Model:
    model = case.model()
    rows, labels = case.draw(n, seed)
    model.learn(features.batch(rows), labels)
    assert model.extreme == (case.size == "extreme")
    return model


def pieces(total: int, rng: np.random.Generator) -> Iterator[slice]:
    start = 0
    while start < total:
        stop = min(total, start + int(rng.integers(1, 40)))
        yield slice(start, stop)
        start = stop


def first(scores: Scores, names: list[str], at: int) -> str:
    slot = int(scores.slots[at, 0])
    return names[slot] if slot >= 0 else ""


def precision(case: Case, model: Model, n: int, seed: int) -> float:
    """How often the likeliest label is one of the row's group, without learning it."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(GROUPS, size=n)
    scores = model.predict(features.batch([case.row(rng, int(group)) for group in groups]))
    return float(
        np.mean(
            [
                first(scores, model.labels.names, at).startswith(f"g{group}")
                for at, group in enumerate(groups)
            ]
        )
    )


def test_predict_is_pure(case: Case) -> None:
    model = taught(case, 80)
    rows = features.batch(case.draw(20, seed=2)[0])
    before = state(model)
    one = model.predict(rows)
    assert_sound(one, 20)
    assert_equal(one, model.predict(rows))
    assert_same(before, state(model))


def test_each_row_is_predicted_for_itself(case: Case) -> None:
    model = taught(case, 80)
    rows = features.batch(case.draw(10, seed=2)[0])
    together = model.predict(rows)
    for at in range(10):
        alone = model.predict(rows.part(at, at + 1))
        assert alone.p.tobytes() == together.p[at : at + 1].tobytes()


def test_predicts_before_learning(case: Case) -> None:
    rows = features.batch(case.draw(3)[0])
    model = case.model()
    frozen = model.freeze()
    assert_sound(frozen.predict(rows), 3)
    assert_sound(model.predict(rows), 3)
    model.learn(rows, [("a",), ("b", "new"), ()])
    assert_sound(model.predict(rows), 3)


def test_labels_described_before_the_first_event(case: Case) -> None:
    """The kind of the rows is not known then."""
    rows = features.batch(case.draw(3)[0])
    model = case.model()
    for label in "abcdef":
        model.describe(label, f"the label {label}")
    frozen = model.freeze()
    assert (frozen.embed(rows) is None) == (case.kind == "vector" or case.size == "small")
    assert_sound(frozen.predict(rows), 3)
    embedded = model.embed(rows)
    assert embedded is None or embedded.shape == (3, 8 if case.kind == "vector" else 16)
    assert_sound(model.predict(rows), 3)
    model.learn(rows, [("a",), ("b", "new"), ()])
    assert_sound(model.predict(rows), 3)


def test_many_equals_one_and_any_cut(case: Case) -> None:
    rows, labels = case.draw(150)
    whole, single, random = case.model(), case.model(), case.model()
    said = whole.learn(features.batch(rows), labels)
    one_by_one = []
    for row, names in zip(rows, labels, strict=True):
        one_by_one += single.learn(features.batch([row]), [names])
    for piece in pieces(150, np.random.default_rng(3)):
        random.learn(features.batch(rows[piece]), labels[piece])
    assert said == one_by_one
    assert_same(state(whole), state(single))
    assert_same(state(whole), state(random))


def test_a_label_back_from_retirement_does_not_depend_on_the_cut(case: Case) -> None:
    rows, labels = case.draw(60)
    more, names = case.draw(12, seed=5)
    names[9] = ("g0", "g1")
    names[:9] = [("g1",)] * 9
    models = [case.model(), case.model()]
    for model in models:
        model.learn(features.batch(rows), labels)
        model.describe("g0", None)
    models[0].learn(features.batch(more), names)
    for row, given in zip(more, names, strict=True):
        one = features.batch([row])
        models[1].predict(one)
        models[1].learn(one, [given])
    assert_same(state(models[0]), state(models[1]))


def test_predict_then_learn_is_learning_alone(case: Case) -> None:
    rows, labels = case.draw(150)
    plain, fresh = case.model(), case.model()
    for row, names in zip(rows, labels, strict=True):
        one = features.batch([row])
        plain.learn(one, [names])
        assert_sound(fresh.predict(one), 1)
        fresh.learn(one, [names])
    assert_same(state(plain), state(fresh))


def test_other_rows_in_between_do_not_count(case: Case) -> None:
    """What was predicted last is used again only for the very rows that are learnt."""
    plain, mixed = taught(case, 80), taught(case, 80)
    rows, labels = case.draw(30, seed=4)
    other = features.batch(case.draw(2, seed=9)[0])
    for row, names in zip(rows, labels, strict=True):
        one = features.batch([row])
        plain.learn(one, [names])
        mixed.predict(one)
        mixed.embed(other.part(0, 1))
        mixed.freeze().predict(other)
        mixed.learn(one, [names])
    assert_same(state(plain), state(mixed))


def test_snapshot_round_trip_goes_on_the_same(case: Case) -> None:
    """Also over every growth that comes later, of labels, partitions and columns."""
    model = taught(case, 77)
    model.describe("g1-0", None)
    model.describe("word", "a label in words")
    arrays, meta = state(model)
    again = case.model()
    persist.load(again, arrays, meta)
    assert_same((arrays, meta), state(again))
    rows, labels = case.draw(120, seed=6)
    step = 15 if case.size == "extreme" else 3
    labels = [(*names, *(f"more{at}-{k}" for k in range(step))) for at, names in enumerate(labels)]
    batch = features.batch(rows)
    assert_equal(model.predict(batch), again.predict(batch))
    assert model.learn(batch, labels) == again.learn(batch, labels)
    assert_same(state(model), state(again))


def test_labels_come_vanish_retire_and_return(case: Case) -> None:
    model = case.model()
    rng = np.random.default_rng(1)

    def teach(groups: list[int], n: int) -> None:
        drawn = [groups[at % len(groups)] for at in range(n)]
        rows = features.batch([case.row(rng, group) for group in drawn])
        model.learn(rows, [(f"g{group}", "every") for group in drawn])

    teach([0, 1, 2, 3, 4, 5], 90)
    teach([1, 2], 120)  # the others vanish
    probe = features.batch([case.row(rng, 0)])
    assert_sound(model.predict(probe), 1)
    assert model.describe("g0", None) == []
    gone = model.labels.slot("g0")
    frozen = model.freeze()
    for scores in (model.predict(probe), frozen.predict(probe)):
        p = dict(zip(scores.slots[0].tolist(), scores.p[0].tolist(), strict=True))
        assert p.get(gone, 0.0) == 0.0
    teach([0], 30)
    assert gone not in model.labels.retired
    assert gone in model.predict(probe).slots[0, :2]
    scores = frozen.predict(probe)
    p = dict(zip(scores.slots[0].tolist(), scores.p[0].tolist(), strict=True))
    assert p.get(gone, 0.0) == 0.0


def test_retired_before_the_space_grew_large_stays_out(case: Case) -> None:
    model = case.model()
    rng = np.random.default_rng(1)
    rows = features.batch([case.row(rng, at % 2) for at in range(40)])
    model.learn(rows, [(f"g{at % 2}",) for at in range(40)])
    model.describe("g0", None)
    model.learn(rows.part(1, 2), [tuple("abcde")])
    assert model.extreme == (case.size == "extreme")
    scores = model.predict(rows.part(0, 1))
    p = dict(zip(scores.slots[0].tolist(), scores.p[0].tolist(), strict=True))
    assert p.get(0, 0.0) == 0.0


@pytest.mark.parametrize(
    "labels",
    [("only",), tuple("abcdefgh"), (), ("a", "a", "b")],
    ids=["one", "all", "none", "twice"],
)
def test_the_same_labels_in_every_event(case: Case, labels: tuple[str, ...]) -> None:
    model = case.model()
    rows = features.batch(case.draw(60)[0])
    model.learn(rows, [labels] * 60)
    scores = model.predict(rows)
    assert_sound(scores, 60)
    known = len(set(labels))
    if known:
        assert (scores.p[:, :known] > 0.5).all()
    assert model.learn(rows.part(0, 1), [labels]) == []


def test_learns_what_is_planted(case: Case) -> None:
    model = taught(case, 300)
    assert precision(case, model, 60, seed=8) > 0.8


def test_crossing_to_extreme_keeps_what_was_learnt(case: Case) -> None:
    if case.size == "small":
        pytest.skip("the small learner stays")
    model = Model(SIZES["extreme"].model_copy(update={"small_labels": 24}), 16)
    rows, labels = case.draw(240)
    model.learn(features.batch(rows), labels)
    assert not model.extreme
    before = precision(case, model, 60, seed=8)
    model.learn(features.batch(rows[-1:]), [tuple(f"new{k}" for k in range(8))])
    assert model.extreme
    assert precision(case, model, 60, seed=8) > before - 0.15
    assert len(model.recent) == 0


def test_freeze_answers_as_then(case: Case) -> None:
    """Also in memory taken from an older one, across growth and from small to extreme."""
    rows, labels = case.draw(200)
    probe = features.batch(case.draw(5, seed=3)[0])
    model = case.model()
    spare = None
    for start in range(0, 200, 25):
        model.learn(features.batch(rows[start : start + 25]), labels[start : start + 25])
        then = model.predict(probe)
        frozen = model.freeze(spare)
        known = len(model.labels)
        model.learn(features.batch(rows[::9]), [(*names, f"late{start}") for names in labels[::9]])
        model.describe("g0", "words" if start % 2 else None)
        assert_equal(frozen.predict(probe), then)
        assert frozen.known == known == len(frozen.counts)
        assert frozen.position == start + 25 + 23 * (start // 25)
        spare = frozen


def test_no_score_is_ever_nan(case: Case) -> None:
    """Rows that say nothing, too much and too little, between ordinary ones."""
    model = taught(case, 40)
    rng = np.random.default_rng(4)
    for at in range(120):
        row = case.row(rng, at % GROUPS)
        factor = np.float32([1, 0, 1e30, 1e-30, -1e30, 1e-42][at % 6])
        if isinstance(row, tuple) and case.kind == "text":
            row = features.of_text(["", "x", "new" * at, "same " * 3_000, "a\n", "\n\n"][at % 6])
        elif isinstance(row, tuple):
            hashes, values, *_ = row
            row = features.of_values(hashes, values * factor)
        else:
            row = row * factor
        one: Rows = features.batch([row])
        assert_sound(model.predict(one), 1)
        model.learn(one, [(f"g{at % GROUPS}",)])
    assert_sound(model.predict(features.batch(case.draw(20)[0])), 20)
    for name, array in state(model)[0].items():
        assert array.dtype.kind != "f" or np.isfinite(array).all(), name
