"""What the endpoint may ask: an immutable view of the model, and a way in for events.

The endpoint knows only these interfaces, so that the view may later live in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stream.types import DriftEvent, Example, Prediction


@dataclass(frozen=True)
class LabelInfo:
    """What is known of one label; `partition` is -1 until it has been placed."""

    label: str
    id: int
    events: int
    partition: int
    retired: bool
    description: str | None


@dataclass(frozen=True)
class PartitionInfo:
    """A label partition: `labels` holds its most frequent ones, `size` counts all."""

    id: int
    size: int
    events: float
    labels: tuple[str, ...] = field(default=())


class View(Protocol):
    """One state of the model; every call on it answers from that state. Thread-safe."""

    @property
    def position(self) -> int:
        """Labelled events learnt when the view was made."""
        ...

    def predict(self, examples: Sequence[Example], k: int) -> list[Prediction]:
        """Tag each example with its k likeliest labels.

        Raises
        ------
        InvalidRecord
            A payload does not fit the stream (such as a vector of another length).
        """
        ...

    def label(self, name: str) -> LabelInfo | None:
        """One label, or None when it was never seen."""
        ...

    def labels(self, prefix: str, most: int) -> list[str]:
        """At most `most` labels that start with `prefix`."""
        ...

    def partitions(self) -> list[PartitionInfo]:
        """All partitions, largest first."""
        ...

    def drift(self) -> Sequence[DriftEvent]:
        """The latest drift events, newest last; bounded."""
        ...

    def model(self) -> dict[str, Any]:
        """Position, sizes, memory, index kind and the reason for it; plain JSON."""
        ...


class ViewSource(Protocol):
    """Hands out the newest view."""

    def current(self) -> View:
        """The newest view.

        Raises
        ------
        NotReady
            There is none yet.
        """
        ...

    def status(self) -> dict[str, Any]:
        """`ready` (bool), `reason` (why not), `lag` (records), `position`, `problems`; plain JSON.

        Problems are sentences about what is wrong while requests can still be answered.
        """
        ...


class Inlet(Protocol):
    """Takes events in by HTTP and sends them the way that all events come."""

    def send(self, events: Sequence[tuple[bytes, bytes]]) -> None:
        """Send (key, value) pairs; returns when all of them are safe.

        Raises
        ------
        Unavailable
            They could not all be delivered; ask again.
        """
        ...
