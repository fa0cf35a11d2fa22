"""What the workers behind the batchers do: predict from one view, or send on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stream.errors import InvalidRecord, InvalidRequest
from stream.serve.view import Inlet, View, ViewSource
from stream.types import Example, Prediction

Pair = tuple[bytes, bytes]


@dataclass(frozen=True)
class Ask:
    """One predict request: its events, and how many labels each gets."""

    examples: Sequence[Example]
    k: int


def predictor(
    views: ViewSource, batch: int
) -> Callable[[list[Ask]], Sequence[list[Prediction] | Exception]]:
    """Make the work that answers predict requests, all of a batch from the newest view.

    Parameters
    ----------
    views
        Where the view comes from.
    batch
        Events in one call of the view at most.
    """

    def work(asks: list[Ask]) -> Sequence[list[Prediction] | Exception]:
        view = views.current()
        examples = [example for ask in asks for example in ask.examples]
        try:
            found = _predict(view, examples, max(ask.k for ask in asks), batch)
        except Exception:  # one bad event must not spoil the others' answers
            return [_alone(view, ask, batch) for ask in asks]
        answers = []
        start = 0
        for ask in asks:
            mine = found[start : start + len(ask.examples)]
            answers.append([replace(one, top=one.top[: ask.k]) for one in mine])
            start += len(ask.examples)
        return answers

    return work


def sender(inlet: Inlet) -> Callable[[list[list[Pair]]], Sequence[int | Exception]]:
    """Make the work that sends waiting requests on together; they succeed or fail together."""

    def work(requests: list[list[Pair]]) -> Sequence[int | Exception]:
        inlet.send([pair for pairs in requests for pair in pairs])
        return [len(pairs) for pairs in requests]

    return work


def _predict(view: View, examples: Sequence[Example], k: int, batch: int) -> list[Prediction]:
    found: list[Prediction] = []
    for start in range(0, len(examples), batch):
        part = examples[start : start + batch]
        predictions = view.predict(part, k)
        if len(predictions) != len(part):
            raise RuntimeError(f"{len(predictions)} predictions for {len(part)} events")
        found += predictions
    return found


def _alone(view: View, ask: Ask, batch: int) -> list[Prediction] | Exception:
    try:
        return _predict(view, ask.examples, ask.k, batch)
    except InvalidRecord as error:
        return InvalidRequest(f"events.{_first_bad(view, ask, batch)}", str(error))
    except Exception as error:
        return error


def _first_bad(view: View, ask: Ask, batch: int) -> int:
    """Halve until one event is left; costs as much again as the request itself."""
    low, high = 0, len(ask.examples)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _predict(view, ask.examples[low:middle], ask.k, batch)
        except InvalidRecord:
            high = middle
        else:
            low = middle
    return low
