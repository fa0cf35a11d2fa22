"""The model where something is full, new, of another kind, or decided early."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream import features
from stream.config import Learn
from stream.features import Row
from stream.learn import persist
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.extreme.state import FREE, RING
from stream.learn.model import Model, Near
from stream.learn.small import learner as small
from stream.learn.small import neighbours
from stream.learn.small.learner import SmallLearner
from stream.learn.small.state import COLUMNS, STORED, WINDOW, capacities, make
from stream.types import DriftEvent

LARGE = Learn(small_labels=4, exemplar_bytes=400_000, hash_bits=12, linear_bytes=65_536)


def named(names: list[str], values: list[float] | None = None) -> Row:
    numbers = np.ones(len(names)) if values is None else np.array(values)
    return features.of_values(features.name_hashes(names), numbers.astype(np.float32))


def learn(model: Model, rows: list[Any], labels: list[tuple[str, ...]]) -> list[DriftEvent]:
    return model.learn(features.batch(rows), labels)


def size(model: Model) -> int:
    """Bytes of the learner and the partitions."""
    arrays = model.learner.arrays() | model.partitioner.arrays() | model.drift.arrays()
    fixed = [array.nbytes for name, array in arrays.items() if "terms." not in name]
    return sum(fixed)


def arrays(model: Model) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in persist.dump(model)[0].items()}


def extreme(model: Model) -> ExtremeLearner:
    assert isinstance(model.learner, ExtremeLearner)
    return model.learner


def test_named_features_are_dense_where_most_are_there() -> None:
    def dense_after(rows: list[Row]) -> bool:
        model = Model(Learn(), 8)
        learn(model, rows, [("a",)] * len(rows))
        assert isinstance(model.learner, SmallLearner)
        return model.learner.dense

    full = [named(["x", "y", "z"], [k, 1, 2]) for k in range(64)]
    assert dense_after(full)
    assert dense_after([*full[:31], named([]), *full[32:]])  # nothing to see at a decision
    assert not dense_after([named([f"x{k}", "y"]) for k in range(64)])
    assert not dense_after([features.of_text("one word")] * 64)
    assert dense_after([*full[:63], features.of_text("word")])  # the last look sees words alone
    assert not dense_after([features.of_text("one word"), *[named([])] * 10])
    assert dense_after(full[:1])


def test_hundreds_of_labels_and_columns_come_one_by_one() -> None:
    model = Model(Learn(), 8)
    for k in range(300):
        row = features.of_text(f"word{k} thing{k} common")
        events = learn(model, [row], [(f"l{k}",)])
        assert [event.kind for event in events[:1]] == ["new_label"]
        learn(model, [row] * 2, [(f"l{k}",)] * 2)
    assert len(model.labels) == model.learner.labels == 300
    hit = 0
    for k in range(0, 300, 10):
        scores = model.predict(features.batch([features.of_text(f"word{k} thing{k} common")]))
        assert scores.p.shape == (1, 300)
        hit += int(scores.slots[0, 0] == k)
    assert hit >= 27


def test_columns_are_shared_when_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small, "BUDGET", 0)  # then there are 1,024
    own = np.random.default_rng(6).choice(["a", "b"], 80).tolist()
    labels = [(name,) for name in own]
    rows = [
        named([f"n{k}-{at}" for k in range(30)] + [f"own{name}"]) for at, name in enumerate(own)
    ]
    whole, single = Model(Learn(), 8), Model(Learn(), 8)
    learn(whole, rows, labels)
    for row, names in zip(rows, labels, strict=True):
        learn(single, [row], [names])
    assert arrays(whole) == arrays(single)
    assert isinstance(whole.learner, SmallLearner)
    assert whole.learner.state.sizes[COLUMNS] == len(whole.learner.state.columns.df) == 1_024
    before = size(whole)
    learn(whole, [named([f"more{k}-{at}" for k in range(90)]) for at in range(40)], labels[:40])
    assert size(whole) == before
    scores = whole.predict(features.batch([named(["owna"]), named(["ownb"]), named(["never"])]))
    names = [whole.labels.names[slot] for slot in scores.slots[:2, 0]]
    assert names == ["a", "b"]
    assert np.isfinite(scores.p).all()


@pytest.mark.parametrize("kind", ["text", "vector"])
def test_memory_is_bounded_where_exemplars_wrap(kind: str) -> None:
    """And the newest count: the meaning of rows changes half way."""
    model = Model(LARGE, 8)
    rng = np.random.default_rng(1)

    def rows(n: int) -> list[Any]:
        if kind == "text":
            return [features.of_text(f"word{at % 8} noise{rng.integers(999)}") for at in range(n)]
        return [np.eye(8, dtype=np.float32)[at % 8] + rng.normal(0, 0.1, 8) for at in range(n)]

    def teach(shift: int) -> None:
        made = [row if isinstance(row, tuple) else row.astype(np.float32) for row in rows(640)]
        learn(model, made, [(f"l{(at + shift) % 8}",) for at in range(640)])

    teach(0)
    before = size(model)
    teach(3)
    assert size(model) == before
    assert extreme(model).state.sizes[2] == 1_280  # five times around
    probe = [row if isinstance(row, tuple) else row.astype(np.float32) for row in rows(8)]
    scores = model.predict(features.batch(probe))
    names = [model.labels.names[slot] for slot in scores.slots[:, 0]]
    assert sum(name == f"l{(at + 3) % 8}" for at, name in enumerate(names)) >= 7


def test_a_spent_posting_pool_keeps_its_rings_apart() -> None:
    model = Model(LARGE, 8)
    rng = np.random.default_rng(2)
    rows = [
        named([f"n{k}" for k in np.minimum(rng.zipf(1.1, 90), 9_000)], list(rng.random(90) + 0.1))
        for _ in range(900)
    ]
    labels = [(f"l{at % 9}",) for at in range(900)]
    for start in range(0, 900, 300):
        learn(model, rows[start : start + 300], labels[start : start + 300])
        probe = features.batch(rows[start : start + 3])
        now, frozen = model.predict(probe), model.freeze()
        assert frozen.predict(probe).p.tobytes() == now.p.tobytes()
        terms, sizes = extreme(model).state.terms, extreme(model).state.sizes
        held = np.zeros(len(terms.seq), np.int64)
        for at, width in zip(terms.at.tolist(), terms.size.tolist(), strict=True):
            held[at : at + width] += 1
        for level, head in enumerate(terms.free.tolist()):
            at = head
            while at >= 0:
                held[at : at + (4 << level)] += 1
                at = int(terms.seq[at]) - 1
        assert held.max() == 1
        assert held[: sizes[FREE]].all()
        assert terms.size.max() <= RING
    assert sizes[FREE] > len(terms.seq) - 256
    room = model.freeze(model.freeze())
    learn(model, rows[:50], labels[:50])
    assert room.predict(probe).p.tobytes() == now.p.tobytes()


def test_what_another_index_found_is_not_taken_for_seen() -> None:
    models = [Model(LARGE, 8), Model(LARGE, 8)]
    rows = [features.of_text(f"word{at % 9} more{at}") for at in range(60)]
    near = Near(np.array([[7, -1, 99]], np.int32), np.array([[0.9, 0, 0.5]], np.float32))
    for model in models:
        learn(model, rows[:40], [(f"l{at % 9}",) for at in range(40)])
    for row in rows[40:]:
        one = features.batch([row])
        models[0].learn(one, [("l1",)], near)
        models[1].predict(one)
        models[1].learn(one, [("l1",)], near)
    assert arrays(models[0]) == arrays(models[1])


def test_rows_of_another_kind_say_nothing() -> None:
    """A request may bring them before the view knows the kind."""
    text = features.batch([features.of_text("river water")])
    vector = features.batch([np.ones(3, np.float32)])
    wide = features.batch([np.ones(5, np.float32)])
    for settings in (Learn(), LARGE):
        for own, others in ((text, (vector,)), (vector, (text, wide))):
            model = Model(settings, 8)
            model.learn(own, [tuple("abcdef")])
            model.learn(own, [("a",)])
            frozen = model.freeze()
            blank = features.blank(1, own.width)
            for scorer in (model, frozen):
                expected = scorer.predict(blank).p.tobytes()
                for other in others:
                    assert scorer.embed(other) is None
                    assert scorer.predict(other).p.tobytes() == expected


@pytest.mark.parametrize("settings", [Learn(), LARGE], ids=["small", "extreme"])
def test_a_label_vanishes_for_a_million_events(settings: Learn) -> None:
    model = Model(settings, 8)
    row = features.of_text("river water")
    learn(model, [row] * 20, [tuple("abcdef")] * 20)
    model.learner.state.sizes[0] += 1_000_000  # events
    model.learner.state.sizes[STORED if settings is not LARGE else 2] += 1_000_000
    one = features.batch([row])
    for labels in [("b",), (), ("a",)] * 20:
        assert np.isfinite(model.predict(one).p).all()
        model.learn(one, [labels])
    assert 0 in model.predict(one).slots[0, :2]


@pytest.mark.parametrize("settings", [Learn(), LARGE], ids=["small", "extreme"])
def test_a_row_of_thousands_of_features(settings: Learn) -> None:
    model = Model(settings, 8)
    for k in range(3):
        long = features.of_text(" ".join(f"w{k}x{at}" for at in range(7_000)))
        learn(model, [features.of_text("river"), long], [("a",), tuple("bcdef")])
        assert np.isfinite(model.predict(features.batch([long])).p).all()


@pytest.mark.parametrize("width", [1, 2])
def test_narrow_vectors(width: int) -> None:
    model = Model(LARGE, 8)
    rng = np.random.default_rng(3)
    rows = [rng.normal(0, 1, width).astype(np.float32) for _ in range(400)]
    learn(model, rows, [(f"l{at % 6}",) for at in range(400)])
    assert np.isfinite(model.predict(features.batch(rows)).p).all()


def test_alarms_are_kept_only_for_who_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    from stream.learn.model import core as module

    monkeypatch.setattr(module, "react", lambda *_: ([], [np.array([0])]))
    for settings, kept in ((Learn(), 0), (LARGE, 4)):
        model = Model(settings, 8)
        learn(model, [features.of_text("word")] * 64, [tuple("abcdef")] * 64)
        assert len(model.alarmed) == kept


def test_a_forgotten_label_gets_no_votes_of_older_events() -> None:
    state = make(capacities(16, 64, 8, False), 7)
    state.sizes[STORED] = 2 * WINDOW + 100
    newest = 2 * WINDOW + 99
    seqs = [newest, newest - 50, newest - WINDOW + 1]
    for slot in (seq % WINDOW for seq in seqs):
        state.sets.n[slot] = 2
        state.sets.event[slot, :2] = 0, 1
    best, who = np.zeros(50, np.float32), np.zeros(50, np.int32)
    who[:3] = [seq % WINDOW for seq in seqs]
    prior, out = np.zeros(16, np.float32), np.zeros(16, np.float32)

    def votes() -> list[float]:
        neighbours.votes(
            state.sizes, state.memory, state.sets, best, who, 3, 3, 8.0, 1.0, 2, prior, out
        )
        return [float(value) for value in out[:2] * 4]

    assert votes() == [3, 3]
    state.memory.forget[0] = newest - 50
    assert votes() == [2, 3]
    state.memory.forget[0] = newest - 49
    assert votes() == [1, 3]
