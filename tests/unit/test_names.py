"""Names of labels: what is found in a text, what it is worth, and what is forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream import features
from stream.learn.arrays import allocate, grow
from stream.learn.extreme import matching, names
from stream.learn.extreme.matching import BODY, INSIDE, PART, TITLE
from stream.learn.extreme.names import COMMON, KEYS, NAMED, NAMES, SHARED, USED, Names
from stream.learn.extreme.state import naming

NONE = np.zeros(0, np.int32)


def table(labels: int = 64) -> Names:
    return allocate(Names, NAMES, naming(labels))


def put(own: Names, label: int, text: str) -> None:
    found = features.names_in(text)
    words = found[0] if found else np.zeros(0, np.uint64)
    names.put(own, label, words, len(found[-1]) if found else 0)


def said(own: Names, text: str, labels: int = 64) -> dict[int, Any]:
    told = matching.room(labels, len(own.key))
    matching.scan(own, features.of_text(text)[3], told)
    return {int(told.label[k]): told.said[k] for k in range(told.n[0])}


def whole(own: Names, text: str) -> set[int]:
    return {label for label, row in said(own, text).items() if matching.kind(row) >= 0}


def learn(own: Names, text: str, *truth: int) -> None:
    told = matching.room(64, len(own.key))
    matching.scan(own, features.of_text(text)[3], told)
    matching.learn(own, told, np.array(truth, np.int32))


def test_whole_names_are_found_in_any_ending() -> None:
    own = table()
    put(own, 3, "Soziale Marktwirtschaft")
    put(own, 5, "Markt (Recht)")
    assert whole(own, "die sozialen Marktwirtschaften") == {3}
    assert whole(own, "Marktes") == whole(own, "MÄRKTE") == {5}
    assert whole(own, "Markt Recht") == {5}
    assert whole(own, "soziale\nMarktwirtschaft") == set()  # a title ends there


def test_titles_bodies_and_longer_names_count_apart() -> None:
    own = table()
    put(own, 0, "river")
    put(own, 1, "river water")
    found = said(own, "river water\nriver here, a river water")
    assert found[1][[TITLE, BODY, INSIDE]].tolist() == [1, 1, 0]
    assert found[0][[TITLE, BODY, INSIDE]].tolist() == [0, 1, 2]


def test_parts_of_names_weigh_by_how_rare_they_are() -> None:
    own = table()
    for label in range(8):
        put(own, label, f"common{label} word")
    put(own, 9, "seldom word")
    found = said(own, "seldomly common")
    assert found[9][PART] > found[0][PART] > 0
    assert found[9][PART] < matching.whole(own, 9)


def test_shared_names_are_read_up_to_a_bound() -> None:
    own = table(100_000)
    for label in range(100_000):
        put(own, label, "the same name")
    assert len(said(own, "the same name", 100_000)) == SHARED
    assert own.sizes[USED] == 4
    for label in range(0, 100_000, 2):
        names.drop(own, label)
    assert all(label % 2 for label in said(own, "the same name", 100_000))
    assert own.sizes[NAMED] == 50_000


def test_first_letters_of_too_many_names_say_nothing() -> None:
    own = table(512)
    for label in range(COMMON + 1):
        put(own, label, f"common x{label}")
    assert said(own, "common", 512) == {}
    names.drop(own, 0)
    assert len(said(own, "common", 512)) == COMMON


def test_a_new_description_replaces_the_old_one() -> None:
    own = table()
    put(own, 1, "river")
    learn(own, "river", 1)
    put(own, 1, "water")
    assert whole(own, "river") == set()
    assert whole(own, "water") == {1}
    assert own.shown[1].sum() == own.hit[1].sum() == 0
    names.drop(own, 1)
    assert said(own, "river water") == {}
    assert own.sizes[NAMED] == 0


@pytest.mark.parametrize("text", ["", "   ", "!!", "a", "_", "x" * 9_999, "word " * 9_999, "\0\n"])
def test_any_description_will_do(text: str) -> None:
    own = table()
    put(own, 1, text)
    put(own, 1, text)
    assert (own.of[1] >= 0).sum() <= KEYS
    said(own, "words and more")


def test_keys_of_the_forgotten_are_used_again() -> None:
    own = table(16)
    for at in range(2_000):
        put(own, at % 16, f"alpha{at} beta{at} gamma{at}")
        assert own.sizes[USED] <= 64
    assert whole(own, "alpha1999 beta1999 gamma1999") == {1999 % 16}


def test_a_table_without_room_goes_on() -> None:
    own = table(1)
    put(own, 0, "one two three four five six seven")
    assert own.sizes[USED] == 4
    assert said(own, "one two")[0][PART] > 0


def test_precision_is_learnt_by_label_and_place() -> None:
    own = table()
    put(own, 1, "river")
    put(own, 2, "water")
    for _ in range(60):
        learn(own, "river water\nmore", 1)
    assert matching.precision(own, 1, 1) > 0.9
    assert matching.precision(own, 2, 1) < 0.04
    assert matching.precision(own, 2, 0) > matching.precision(own, 2, 1)


def test_growth_keeps_all_names() -> None:
    own = table(16)
    for label in range(16):
        put(own, label, f"name{label} of label")
    names.drop(own, 3)
    own = grow(own, NAMES, naming(64))
    names.rehash(own)
    put(own, 40, "name40 of label")
    for label in range(16):
        assert whole(own, f"name{label} of label") == ({label} if label != 3 else set())
    assert whole(own, "name40 of label") == {40}
