"""What the runner asks of a source, and the rules that every source keeps.

Offsets
    Within a partition, records are delivered in rising offset order, each once, from the
    position on. Offsets may have gaps. A position is the offset of the *next* record.
Positions
    `seek` sets them before the first poll or at any later time; a record polled before a seek
    is never delivered by that seek's continuation twice unless the seek goes back to it.
Lease
    The lease names the partitions whose predictions this member publishes, from which offset
    on. It is an immutable object; a new object means a new lease. Records of all partitions
    are delivered, leased or not.
Not promised
    Any order between partitions; any bound on the time between a produce and its delivery.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stream.errors import CommitFailed
from stream.types import Record, TopicPartition

MADE_ANEW = (
    "its offsets mean other records now: set those that the group has committed back to the start, "
    "or take another kafka.group, and start with an empty folder"
)
"""What to do where a topic was deleted and made anew."""


@dataclass(frozen=True, eq=False)
class Lease:
    """The right to publish predictions of some partitions; compared by identity.

    Parameters
    ----------
    published
        For each leased partition, the first offset not yet published by anyone.
    token
        What the sink needs to commit under this lease (Kafka: the group metadata).
    """

    published: Mapping[TopicPartition, int] = field(default_factory=dict)
    token: Any = None


class Source(Protocol):
    """Delivers records and the lease. Used by one thread only."""

    def partitions(self) -> Sequence[TopicPartition]:
        """All partitions that records come from now."""
        ...

    def topic_ids(self) -> Mapping[str, str]:
        """The identity of each topic, which changes when it is deleted and made anew."""
        ...

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go to the offset of the next record wanted.

        Raises
        ------
        RetentionGap
            The source no longer holds records from that position on.
        """
        ...

    def poll(self, most: int, timeout_s: float) -> Sequence[Record]:
        """Wait up to `timeout_s` seconds; return at most `most` records, perhaps none."""
        ...

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver no more of these partitions until the next `seek` to them."""
        ...

    def beat(self) -> None:
        """Show that the pipeline is alive, where nothing is polled for a while."""
        ...

    def lease(self) -> Lease:
        """The lease in force; the same object until it changes."""
        ...

    def lag(self) -> int:
        """Records that are there but not delivered yet, as last known."""
        ...

    def finished(self) -> bool:
        """Whether no record will ever come again (files end; topics do not)."""
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


@dataclass(frozen=True)
class Outgoing:
    """One record to publish; `topic` is the real topic name."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Unpublishable(CommitFailed):
    """Some records can never be published, such as one too large for its topic.

    It stands here, not in `stream.errors`, since only sinks and the commit thread know it.

    Parameters
    ----------
    places
        Which ones, by their places in the call; at least one.
    """

    retriable = False

    def __init__(self, message: str, places: Sequence[int], *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.places = tuple(places)


class Sink(Protocol):
    """Publishes records together with the positions that they stand for."""

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        """Publish all records and positions, or none. Blocks until it is certain.

        Raises
        ------
        CommitFailed
            Nothing was published; the same call may be made again if it is `retriable`.
        Unpublishable
            Nothing was published; the call may be made again without the records it names.
        LeaseLost
            Nothing was published; the lease belongs to another member now.
        Fenced
            Nothing was published and this process must end.
        """
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...
