"""Events of a request, checked by the codec: to examples for the model, or to bytes for Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from stream.clock import Clock
from stream.codec import Codec
from stream.config import Settings
from stream.errors import InvalidRecord, InvalidRequest
from stream.metrics import Metrics
from stream.types import Example, Record

Fields = dict[str, Any]


class Decoder:
    """Holds the events of requests to the same contract and limits as Kafka's.

    Every method raises InvalidRequest naming `events.N`, the first event that does not fit.
    """

    def __init__(self, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        # an event that is sent on is counted where it is consumed, so only questions are here
        self._asked = Codec(
            settings.limits, lambda n: metrics.count("braid_unknown_fields_total", n)
        )
        self._sent = Codec(settings.limits)
        self._bytes = settings.limits.record_bytes
        # more than the queue holds could never be answered
        self._most = min(settings.serve.request_events, settings.serve.queue)
        self._clock = clock

    def questions(self, events: Sequence[Fields]) -> list[Example]:
        """Events to predict: an id is made from the index, labels are checked and dropped."""
        self._few(events)
        examples = []
        for number, fields in enumerate(events):
            named = fields if fields.get("id") is not None else {**fields, "id": str(number)}
            self._encode(number, named)
            example = self._check(self._asked, number, named)
            if example.is_feedback:
                raise _wrong(number, "no_payload: give `text`, `features` or `vector`")
            examples.append(replace(example, labels=None, checked=None))
        return examples

    def events(
        self, events: Sequence[Fields], source: str | None = None
    ) -> list[tuple[bytes, bytes]]:
        """Events to send on, as (key, value); `source`, if any, is written over their own."""
        self._few(events)
        pairs = []
        for number, given in enumerate(events):
            fields = _from(source, given)
            example = self._check(self._sent, number, fields)
            pairs.append((example.id.encode(), self._encode(number, fields)))
        return pairs

    def feedback(
        self, events: Sequence[Fields], source: str | None = None
    ) -> list[tuple[bytes, bytes]]:
        """Late labels to send on, as (key, value); a payload beside them is refused."""
        self._few(events)
        pairs = []
        for number, given in enumerate(events):
            fields = _from(source, given)
            example = self._check(self._sent, number, fields)
            if not example.is_feedback:
                raise _wrong(number, "feedback is `id` and `labels` alone; see /v1/events")
            pairs.append((example.id.encode(), self._encode(number, fields)))
        return pairs

    def description(self, label: str, text: str | None) -> tuple[bytes, bytes | None]:
        """What a label means, to send on as (key, value); no text retires it."""
        key = label.encode("utf-8", "surrogatepass")
        value = None if text is None else self._told({"label": label, "text": text})
        try:
            self._sent.description(Record("", 0, 0, key, value))
        except InvalidRecord as error:
            raise InvalidRequest("label", str(error)) from None
        return key, value

    def _told(self, fields: Fields) -> bytes:
        try:
            return orjson.dumps(fields)
        except orjson.JSONEncodeError:
            raise InvalidRequest("label", "not_json: it holds a lone surrogate") from None

    def _few(self, events: Sequence[Fields]) -> None:
        if len(events) > self._most:
            raise InvalidRequest("events", f"{len(events)} events, limit {self._most}")

    def _check(self, codec: Codec, number: int, fields: Fields) -> Example:
        try:
            return codec.example(fields, self._clock.now())
        except InvalidRecord as error:
            raise _wrong(number, str(error)) from None

    def _encode(self, number: int, fields: Fields) -> bytes:
        try:
            value = orjson.dumps(fields)
        except TypeError:
            raise _wrong(number, "not_json: nested too deeply") from None
        if len(value) > self._bytes:
            raise _wrong(number, f"too_large: {len(value)} bytes, limit {self._bytes}")
        return value


def _from(source: str | None, fields: Fields) -> Fields:
    return fields if source is None else {**fields, "source": source}


def _wrong(number: int, message: str) -> InvalidRequest:
    return InvalidRequest(f"events.{number}", message)
