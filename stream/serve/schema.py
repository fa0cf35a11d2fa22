"""Bodies of requests, as the OpenAPI file shows them.

What is inside an event is checked by `stream.codec` alone, so that HTTP and Kafka can not come to
differ; the JSON schemas of events here only document it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, WithJsonSchema

MOST_K = 1_000
MOST_AMONG = 100
"""Labels that a request may be confined to."""
MOST_EXPLAINED = 16
"""Events of a request that can be explained."""

_PAYLOADS: dict[str, Any] = {
    "text": {"type": "string", "description": "Text to tag."},
    "features": {
        "type": "object",
        "additionalProperties": {"type": "number"},
        "description": "Sparse or tabular features: name to number.",
    },
    "vector": {
        "type": "array",
        "items": {"type": "number"},
        "description": "A dense vector; its length is fixed by the first event of the stream.",
    },
}
_ID = {"type": "string", "minLength": 1, "description": "At most `limits.id_bytes` bytes."}
_LABELS = {"type": "array", "items": {"type": "string", "minLength": 1}}
_CHECKED = _LABELS | {
    "description": "The labels that were looked for; others not given are unknown. Default: all."
}
_SOURCE = {
    "type": "string",
    "minLength": 1,
    "description": "Who labelled it; where tokens are asked for, the token's name stands instead.",
}

_QUESTION = {
    "title": "Question",
    "type": "object",
    "description": "Exactly one of text, features and vector; the id defaults to the index.",
    "properties": {"id": _ID, **_PAYLOADS},
    "examples": [{"id": "a", "text": "late gothic altarpieces"}],
}
_EVENT = {
    "title": "Event",
    "type": "object",
    "description": "An id and one of text, features and vector; without those, late labels.",
    "properties": {
        "id": _ID,
        **_PAYLOADS,
        "labels": _LABELS,
        "labels_checked": _CHECKED,
        "source": _SOURCE,
        "ts": {"type": "number", "description": "Event time in seconds."},
        "v": {"type": "integer", "const": 1},
    },
    "required": ["id"],
    "examples": [{"id": "a", "text": "late gothic altarpieces", "labels": ["art"]}],
}
_FEEDBACK = {
    "title": "Feedback",
    "type": "object",
    "description": "Late labels of an earlier event, joined by its id.",
    "properties": {"id": _ID, "labels": _LABELS, "labels_checked": _CHECKED, "source": _SOURCE},
    "required": ["id", "labels"],
    "examples": [{"id": "a", "labels": ["art"]}],
}

# of a list with a million wrong entries one error is enough
_MANY = Field(min_length=1, description="At most `serve.request_events`.")
Fields = dict[str, Any]


class Body(BaseModel):
    """Strict: no coercion, no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class PredictRequest(Body):
    """Events to tag."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"events": [{"id": "a", "text": "late gothic altarpieces"}], "k": 5},
                {
                    "events": [{"id": "a", "text": "late gothic altarpieces"}],
                    "labels": ["art", "music"],
                    "threshold": 0.01,
                    "explain": True,
                },
            ]
        }
    )
    events: Annotated[
        list[Annotated[Fields, WithJsonSchema(_QUESTION)]],
        FailFast(),
        _MANY,
    ]
    k: int | None = Field(
        None, ge=1, le=MOST_K, description="Labels for each event; default `learn.top_k`."
    )
    threshold: float = Field(
        0.0, ge=0, le=1, description="The least score of a label in `top`; `chosen` is as it is."
    )
    labels: list[Annotated[str, Field(min_length=1)]] | None = Field(
        None,
        min_length=1,
        max_length=MOST_AMONG,
        description="Known labels, of which alone to answer; each is scored, likely or not.",
    )
    explain: bool = Field(
        False,
        description=f"Say why each label in `top` got its score; {MOST_EXPLAINED} events at most.",
    )


class DescribeRequest(Body):
    """What a label means."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"description": "Fine art of all periods"}]}
    )
    description: str = Field(
        min_length=1, description="In words; it is found by them before its first event."
    )


class EventsRequest(Body):
    """Events to send the way that all events come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"events": [{"id": "a", "text": "late gothic altarpieces", "labels": ["art"]}]}
            ]
        }
    )
    events: Annotated[
        list[Annotated[Fields, WithJsonSchema(_EVENT)]],
        FailFast(),
        _MANY,
    ]


class FeedbackRequest(Body):
    """Labels of events sent earlier."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"events": [{"id": "a", "labels": ["art"]}]}]}
    )
    events: Annotated[
        list[Annotated[Fields, WithJsonSchema(_FEEDBACK)]],
        FailFast(),
        _MANY,
    ]
