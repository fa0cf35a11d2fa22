"""Answers of the endpoint, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scored:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Reason:
    """Why a label got its score: `parts`, by expert, sum to its `log_odds`."""

    label: str
    score: float
    log_odds: float
    partition: int
    by_index: bool
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Exemplar:
    """A labelled event like the one asked about, and how many events ago it was."""

    similarity: float
    ago: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Why an event got its labels."""

    labels: tuple[Reason, ...]
    exemplars: tuple[Exemplar, ...]


@dataclass(frozen=True)
class Tagged:
    """The labels of one event.

    Parameters
    ----------
    id
        Of the event; where none was given, its place in the request.
    top
        The likeliest labels, best first.
    chosen
        The set that fits the service's objective best.
    position
        Labelled events that the model had learnt.
    explanation
        Where it was asked for.
    """

    id: str
    top: tuple[Scored, ...]
    chosen: tuple[str, ...]
    position: int
    explanation: Explanation | None = None


def tagged(body: Any) -> list[Tagged]:
    """What /v1/predict answered."""
    return [
        Tagged(
            one["id"],
            tuple(Scored(each["label"], each["score"]) for each in one["top"]),
            tuple(one["chosen"]),
            one["position"],
            _explained(one.get("explanation")),
        )
        for one in body["predictions"]
    ]


def _explained(body: Any) -> Explanation | None:
    if body is None:
        return None
    found = [(one["similarity"], one["ago"], tuple(one["labels"])) for one in body["exemplars"]]
    return Explanation(
        tuple(Reason(**one) for one in body["labels"]), tuple(Exemplar(*one) for one in found)
    )
