"""Whatever the bytes: an example or an InvalidRecord with a known reason, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.codec import FIELDS, REASONS, Codec
from stream.config import Limits
from stream.errors import InvalidRecord
from stream.types import Example, Record

LIMITS = Limits(labels=5, features=6, label_bytes=20, id_bytes=20, record_bytes=2_000)

scalar = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=30)
)
anything = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)
number = st.integers(-(2**63), 2**64 - 1) | st.floats()
nearly = st.fixed_dictionaries(
    {"id": st.text(max_size=25) | anything},
    optional={
        "text": st.text(max_size=30) | anything,
        "features": st.dictionaries(st.text(max_size=5), number, max_size=8) | anything,
        "vector": st.lists(number, max_size=8) | anything,
        "labels": st.lists(st.text(max_size=25), max_size=7) | anything,
        "ts": number | anything,
        "v": st.just(1) | anything,
        "more": anything,
    },
)


@given(st.binary(max_size=200), st.none() | st.binary(max_size=30))
def test_any_bytes(value: bytes, key: bytes | None) -> None:
    judge(value, key)


@settings(max_examples=300)
@given(anything | nearly)
def test_any_json(value: Any) -> None:
    judge(dumps(value), b"key")


@settings(max_examples=300)
@given(nearly, st.data())
def test_json_with_bytes_broken(value: Any, data: st.DataObject) -> None:
    text = bytearray(dumps(value))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.integers(0, 255))
    judge(bytes(text), b"key")


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), anything))
def test_any_fields_from_another_decoder(fields: dict[str, Any]) -> None:
    known(lambda: whole(Codec(LIMITS).example(fields, 0.0)))


def judge(value: bytes, key: bytes | None) -> None:
    codec = Codec(LIMITS)
    record = Record("t", 0, 0, key, value)
    known(lambda: whole(codec.event(record)))
    known(lambda: codec.description(record))


def known(decode: Callable[[], object]) -> None:
    """Decoding works, or fails with one of the reasons."""
    try:
        decode()
    except InvalidRecord as error:
        reason = error.reason
    else:
        return
    assert reason in REASONS


def whole(made: Example) -> None:
    """What is let pass keeps the contract."""
    assert 0 < len(made.id.encode()) <= LIMITS.id_bytes
    payloads = [one for one in (made.text, made.features, made.vector) if one is not None]
    assert len(payloads) == 1 or (not payloads and made.labels is not None)
    labels = made.labels or ()
    assert len(set(labels)) == len(labels) <= LIMITS.labels
    assert all(0 < len(label.encode()) <= LIMITS.label_bytes for label in labels)
    numbers = [*(made.features or {}).values(), made.ts]
    assert np.isfinite(np.array(numbers, np.float32)).all()
    assert made.vector is None or np.isfinite(made.vector).all()


def dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate has no UTF-8
        return b'"\\ud800"'
