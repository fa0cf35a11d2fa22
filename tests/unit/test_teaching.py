"""One source cannot teach one label without end; look-alikes and floods of labels are told."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stream import state
from stream.looks import skeleton
from stream.pipeline import Item, Pipeline
from stream.teaching import Caps
from stream.types import Example
from tests.recovery.world import settings


def taught(label: str, source: str | None = "eve", *more: str) -> Example:
    return Example("x", text="words", labels=(label, *more), source=source)


def test_a_burst_passes_and_then_a_share() -> None:
    caps = Caps(share=0.25, burst=20)
    passed = Counter[str]()
    for n in range(400):
        flood = n % 4 != 3
        example = taught("spam") if flood else taught(f"label-{n}", None)
        passed["spam" if flood else "other"] += caps.admit(example)[0] is not None
    assert passed["other"] == 100
    # the share is of what is taught: 20 + (100 + n) / 4 = n
    assert passed["spam"] == pytest.approx((20 + 100 / 4) / (1 - 1 / 4), abs=2)


def test_other_labels_and_other_sources_have_buckets_of_their_own() -> None:
    caps = Caps(share=0.01, burst=5)
    for _ in range(50):
        caps.admit(taught("spam"))
    assert caps.admit(taught("spam"))[0] is None
    assert caps.admit(taught("ham"))[1] == 0
    assert caps.admit(taught("spam", "bob"))[1] == 0
    assert caps.admit(taught("spam", None))[1] == 0


def test_what_is_over_becomes_unknown_beside_other_labels() -> None:
    caps = Caps(share=0.01, burst=5)
    for _ in range(50):
        caps.admit(taught("spam"))
    admitted, over = caps.admit(taught("spam", "eve", "ham"))
    assert over == 1
    assert admitted is not None
    assert (admitted.labels, admitted.checked) == (("ham",), ("ham",))


def test_no_cap_where_the_share_is_one() -> None:
    caps = Caps(share=1.0, burst=1)
    assert all(caps.admit(taught("spam"))[1] == 0 for _ in range(100))


TOPICS = {"cat": "whiskers purr meow", "dog": "bark fetch tail", "fish": "swim scale fin"}


def honest(n: int) -> Item:
    label, text = list(TOPICS.items())[n * 7 % 3]
    labels = (label, f"{label}-{n // 3 % 2}")
    return Item(Example(f"e{n}", text=f"{text} w{n % 7}", labels=labels))


@pytest.mark.parametrize("small_labels", [512, 4])
def test_a_tenfold_flood_moves_nothing_of_other_partitions(small_labels: int) -> None:
    def run(flood: int) -> tuple[Pipeline, list[bool], int]:
        """Honest events amid a flood of one label that has the words of another one."""
        pipeline = Pipeline(
            settings(learn={"source_share": 0.5, "source_burst": 50, "small_labels": small_labels})
        )
        hits, capped = [], 0
        for n in range(600):
            spam = [
                Item(Example(f"f{n}-{m}", text=TOPICS["dog"], labels=("spam",), source="eve"))
                for m in range(flood)
            ]
            outcome = pipeline.step([honest(n), *spam])
            capped += outcome.capped
            label = list(TOPICS)[n * 7 % 3]
            if n >= 300 and label != "dog":
                hits.append(
                    outcome.predictions[0].top[0].label in (label, f"{label}-0", f"{label}-1")
                )
        return pipeline, hits, capped

    _, quiet, none = run(0)
    pipeline, hits, capped = run(10)
    assert none == 0
    assert sum(hits) >= sum(quiet) - 2 >= 190
    # it may teach a burst, and then half of all: 50 + (600 + n) / 2 = n
    assert pipeline.model.position - 600 == pytest.approx(700, abs=5)
    assert capped == 6_000 - (pipeline.model.position - 600)
    again = state.revive(pipeline.settings, state.take(pipeline, {}, {}))
    more = [honest(0), *(Item(taught("spam")) for _ in range(100))]
    assert again.step(more).capped == pipeline.step(more).capped > 90


def test_a_capped_event_is_still_predicted() -> None:
    pipeline = Pipeline(settings(learn={"source_burst": 3, "source_share": 0.01}))
    items = [Item(taught("spam")) for _ in range(20)]
    outcome = pipeline.step(items)
    assert len(outcome.predictions) == 20
    assert outcome.learnt == 3
    assert outcome.capped == 17


def test_labels_beyond_the_most_are_left_out_and_counted() -> None:
    pipeline = Pipeline(settings(learn={"most_labels": 600, "small_labels": 8}))
    for n in range(0, 1_000, 50):
        pipeline.step(
            [
                Item(Example(f"e{m}", text=f"w{m}", labels=(f"l{m}", "all")))
                for m in range(n, n + 50)
            ]
        )
    model = pipeline.model
    assert len(model.labels) == 600
    assert model.refused == 1_001 - 600
    assert model.position == 1_000
    outcome = pipeline.step([Item(Example("p", text="w5"), learn=False)])
    assert outcome.predictions[0].top
    assert model.describe("one more", "its meaning") == []
    assert model.labels.slot("one more") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("New York", "new-york"), ("Café", "cafe"), ("раураl", "paypal"), ("ﬁsh", "fish"),
        ("a\u200bb", "ab"), ("Straße", "STRASSE"), ("ＡＢＣ", "abc"),
    ],
)  # fmt: skip
def test_labels_that_look_alike(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"), [("cat", "cats"), ("+", "-"), ("猫", "犬"), ("c++", "c#")]
)
def test_labels_that_do_not(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


def test_a_look_alike_is_told_with_the_label_that_was_first() -> None:
    pipeline = Pipeline(settings())
    events = [("a", "Paris"), ("b", "paris"), ("c", "Rome"), ("d", "PARIS")]
    drift = pipeline.step([Item(Example(i, text="t", labels=(x,))) for i, x in events]).drift
    told = {one.scope: one.evidence["alike"] for one in drift if one.kind == "new_label"}
    assert told == {
        "label/Paris": None, "label/paris": "Paris", "label/Rome": None, "label/PARIS": "Paris",
    }  # fmt: skip
    labels = state.revive(settings(), state.take(pipeline, {}, {})).model.labels
    assert labels.alike("pArIs") == "Paris"
    assert np.array_equal(labels.ids, pipeline.model.labels.ids)
