"""The event contract: every reason, every limit at its boundary, and what is let pass."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from stream.codec import REASONS, Codec
from stream.config import Limits
from stream.errors import InvalidRecord
from stream.types import Description, Example, Record

LIMITS = Limits(record_bytes=1_000, id_bytes=8, label_bytes=8, labels=3, features=4)
FROM_THE_PIPELINE = {"vector_length", "payload_kind", "pipeline"}

WRONG = {
    "not_json": [
        b"", b"{", b"[]", b"1", b"null", b"\xff", b'{"id":"a","text":"\xff"}',
        b'{"id":"a","features":{"x":NaN}}', b'{"id":"a","features":{"x":Infinity}}',
        b'{"id":"a","vector":[-Infinity]}', b'{"id":"a","text":"\\ud800"}',
        b'{"id":"\\udc00","text":"x"}', b"[" * 900,
    ],
    "no_id": [b"{}", b'{"text":"x"}', b'{"id":"","text":"x"}', b'{"id":1,"text":"x"}',
              b'{"id":null,"text":"x"}', b'{"id":["a"],"text":"x"}'],
    "no_payload": [b'{"id":"a"}', b'{"id":"a","text":null}', b'{"id":"a","labels":null}'],
    "many_payloads": [b'{"id":"a","text":"","vector":[1]}', b'{"id":"a","text":"","features":{}}'],
    "bad_text": [b'{"id":"a","text":1}', b'{"id":"a","text":[]}', b'{"id":"a","text":true}'],
    "bad_features": [
        b'{"id":"a","features":[]}', b'{"id":"a","features":"x"}', b'{"id":"a","features":true}',
        b'{"id":"a","features":{"x":true}}', b'{"id":"a","features":{"x":"1"}}',
        b'{"id":"a","features":{"x":null}}', b'{"id":"a","features":{"x":3e38}}',
        b'{"id":"a","features":{"x":{}}}',
    ],
    "bad_vector": [
        b'{"id":"a","vector":[]}', b'{"id":"a","vector":1}', b'{"id":"a","vector":{}}',
        b'{"id":"a","vector":[1,true]}', b'{"id":"a","vector":["1"]}', b'{"id":"a","vector":[[1]]}',
        b'{"id":"a","vector":[-4e38]}',
    ],
    "bad_labels": [
        b'{"id":"a","text":"","labels":"x"}', b'{"id":"a","text":"","labels":{}}',
        b'{"id":"a","text":"","labels":[""]}', b'{"id":"a","text":"","labels":[1]}',
        b'{"id":"a","text":"","labels":["x",null]}',
    ],
    "bad_checked": [
        b'{"id":"a","text":"","labels_checked":["x"]}', b'{"id":"a","text":"","labels_checked":[]}',
        b'{"id":"a","text":"","labels":[],"labels_checked":"x"}',
        b'{"id":"a","labels":[],"labels_checked":{}}',
        b'{"id":"a","text":"","labels":["x"],"labels_checked":[""]}',
        b'{"id":"a","text":"","labels":["x"],"labels_checked":["x",1]}',
    ],
    "too_many_labels": [b'{"id":"a","text":"","labels":["1","2","3","4"]}',
                        b'{"id":"a","labels":[],"labels_checked":["1","2","3","4"]}',
                        b'{"id":"a","text":"","labels":["1","1","1","1"]}'],
    "bad_source": [b'{"id":"a","text":"","source":1}', b'{"id":"a","text":"","source":""}'],
    "bad_version": [b'{"id":"a","text":"","v":2}', b'{"id":"a","text":"","v":"1"}',
                    b'{"id":"a","text":"","v":true}', b'{"id":"a","text":"","v":1.0}',],
    "bad_time": [b'{"id":"a","text":"","ts":"now"}', b'{"id":"a","text":"","ts":true}',
                 b'{"id":"a","text":"","ts":1e300}'],
    "too_large": [
        b'{"id":"123456789","text":""}', b'{"id":"aaaaaaa\xc3\xa9","text":""}',
        b'{"id":"a","text":"","labels":["123456789"]}',
        b'{"id":"a","text":"","labels":[],"labels_checked":["123456789"]}',
        b'{"id":"a","vector":[1,2,3,4,5]}',
        b'{"id":"a","features":{"1":1,"2":1,"3":1,"4":1,"5":1}}',
        b'{"id":"a","text":"' + b"x" * 1_000 + b'"}',
    ],
    "tombstone": [None],
}  # fmt: skip
CASES = [(reason, value) for reason, values in WRONG.items() for value in values]


def test_every_reason_has_a_case() -> None:
    assert set(WRONG) | FROM_THE_PIPELINE == set(REASONS)


@pytest.mark.parametrize(("reason", "value"), CASES, ids=lambda v: repr(v)[:40])
def test_refused_with_its_reason(reason: str, value: bytes | None) -> None:
    with pytest.raises(InvalidRecord) as refused:
        event(value)
    assert refused.value.reason == reason
    assert refused.value.detail
    assert len(refused.value.detail) < 300


def test_limits_are_inclusive() -> None:
    made = event(b'{"id":"12345678","features":{"1":1,"2":1,"3":1,"4":1},"labels":["12345678"]}')
    assert (len(made.id), len(made.features or ())) == (8, 4)
    assert event(b'{"id":"a","text":"","labels":["1","2","3"]}').labels == ("1", "2", "3")
    assert event(b'{"id":"a","vector":[1,2,3,4]}').vector is not None
    frame = b'{"id":"a","text":"%s"}'
    exact = frame % (b"x" * (1_000 - len(frame) + 2))
    assert len(exact) == 1_000
    assert event(exact).text is not None
    with pytest.raises(InvalidRecord, match="limit 1000"):
        event(exact + b" ")


@pytest.mark.parametrize(
    "number", [0, -0.0, 1e-320, 2.9e38, -2.9e38, 18446744073709551615, -9223372036854775808]
)
def test_numbers_that_float32_holds(number: float) -> None:
    made = event(orjson.dumps({"id": "a", "features": {"x": number}}))
    assert made.features == {"x": float(number)}
    vector = event(orjson.dumps({"id": "a", "vector": [number]})).vector
    assert vector is not None
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()


def test_numbers_of_any_size_are_refused_in_kind() -> None:
    """Python's own integers have no end; a caller other than JSON may bring them."""
    with pytest.raises(InvalidRecord) as refused:
        Codec(LIMITS).example({"id": "a", "features": {"x": 10**400}}, 0.0)
    assert refused.value.reason == "bad_features"


