"""Bodies of answers, as the OpenAPI file shows them; a test holds the real answers to them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from stream.serve.schema import Body


class ScoredLabel(Body):
    """A label with its probability."""

    label: str = Field(examples=["art"])
    score: float = Field(examples=[0.83])


class Reason(Body):
    """Why a label got its score."""

    label: str = Field(examples=["art"])
    score: float = Field(examples=[0.83])
    log_odds: float = Field(description="Of the score; the sum of `parts`.", examples=[1.59])
    partition: int = Field(description="Its partition; -1 until placed.", examples=[7])
    by_index: bool = Field(
        description="Whether it is a candidate by the prototype index, or the request, alone.",
        examples=[False],
    )
    parts: dict[str, float] = Field(
        description="What each expert adds; `partition` is its partition's own correction.",
        examples=[{"vote_10": 1.4, "prior": -0.4, "partition": 0.59}],
    )


class Exemplar(Body):
    """A labelled event like the one asked about, which voted for its labels."""

    similarity: float = Field(
        description="Cosine of the weighed terms; for dense rows of few labels 1/(1 + distance).",
        examples=[0.61],
    )
    ago: int = Field(
        description="Exemplars kept since, itself counted: labelled events, and descriptions.",
        examples=[12],
    )
    labels: list[str] = Field(examples=[["art"]])


class Explanation(Body):
    """Why the labels in `top` got their scores."""

    labels: list[Reason]
    exemplars: list[Exemplar] = Field(description="The nearest ones, five at most.")


class Tagged(Body):
    """The tags of one event."""

    id: str = Field(examples=["a"])
    top: list[ScoredLabel] = Field(description="The k likeliest labels, best first.")
    chosen: list[str] = Field(description="The label set under the objective.", examples=[["art"]])
    position: int = Field(
        description="Labelled events learnt when it was predicted.", examples=[20000]
    )
    explanation: Explanation | None = Field(
        None, description="Only where it was asked for with `explain`."
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
        "global_alarm",
        "partition_alarm",
        "split",
        "merge",
        "new_label",
        "suspicious_label",
        "possible_label",
        "promotion",
        "refusal",
        "rollback",
    ] = Field(examples=["split"])
    scope: str = Field(examples=["partition/7"])
    position: int = Field(examples=[20000])
    evidence: dict[str, Any] = Field(examples=[{"into": [8, 9]}])


class Drifts(Body):
    """The latest changes, newest last."""

    events: list[Drift]


class Node(Body):
    """A partition, or the join of two nodes that are linked more than any others were."""

    id: int = Field(
        description="A partition's is that in /v1/partitions; a join's is negative.", examples=[7]
    )
    parent: int | None = Field(description="None for a root.", examples=[-3])
    partition: bool = Field(description="Whether it is a partition.", examples=[True])
    size: int = Field(description="Labels below it.", examples=[120])
    events: float = Field(description="Events of those labels.", examples=[88.0])
    density: float | None = Field(
        description="How often its two sides occur together against chance; None: a partition.",
        examples=[3.2],
    )
    labels: list[str] = Field(description="A partition's most frequent.", examples=[["art"]])


class Tree(Body):
    """The label hierarchy; each node comes after its parent, the largest first."""

    nodes: list[Node]


class IndexInfo(Body):
    """The prototype index."""

    kind: str = Field(examples=["none"])
    generation: int = Field(description="See /v1/generations.", examples=[0])
    encoder: str = Field(description="What carries events into its space.", examples=["none"])
    plugin: str = Field(description="Name of a plugged encoder, empty for others.", examples=[""])
    labels: int = Field(description="Prototypes in it.", examples=[0])
    reason: str = Field(description="Why this kind.", examples=["every label is scored"])


class ModelInfo(Body):
    """The model as the newest view has it."""

    position: int = Field(description="Labelled events learnt.", examples=[20000])
    learner: Literal["small", "extreme"] = Field(examples=["small"])
    labels: int = Field(description="Labels known, retired ones left out.", examples=[30])
    partitions: int = Field(examples=[4])
    lag: int = Field(description="Records not read yet.", examples=[0])
    threshold: float = Field(description="From which micro-F1 chooses.", examples=[0.31])
    memory_bytes: int = Field(description="Of the learner's arrays.", examples=[1048576])
    index: IndexInfo


class Generation(Body):
    """An encoder with the prototypes and the index of its space."""

    number: int = Field(description="0 is the fixed projection.", examples=[1])
    encoder: str = Field(
        description="Its kind: projection, bag or residual (both learnt), or plugged.",
        examples=["bag"],
    )
    dimension: int = Field(description="Floats of a prototype.", examples=[256])
    state: Literal["in use", "before", "being made"] = Field(examples=["in use"])
    labels: int = Field(description="Prototypes; of one being made, to begin with.", examples=[900])


class Training(Body):
    """Whether challengers are trained."""

    state: Literal["on", "waiting", "held", "off"] = Field(examples=["on"])
    reason: str = Field(examples=["challengers are trained beside the stream"])


class Generations(Body):
    """The generations of the prototype index."""

    generations: list[Generation]
    training: Training
    verdicts: list[Drift] = Field(description="What came of the last challengers, newest last.")


class RolledBack(Body):
    """Which generation is to take over; it does so once its index is filled."""

    from_: int = Field(alias="from", description="The one in use.", examples=[2])
    to: int = Field(description="The one before.", examples=[1])


class Resumed(Body):
    """Challengers are trained again."""

    training: Literal["resumed"] = Field(examples=["resumed"])


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
    error: str | None = Field(None, description="The detail once more, under /v2 alone.")
