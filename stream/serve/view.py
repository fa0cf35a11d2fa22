"""What the endpoint may ask: an immutable view of the model, and a way in for events.

The endpoint knows only these interfaces, so that the view may later live in another process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class Reasons:
    """Why a label got its score: the parts of its log odds by expert, which sum to them.

    `partition` is -1 where it has none; `by_index` says that only the prototype index found it.
    """

    label: str
    score: float
    log_odds: float
    partition: int
    by_index: bool
    parts: dict[str, float]


@dataclass(frozen=True)
class Exemplar:
    """A labelled event that is like the one asked about; `ago` counts exemplars kept since."""

    similarity: float
    ago: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Why an event got its tags."""

    labels: tuple[Reasons, ...]
    exemplars: tuple[Exemplar, ...]


@dataclass(frozen=True)
class TreeNode:
    """A node of the label hierarchy: a partition, or two nodes that are joined.

    Parameters
    ----------
    id
        Its number: of a partition that which `PartitionInfo` has, of a join a negative one.
    parent
        The node above it, None for a root.
    partition
        Whether it is a partition; else it has two children.
    size, events
        Labels, and decayed events, below it.
    density
        How much more its children are linked than chance would have it; None for partitions.
    labels
        The most frequent labels of a partition.
    """

    id: int
    parent: int | None
    partition: bool
    size: int
    events: float
    density: float | None
    labels: tuple[str, ...] = ()


class View(Protocol):
    """One state of the model; every call on it answers from that state. Thread-safe."""

    @property
    def position(self) -> int:
        """Labelled events learnt when the view was made."""
        ...

    def predict(
        self, examples: Sequence[Example], k: int, among: Sequence[str] = ()
    ) -> list[Prediction]:
        """Tag each example with its k likeliest labels, `among` known ones where they are given.

        Raises
        ------
        InvalidRecord
            A payload does not fit the stream (such as a vector of another length).
        """
        ...

    def explain(self, example: Example, labels: Sequence[str]) -> Explanation:
        """Why labels got their scores; those that were not scored are left out."""
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

    def tree(self, most: int) -> list[TreeNode]:
        """At most `most` nodes of the label hierarchy, the largest first, each after its parent."""
        ...

    def accuracies(self) -> dict[int, float]:
        """Share of a partition's labels that were found of late, by partition."""
        ...

    def drift(self) -> Sequence[DriftEvent]:
        """The latest drift events, newest last; bounded."""
        ...

    def model(self) -> dict[str, Any]:
        """Position, sizes, memory, index kind and the reason for it; plain JSON."""
        ...

    def generations(self) -> Mapping[str, Any]:
        """`generations` of the index, the state of `training`, the last `verdicts`; plain JSON."""
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

    def order(self, what: Mapping[str, Any]) -> None:
        """Give the pipeline an order, plain JSON; see `stream.generations.telling.obey`.

        Raises
        ------
        Conflict
            There is no stream here that could obey.
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

    def describe(self, labels: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Send (label, description) pairs, None for one to retire; otherwise as `send`."""
        ...
