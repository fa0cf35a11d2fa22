"""What the workers behind the batchers do: predict from one view, or send on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from stream.errors import InvalidRecord, InvalidRequest
from stream.serve.view import Explanation, Inlet, View, ViewSource
from stream.types import Example, Prediction

Pair = tuple[bytes, bytes]


@dataclass(frozen=True)
class Ask:
    """One predict request: its events, and how many labels each gets."""

    examples: Sequence[Example]
    k: int
    threshold: float = 0.0
    among: Sequence[str] = ()
    explain: bool = False


@dataclass(frozen=True)
class Answer:
    """Its predictions, and an explanation of each where that was asked for."""

    predictions: Sequence[Prediction]
    explanations: Sequence[Explanation] = ()


@dataclass(frozen=True)
class Outgoing:
    """What a request sends on: events, or what labels mean."""

    events: Sequence[Pair] = ()
    labels: Sequence[tuple[bytes, bytes | None]] = ()


def predictor(views: ViewSource, batch: int) -> Callable[[list[Ask]], Sequence[Answer | Exception]]:
    """Make the work that answers predict requests, all of a batch from the newest view.

    Parameters
    ----------
    views
        Where the view comes from.
    batch
        Events in one call of the view at most.
    """

    def work(asks: list[Ask]) -> Sequence[Answer | Exception]:
        view = views.current()
        plain = [ask for ask in asks if not ask.among]
        try:
            found = iter(_together(view, plain, batch))
        except Exception:  # one bad event must not spoil the others' answers
            return [_alone(view, ask, batch) for ask in asks]
        return [
            _alone(view, ask, batch) if ask.among else _finished(view, ask, next(found))
            for ask in asks
        ]

    return work


def sender(inlet: Inlet) -> Callable[[list[Outgoing]], Sequence[int | Exception]]:
    """Make the work that sends waiting requests on together; each kind as a whole or not."""

    def work(requests: list[Outgoing]) -> Sequence[int | Exception]:
        events = [pair for one in requests for pair in one.events]
        labels = [pair for one in requests for pair in one.labels]
        failed = _sent(inlet.send, events), _sent(inlet.describe, labels)
        return [
            (failed[0] if one.events else failed[1]) or len(one.events) + len(one.labels)
            for one in requests
        ]

    return work


def _sent(send: Callable[[Any], None], pairs: Sequence[Any]) -> Exception | None:
    try:
        if pairs:
            send(pairs)
    except Exception as error:
        return error
    return None


def _together(view: View, asks: Sequence[Ask], batch: int) -> list[list[Prediction]]:
    """Predictions of each, no more labels than it wants."""
    if not asks:
        return []
    examples = [example for ask in asks for example in ask.examples]
    found = iter(_predict(view, examples, max(ask.k for ask in asks), batch))
    return [
        [replace(one, top=one.top[: ask.k]) for one in islice(found, len(ask.examples))]
        for ask in asks
    ]


def _finished(view: View, ask: Ask, found: Sequence[Prediction]) -> Answer | Exception:
    """The answer: labels below the threshold left out, the others explained where asked for."""
    if ask.threshold:
        kept = [tuple(label for label in one.top if label.score >= ask.threshold) for one in found]
        found = [replace(one, top=top) for one, top in zip(found, kept, strict=True)]
    if not ask.explain:
        return Answer(found)
    try:
        return Answer(
            found,
            [
                view.explain(example, [label.label for label in one.top])
                for example, one in zip(ask.examples, found, strict=True)
            ],
        )
    except Exception as error:
        return error


def _predict(
    view: View, examples: Sequence[Example], k: int, batch: int, among: Sequence[str] = ()
) -> list[Prediction]:
    found: list[Prediction] = []
    for start in range(0, len(examples), batch):
        part = examples[start : start + batch]
        predictions = view.predict(part, k, among)
        if len(predictions) != len(part):
            raise RuntimeError(f"{len(predictions)} predictions for {len(part)} events")
        found += predictions
    return found


def _alone(view: View, ask: Ask, batch: int) -> Answer | Exception:
    for place, name in enumerate(ask.among):
        known = view.label(name)
        if known is None or known.retired:
            why = "was never seen" if known is None else "is retired"
            return InvalidRequest(
                f"labels.{place}", f"the label {name[:100]!r} {why}; GET /v1/labels lists them"
            )
    try:
        return _finished(view, ask, _predict(view, ask.examples, ask.k, batch, ask.among))
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
