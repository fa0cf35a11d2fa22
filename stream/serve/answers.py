"""Bodies of answers, as the OpenAPI file shows them; a test holds the real answers to them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from stream.serve.schema import Body


class ScoredLabel(Body):
    """A label with its probability."""

    label: str = Field(examples=["art"])
    score: float = Field(examples=[0.83])


class Tagged(Body):
    """The tags of one event."""

    id: str = Field(examples=["a"])
    top: list[ScoredLabel] = Field(description="The k likeliest labels, best first.")
    chosen: list[str] = Field(description="The label set under the objective.", examples=[["art"]])
    position: int = Field(
        description="Labelled events learnt when it was predicted.", examples=[20000]
    )


class PredictResponse(Body):
    """One prediction for each event, in the order of the request, all from one state."""

    predictions: list[Tagged]


class Accepted(Body):
    """How many events were taken; they are safe in the event topic, not learnt yet."""

    accepted: int = Field(examples=[1])


class Label(Body):
    """What is known of a label."""

    label: str = Field(examples=["art"])
    id: int = Field(description="Its stable id; 63 bits, so parse it as an integer.", examples=[42])
    events: int = Field(description="Labelled events that carried it.", examples=[310])
    partition: int = Field(description="Its partition; -1 until placed.", examples=[7])
    retired: bool = Field(examples=[False])
    description: str | None = Field(examples=["Fine art of all periods"])


class Labels(Body):
    """Labels that start with the prefix; `more` when the limit cut the list."""

    labels: list[str] = Field(examples=[["art", "art history"]])
    more: bool = Field(examples=[False])


class Partition(Body):
    """A group of labels that occur together."""

    id: int = Field(examples=[7])
    size: int = Field(description="Labels in it.", examples=[120])
    events: float = Field(description="Decayed number of events that touched it.", examples=[88.5])
    labels: list[str] = Field(description="Its most frequent labels.", examples=[["art"]])


class Partitions(Body):
    """A page of partitions, largest first; `total` counts all of them."""

    partitions: list[Partition]
    total: int = Field(examples=[1])


class Drift(Body):
    """A change that the model noticed or made."""

    kind: Literal[
        "global_alarm", "partition_alarm", "split", "merge", "new_label", "suspicious_label"
    ] = Field(examples=["split"])
    scope: str = Field(examples=["partition/7"])
    position: int = Field(examples=[20000])
    evidence: dict[str, Any] = Field(examples=[{"into": [8, 9]}])


class Drifts(Body):
    """The latest changes, newest last."""

    events: list[Drift]


class FieldError(Body):
    """What is wrong with one part of the request."""

    field: str = Field(examples=["events.0"])
    message: str = Field(examples=["no_payload: give `text`, `features` or `vector`"])


class Problem(Body):
    """An error, after RFC 9457."""

    type: str = Field(examples=["/problems/invalid-request"])
    title: str = Field(examples=["The request does not fit"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["events.0: no_payload: give `text`, `features` or `vector`"])
    errors: list[FieldError]