def test_deep_version_is_refused_without_showing_it() -> None:
    """Its `repr` would end the process with a RecursionError."""
    deep = b'{"id":"a","text":"","v":' + b"[" * 1_000 + b"]" * 1_000 + b"}"
    with pytest.raises(InvalidRecord, match="`v` is list"):
        Codec(Limits()).event(record(deep))


def test_lone_surrogates_of_another_decoder_are_refused() -> None:
    for fields in ({"id": "\ud800", "text": ""}, {"id": "a", "text": "", "labels": ["\udfff"]}):
        with pytest.raises(InvalidRecord) as refused:
            Codec(LIMITS).example(fields, 0.0)
        assert refused.value.reason == "not_json"


def test_a_whole_event() -> None:
    made = event(b'{"id":"a","text":"words","labels":["x","y","x"],"ts":12.5,"v":1}')
    assert made == Example("a", text="words", labels=("x", "y"), ts=12.5)


def test_absent_and_empty_labels_differ() -> None:
    assert event(b'{"id":"a","text":""}').labels is None
    assert event(b'{"id":"a","text":"","labels":null}').labels is None
    assert event(b'{"id":"a","text":"","labels":[]}').labels == ()
    assert event(b'{"id":"a","labels":[]}').is_feedback


def test_labels_checked_absent_empty_and_beside_others() -> None:
    assert event(b'{"id":"a","text":"","labels":["x"]}').checked is None
    assert event(b'{"id":"a","text":"","labels":["x"],"labels_checked":null}').checked is None
    assert event(b'{"id":"a","text":"","labels":["x"],"labels_checked":[]}').checked == ()
    made = event(b'{"id":"a","labels":["x"],"labels_checked":["y","z","y"]}')
    assert made == Example("a", labels=("x",), ts=1.5, checked=("y", "z"))


def test_time_is_the_records_where_there_is_none() -> None:
    assert event(b'{"id":"a","text":""}').ts == 1.5
    assert event(b'{"id":"a","text":"","ts":0}').ts == 0.0


def test_unknown_fields_are_counted_and_ignored() -> None:
    counted: list[int] = []
    codec = Codec(LIMITS, counted.append)
    codec.event(record(b'{"id":"a","text":"","Text":1,"label":["x"],"v":1}'))
    codec.event(record(b'{"id":"a","text":""}'))
    assert counted == [2]


def test_descriptions() -> None:
    codec = Codec(LIMITS)
    assert codec.description(record(b'{"label":"x","text":"y"}')) == Description("x", "y")
    assert codec.description(record(b'{"label":"x","text":null}')) == Description("x", None)
    assert codec.description(record(None, b"x")) == Description("x", None)


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (None, None, "bad_labels"),
        (None, b"", "bad_labels"),
        (None, b"\xff", "bad_labels"),
        (None, b"123456789", "too_large"),
        (b'{"text":"y"}', b"x", "bad_labels"),
        (b'{"label":"","text":"y"}', b"x", "bad_labels"),
        (b'{"label":"123456789","text":"y"}', b"x", "too_large"),
        (b'{"label":"x","text":1}', b"x", "bad_text"),
        (b"{", b"x", "not_json"),
        (b"x" * 1_001, b"x", "too_large"),
    ],
)
def test_wrong_descriptions(value: bytes | None, key: bytes | None, reason: str) -> None:
    with pytest.raises(InvalidRecord) as refused:
        Codec(LIMITS).description(record(value, key))
    assert refused.value.reason == reason


def event(value: bytes | None) -> Example:
    return Codec(LIMITS).event(record(value))


def record(value: bytes | None, key: bytes | None = b"k") -> Record:
    return Record("t", 0, 0, key, value, timestamp_ms=1_500)
