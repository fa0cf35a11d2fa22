"""Labels: ids that never change, slots by first sight, retirement, prefixes."""

from __future__ import annotations

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
    assert made.slots_of_names(["z", "a"]) == [1]


def test_colliding_ids_are_told_apart_and_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def poor(name: str, attempt: int = 0) -> int:
        return 10 * len(name) + attempt

    monkeypatch.setattr(labels, "label_id", poor)
    made = space("aa", "bb", "c", "dd", "aa")
    assert made.ids.tolist() == [20, 21, 10, 22]
    assert [made.slot_of_id(identity) for identity in made.ids.tolist()] == [0, 1, 2, 3]
    again = LabelSpace()
    again.load(made.arrays())
    assert again.ids.tolist() == made.ids.tolist()


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


def test_round_trip_through_arrays() -> None:
    made = space("b", "a", "ä", "", "\ud800")
    made.descriptions[2] = "words"
    made.retire("a")
    again = space("other")
    again.load(made.arrays())
    assert again.names == made.names
    assert again.ids.tolist() == made.ids.tolist()
    assert again.descriptions == {2: "words"}
    assert again.retired == {1}
    assert again.slot("other") is None
    assert [again.slot(name) for name in made.names] == [0, 1, 2, 3, 4]
    assert again.with_prefix("", 9) == ["", "a", "b", "ä", "\ud800"]
    assert again.add("c") == (5, True)


@pytest.mark.parametrize("at", ["labels.ids", "labels.names.bytes"])
def test_names_of_other_ids_are_refused(at: str) -> None:
    made, other = space("b", "a").arrays(), space("x", "y").arrays()
    with pytest.raises(ValueError, match=r"the id of label '[bx]' is another"):
        LabelSpace().load(made | {at: other[at]})
    with pytest.raises(ValueError, match="3 label ids for 2 names"):
        LabelSpace().load(made | {"labels.ids": space("b", "a", "c").arrays()["labels.ids"]})


def test_names_that_repeat_are_refused() -> None:
    made = space("a", "b").arrays()
    made["labels.names.bytes"] = made["labels.names.bytes"][[0, 0]]
    made["labels.ids"] = np.array([label_id("a"), label_id("a", 1)])
    with pytest.raises(ValueError, match="names repeat"):
        LabelSpace().load(made)


def test_slots_of_many_ids_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where ids crowd into the same places of the table, and while it grows."""

    def poor(name: str, attempt: int = 0) -> int:
        return (int(name) % 50) << 20 | attempt

    monkeypatch.setattr(labels, "label_id", poor)
    made = LabelSpace()
    for n in range(700):
        made.add(str(n))
    again = LabelSpace()
    again.load(made.arrays())
    for one in (made, again):
        ids = one.ids
        assert one.slots_of_ids(ids).tolist() == list(range(700))
        wanted = np.array([[-1, int(ids[699])], [1 << 40, int(ids[3])]])
        assert one.slots_of_ids(wanted).tolist() == [[-1, 699], [-1, 3]]
        assert [one.slot_of_id(int(identity)) for identity in ids] == list(range(700))
    assert LabelSpace().slots_of_ids(np.zeros((2, 0), np.int64)).shape == (2, 0)
