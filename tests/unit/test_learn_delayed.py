"""The room where events wait for labels and labels for events: joins, bounds, snapshots."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream.learn.delayed import WaitingRoom
from stream.types import Example


def room(most: int = 10, most_bytes: int = 100_000) -> WaitingRoom:
    return WaitingRoom(most, most_bytes)


def test_labels_join_the_event_that_waits() -> None:
    waiting = room()
    example = Example("a", text="words", ts=3.0)
    assert waiting.event(example) is None
    joined, outcome = waiting.feedback("a", ("x", "y"))
    assert outcome == "joined"
    assert joined == Example("a", text="words", labels=("x", "y"), ts=3.0)
    assert (waiting.events, waiting.labels) == (0, 0)
    assert waiting.feedback("a", ("z",)) == (None, "kept")  # it waits for another event of that id


def test_an_event_joins_the_labels_that_wait() -> None:
    waiting = room()
    assert waiting.feedback("a", ("x",)) == (None, "kept")
    assert waiting.feedback("a", ("y",)) == (None, "kept")  # the newest counts
    assert waiting.labels == 1
    joined = waiting.event(Example("a", text="words"))
    assert joined is not None
    assert joined.labels == ("y",)
    assert (waiting.events, waiting.labels) == (0, 0)


def test_which_labels_were_looked_for_comes_along() -> None:
    waiting = room()
    waiting.event(Example("a", text="words"))
    joined, _ = waiting.feedback("a", ("x",), ("x", "y"))
    assert joined == Example("a", text="words", labels=("x",), checked=("x", "y"))
    waiting.feedback("b", (), ())
    waiting.feedback("c", ("x",), ("y",))
    again = room()
    again.load(json.loads(json.dumps(waiting.state())))
    for identity, labels, checked in (("b", (), ()), ("c", ("x",), ("y",))):
        made = again.event(Example(identity, text="words"))
        assert made == Example(identity, text="words", labels=labels, checked=checked)


def test_a_second_event_of_an_id_takes_the_firsts_place() -> None:
    waiting = room()
    waiting.event(Example("a", text="one"))
    waiting.event(Example("a", text="two"))
    assert waiting.events == 1
    joined, _ = waiting.feedback("a", ())
    assert joined is not None
    assert (joined.text, joined.labels) == ("two", ())


def test_the_oldest_events_make_room() -> None:
    waiting = room(most=3)
    for identity in "abcd":
        waiting.event(Example(identity, text="words"))
    assert waiting.events == 3
    assert waiting.feedback("a", ("x",))[1] == "kept"
    assert waiting.feedback("b", ("x",))[1] == "joined"


def test_the_oldest_labels_make_room() -> None:
    waiting = room(most=2)
    assert [waiting.feedback(identity, ("x",))[1] for identity in "abc"] == [
        "kept",
        "kept",
        "dropped",
    ]
    assert waiting.event(Example("a", text="words")) is None
    assert waiting.event(Example("c", text="words")) is not None


@pytest.mark.parametrize(
    "example",
    [
        Example("{}", text="t" * 5_000),
        Example("{}", features={f"name {k}": 1.0 for k in range(60)}),
        Example("{}", vector=np.ones(1_300, np.float32)),
        Example("{}" + "i" * 5_000, text=""),
    ],
    ids=["text", "features", "vector", "id"],
)
def test_events_are_bound_by_bytes(example: Example) -> None:
    from dataclasses import replace

    waiting = room(most=1_000, most_bytes=52_000)
    for at in range(100):
        waiting.event(replace(example, id=example.id.format(at)))
    assert 5 <= waiting.events <= 10
    waiting.event(Example("huge", text="t" * 60_000))
    assert waiting.events == 0
    waiting.event(Example("small", text="t"))
    assert waiting.events == 1  # what went is no longer counted


def test_labels_are_bound_by_bytes() -> None:
    waiting = room(most=1_000, most_bytes=50_000)
    outcomes = {waiting.feedback(f"id {at}", ("l" * 5_000,))[1] for at in range(100)}
    assert outcomes == {"kept", "dropped"}
    assert 5 <= waiting.labels <= 10
    assert waiting.event(Example("id 99", text="t")) is not None
    waiting.feedback("huge", (), ("l" * 60_000,))
    assert waiting.labels == 0
    assert waiting.feedback("small", ("l",)) == (None, "kept")


def test_nothing_waits_where_nothing_may() -> None:
    waiting = room(most=0)
    assert waiting.event(Example("a", text="words")) is None
    assert waiting.feedback("a", ("x",)) == (None, "dropped")
    assert (waiting.events, waiting.labels) == (0, 0)


def test_round_trip_through_json_keeps_order_and_bounds() -> None:
    waiting = room(most=3)
    waiting.event(Example("text", text="words", ts=1.5))
    waiting.event(Example("named", features={"x": 2.0}))
    waiting.event(Example("dense", vector=np.array([0.1, 2], np.float32)))
    waiting.feedback("late", ("b", "a"))
    plain = json.loads(json.dumps(waiting.state()))
    again = room(most=3)
    again.load(plain)
    again.load(plain)  # and it does not use it up
    assert again.state() == waiting.state()
    again.event(Example("fourth", text=""))
    assert again.feedback("text", ())[0] is None
    joined, _ = again.feedback("dense", ("x",))
    assert joined is not None
    assert joined.vector is not None
    assert joined.vector.dtype == np.float32
    assert joined.vector.tolist() == np.array([0.1, 2], np.float32).tolist()
    tight = room(most=1)
    tight.load(plain)
    assert (tight.events, tight.labels) == (1, 1)
