"""Bytes to `Example` or `Description`, or an `InvalidRecord` that says what is wrong.

The event contract is in the README. Unknown fields are ignored and counted; everything else
that does not fit is refused with one of `REASONS`, which are also the values of the metric
label and of the dead letter's `reason` header.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson

from stream.config import Limits
from stream.errors import InvalidRecord
from stream.types import Description, Example, Float32, Record

REASONS = {
    "not_json": "the value is not a JSON object in UTF-8",
    "no_id": "`id` is missing, empty or not a string",
    "no_payload": "none of `text`, `features`, `vector`, and no `labels` either",
    "many_payloads": "more than one of `text`, `features`, `vector`",
    "bad_text": "`text` is not a string",
    "bad_features": "`features` is not an object of finite numbers",
    "bad_vector": "`vector` is not an array of finite numbers",
    "vector_length": "`vector` has another length than the stream's",
    "payload_kind": "dense vectors and sparse payloads in one stream",
    "bad_labels": "`labels` is not an array of non-empty strings",
    "bad_checked": "`labels_checked` is not an array of non-empty strings, or without `labels`",
    "too_many_labels": "more labels than `limits.labels`, given or looked for",
    "bad_source": "`source` is not a non-empty string",
    "bad_version": "`v` is a version that this release cannot read",
    "bad_time": "`ts` is not a finite number",
    "too_large": "a record, id, label or payload over its limit",
    "tombstone": "an event without a value",
    "pipeline": "a valid event that broke the pipeline twice",
}

FIELDS = frozenset(
    {"id", "text", "features", "vector", "labels", "labels_checked", "source", "ts", "v"}
)
_PAYLOADS = ("text", "features", "vector")
_VERSION = 1


class Codec:
    """Decodes under the given limits.

    Parameters
    ----------
    limits
        See `stream.config.Limits`.
    on_unknown
        Called with the number of unknown fields of an event, for counting.
    """

    def __init__(self, limits: Limits, on_unknown: Callable[[int], None] | None = None) -> None:
        self._limits = limits
        self._on_unknown = on_unknown

    def event(self, record: Record) -> Example:
        """Decode a record of the events topic.

        Raises
        ------
        InvalidRecord
            With the reason; the caller dead-letters the record.
        """
        fields = self._object(record)
        return self.example(fields, record.timestamp_ms / 1000.0)

    def description(self, record: Record) -> Description:
        """Decode a record of the labels topic; a null value retires the key's label."""
        if record.value is None:
            return Description(self._label_of_key(record), None)
        fields = self._object(record)
        label, text = fields.get("label"), fields.get("text")
        if not isinstance(label, str) or not label:
            raise InvalidRecord("bad_labels", "`label` must be a non-empty string")
        self._weigh("label", label, self._limits.label_bytes)
        if text is not None and not isinstance(text, str):
            raise InvalidRecord("bad_text", "`text` must be a string or null")
        return Description(label, text)

    def example(self, fields: Mapping[str, Any], ts: float) -> Example:
        """Check a decoded event; `ts` (seconds) is used where it has none of its own."""
        identity = fields.get("id")
        if not isinstance(identity, str) or not identity:
            raise InvalidRecord("no_id", "`id` must be a non-empty string")
        self._weigh("id", identity, self._limits.id_bytes)
        present = [name for name in _PAYLOADS if fields.get(name) is not None]
        if len(present) > 1:
            raise InvalidRecord("many_payloads", f"give one of {' and '.join(present)}")
        labels = self._labels("labels", fields.get("labels"))
        checked = self._labels("labels_checked", fields.get("labels_checked"))
        if checked is not None and labels is None:
            raise InvalidRecord("bad_checked", "`labels_checked` needs `labels`, which may be []")
        if not present and labels is None:
            raise InvalidRecord("no_payload", "give `text`, `features` or `vector`")
        if self._on_unknown is not None and (extra := len(fields.keys() - FIELDS)):
            self._on_unknown(extra)
        return Example(
            id=identity,
            text=self._text(fields.get("text")),
            features=self._features(fields.get("features")),
            vector=self._vector(fields.get("vector")),
            labels=labels,
            ts=_time(fields.get("ts"), ts, fields.get("v")),
            checked=checked,
            source=self._source(fields.get("source")),
        )

    def _object(self, record: Record) -> dict[str, Any]:
        if record.value is None:
            raise InvalidRecord("tombstone", "an event needs a value")
        if len(record.value) > self._limits.record_bytes:
            raise InvalidRecord(
                "too_large", f"{len(record.value)} bytes, limit {self._limits.record_bytes}"
            )
        try:
            fields = orjson.loads(record.value)
        except orjson.JSONDecodeError as error:
            raise InvalidRecord("not_json", str(error)) from None
        if not isinstance(fields, dict):
            raise InvalidRecord("not_json", f"a JSON {type(fields).__name__}, not an object")
        return fields

    def _label_of_key(self, record: Record) -> str:
        try:
            label = (record.key or b"").decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRecord("bad_labels", "the key is not UTF-8") from None
        if not label:
            raise InvalidRecord("bad_labels", "a null needs the label as its key")
        self._weigh("label", label, self._limits.label_bytes)
        return label

    def _labels(self, field: str, value: Any) -> tuple[str, ...] | None:
        if value is None:
            return None
        reason = "bad_labels" if field == "labels" else "bad_checked"
        if not isinstance(value, list):
            raise InvalidRecord(reason, f"`{field}` must be an array of strings")
        if len(value) > self._limits.labels:
            raise InvalidRecord("too_many_labels", f"{len(value)}, limit {self._limits.labels}")
        for label in value:
            if not isinstance(label, str) or not label:
                raise InvalidRecord(reason, f"every label of `{field}` must be a non-empty string")
            self._weigh("label", label, self._limits.label_bytes)
        return tuple(dict.fromkeys(value))

    def _source(self, value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise InvalidRecord("bad_source", "`source` must be a non-empty string")
        self._weigh("source", value, self._limits.id_bytes)
        return value

    def _text(self, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            raise InvalidRecord("bad_text", "`text` must be a string")
        return value

    def _features(self, value: Any) -> dict[str, float] | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise InvalidRecord("bad_features", "`features` must be an object of numbers")
        if len(value) > self._limits.features:
            raise InvalidRecord("too_large", f"{len(value)} features")
        features = {}
        for name, number in value.items():
            if not _finite(number):
                raise InvalidRecord("bad_features", f"feature {name[:60]!r} is not a finite number")
            features[name] = float(number)
        return features

    def _vector(self, value: Any) -> Float32 | None:
        if value is None:
            return None
        if not isinstance(value, list) or not value:
            raise InvalidRecord("bad_vector", "`vector` must be a non-empty array of numbers")
        if len(value) > self._limits.features:
            raise InvalidRecord("too_large", f"a vector of {len(value)} numbers")
        if not all(_finite(number) for number in value):
            raise InvalidRecord("bad_vector", "every entry must be a finite number")
        return np.asarray(value, np.float32)

    def _weigh(self, what: str, text: str, limit: int) -> None:
        try:
            size = len(text.encode("utf-8"))
        except UnicodeEncodeError:
            raise InvalidRecord("not_json", f"the {what} holds a lone surrogate") from None
        if size > limit:
            raise InvalidRecord("too_large", f"a {what} of {size} bytes, limit {limit}")


def _finite(number: Any) -> bool:
    """Whether it is a number that float32 can hold; JSON true and false are not."""
    return (
        isinstance(number, int | float)
        and not isinstance(number, bool)
        and abs(number) < 3e38  # false for NaN and infinities; fine with ints of any size
    )


def _time(value: Any, default: float, version: Any) -> float:
    if version is not None and (type(version) is not int or version != _VERSION):
        # Never the value itself unless it is plain: a deeply nested one has no `repr`.
        shown = version if isinstance(version, int) else type(version).__name__
        raise InvalidRecord("bad_version", f"`v` is {shown}; this release reads 1")
    if value is None:
        return default
    if not _finite(value):
        raise InvalidRecord("bad_time", "`ts` must be a finite number of seconds")
    return float(value)
