"""Labels: ids that never change, slots by first sight, retirement, prefixes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream import labels
from stream.labels import LabelSpace, label_id


def space(*names: str) -> LabelSpace:
    made = LabelSpace()
    for name in names:
        made.add(name)
    return made


def test_ids_are_what_they_always_were() -> None:
    """They are in topics, snapshots and indexes of every member."""
    assert label_id("river") == 5742722424634461515
    assert label_id("river", 1) == 2912742666033677307
    assert label_id("ä\ud800") == 5248081269618337653
    assert all(0 <= label_id(str(k)) < 2**63 for k in range(1_000))


def test_slots_count_labels_by_first_sight() -> None:
    made = LabelSpace()
    assert [made.add(name) for name in ("b", "a", "b")] == [(0, True), (1, True), (0, False)]
    assert len(made) == 2
    assert made.slot("a") == 1
    assert made.slot("c") is None
    assert made.slot_of_id(label_id("a")) == 1
    assert made.slot_of_id(12) == -1
    assert made.ids_of([1, 0]).tolist() == [label_id("a"), label_id("b")]
    assert made.ids_of([]).dtype == np.int64
    assert made.ids_of_names(["b"]) == [label_id("b")]


def test_colliding_ids_are_told_apart_and_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def poor(name: str, attempt: int = 0) -> int:
        return 10 * len(name) + attempt

    monkeypatch.setattr(labels, "label_id", poor)
    made = space("aa", "bb", "c", "dd", "aa")
    assert made.ids == [20, 21, 10, 22]
    assert [made.slot_of_id(identity) for identity in made.ids] == [0, 1, 2, 3]
    again = LabelSpace()
    again.load(json.loads(json.dumps(made.state())))
    assert again.ids == made.ids


def test_prefixes_are_found_in_order_also_after_growth() -> None:
    made = space("river", "rain", "riverbed", "sea", "Rhine")
    assert made.with_prefix("ri", 10) == ["river", "riverbed"]
    assert made.with_prefix("ri", 1) == ["river"]
    assert made.with_prefix("", 2) == ["Rhine", "rain"]
    assert made.with_prefix("z", 5) == []
    made.add("rice")
    assert made.with_prefix("ri", 10) == ["rice", "river", "riverbed"]


def test_a_retired_label_keeps_its_slot_and_comes_back() -> None:
    made = space("a", "b")
    made.descriptions[1] = "words"
    assert made.retire("c") is None
    assert made.retire("b") == 1
    assert made.retire("b") == 1
    assert made.retired == {1}
    assert made.descriptions == {}
    assert len(made) == 2
    assert made.add("b") == (1, False)
    assert made.retired == set()


def test_round_trip_through_json() -> None:
    made = space("b", "a", "ä")
    made.descriptions[2] = "words"
    made.retire("a")
    again = space("other")
    again.load(json.loads(json.dumps(made.state())))
    assert again.state() == made.state()
    assert again.ids == made.ids
    assert again.slot("other") is None
    assert again.with_prefix("", 9) == ["a", "b", "ä"]
