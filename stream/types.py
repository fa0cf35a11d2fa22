"""Value types that cross module borders; all immutable, none with behaviour of its own.

Arrays in them are read-only by convention: whoever needs to change one copies it first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


class TopicPartition(NamedTuple):
    """A partition of a topic, the unit of order and of offsets."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as a source delivered it, undecoded.

    Parameters
    ----------
    topic, partition, offset
        Where it lies; offsets rise within a partition, with gaps.
    key, value
        The raw bytes; a `value` of None is a tombstone.
    timestamp_ms
        The record's own time in milliseconds since the epoch.
    headers
        Name and bytes of each header, in order.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def at(self) -> TopicPartition:
        """The partition that the record lies in."""
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Example:
    """A decoded event: one payload, and labels where it is labelled.

    Exactly one of `text`, `features` and `vector` is set, or none for feedback
    (late labels of an earlier event, joined by `id`). `checked` are the labels looked for; where
    it is set, other labels that were not given are unknown. `source` is who labelled it.
    """

    id: str
    text: str | None = None
    features: dict[str, float] | None = None
    vector: Float32 | None = None
    labels: tuple[str, ...] | None = None
    ts: float = 0.0
    checked: tuple[str, ...] | None = None
    source: str | None = None

    @property
    def is_feedback(self) -> bool:
        """Whether only an id and labels were sent."""
        return self.text is None and self.features is None and self.vector is None


@dataclass(frozen=True, slots=True)
class Description:
    """What a label means, in words; `text` None retires the label."""

    label: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Scored:
    """A label with its probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The tags of one event.

    Parameters
    ----------
    id
        The event's id.
    top
        The k likeliest labels, best first.
    chosen
        The label set under the configured objective; a subset of what was scored.
    position
        How many labelled events the model had learnt when it predicted.
    late
        True when predicted while catching up after a lease moved; such
        predictions are left out of prequential scores.
    """

    id: str
    top: tuple[Scored, ...]
    chosen: tuple[str, ...]
    position: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """A change that the model noticed or made.

    `kind` is one of `global_alarm`, `partition_alarm`, `split`, `merge`, `new_label`,
    `suspicious_label`, `possible_label`, and of the index's encoder `promotion`, `refusal`,
    `rollback`; `scope` is `global`, `partition/N`, `label/NAME`, `cluster/N` or `encoder`;
    `evidence` is plain JSON.
    """

    kind: str
    scope: str
    position: int
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be used, with its reason (see `stream.codec.REASONS`)."""

    record: Record
    reason: str
    detail: str
