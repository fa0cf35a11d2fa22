"""The workers' part alone: one view for all, and one bad event that spoils nothing."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from stream.errors import InvalidRecord, InvalidRequest, NotReady, Unavailable
from stream.serve.work import Ask, Outgoing, predictor, sender
from stream.types import Example, Prediction, Scored


class View:
    """Refuses `bad`, breaks on `bug`, loses an answer on `lost`; keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def predict(
        self, examples: Sequence[Example], k: int, among: Sequence[str] = ()
    ) -> list[Prediction]:
        self.calls.append((len(examples), k))
        texts = [one.text for one in examples]
        if "bug" in texts:
            raise ZeroDivisionError
        if "bad" in texts:
            raise InvalidRecord("bad_text", "not this one")
        top = tuple(Scored(str(n), 0.5) for n in range(k))
        return [Prediction(one.id, top, (), 0) for one in examples if one.text != "lost"]


def ask(*texts: str, k: int = 2) -> Ask:
    return Ask([Example(text, text=text) for text in texts], k)


def test_all_are_predicted_with_the_largest_k_and_cut() -> None:
    view = View()
    found = predictor(SimpleNamespace(current=lambda: view), 2)([ask("a", k=1), ask("b", "c", k=3)])
    assert [[(one.id, len(one.top)) for one in answer.predictions] for answer in found] == [
        [("a", 1)],
        [("b", 3), ("c", 3)],
    ]
    assert view.calls == [(2, 3), (1, 3)]


@pytest.mark.parametrize("place", range(7))
def test_the_bad_event_is_named_and_the_others_are_answered(place: int) -> None:
    texts = [f"t{n}" for n in range(7)]
    texts[place] = "bad"
    view = View()
    before, found, after = predictor(SimpleNamespace(current=lambda: view), 64)(
        [ask("a"), ask(*texts), ask("b")]
    )
    assert isinstance(found, InvalidRequest)
    assert (found.field, str(found)) == (f"events.{place}", "bad_text: not this one")
    assert [one.id for one in (*before.predictions, *after.predictions)] == ["a", "b"]


def test_of_several_bad_events_the_first_is_named() -> None:
    (found,) = predictor(SimpleNamespace(current=View), 64)([ask("a", "bad", "b", "bad", "bad")])
    assert isinstance(found, InvalidRequest)
    assert found.field == "events.1"


def test_to_find_it_costs_no_more_than_the_request_again() -> None:
    view = View()
    texts = ["x"] * 255 + ["bad"]
    predictor(SimpleNamespace(current=lambda: view), 1_000)([ask(*texts)])
    assert sum(size for size, _ in view.calls) <= 3 * 256  # together, alone, halving


@pytest.mark.parametrize(("text", "error"), [("bug", ZeroDivisionError), ("lost", RuntimeError)])
def test_a_bug_stays_with_the_request_that_woke_it(text: str, error: type[Exception]) -> None:
    fine, broken = predictor(SimpleNamespace(current=View), 64)([ask("a"), ask("b", text)])
    assert [one.id for one in fine.predictions] == ["a"]
    assert isinstance(broken, error)


def test_no_view_fails_the_whole_batch() -> None:
    def none_yet() -> View:
        raise NotReady("no view yet")

    with pytest.raises(NotReady):
        predictor(SimpleNamespace(current=none_yet), 64)([ask("a")])


def test_requests_are_sent_on_in_one_call_and_fail_together() -> None:
    calls: list[object] = []
    inlet = SimpleNamespace(send=calls.append, describe=calls.append)
    one, two = [(b"a", b"1"), (b"b", b"2")], [(b"c", b"3")]
    told = [(b"art", None)]
    asked = [Outgoing(one), Outgoing(labels=told), Outgoing(two)]
    assert sender(inlet)(asked) == [2, 1, 1]
    assert calls == [one + two, told]

    def down(pairs: object) -> None:
        raise Unavailable("down")

    first, second, third = sender(SimpleNamespace(send=down, describe=calls.append))(asked)
    assert isinstance(first, Unavailable)
    assert isinstance(third, Unavailable)
    assert second == 1
