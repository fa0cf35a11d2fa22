"""A source without a broker: a file, a folder or a generator, and events sent in by HTTP.

Partition 0 is replayed from its start at every run, so that positions hold over restarts;
partition 1 takes what is sent in while it runs and is gone with the process, and so does the
partition of the labels topic.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from stream.config import Topics
from stream.errors import SourceError, Unavailable
from stream.source.base import Lease
from stream.types import Record, TopicPartition

_ROOM = 100_000  # events sent in that may wait

Pairs = Iterator[tuple[bytes, bytes]]


class LocalSource:
    """Delivers (key, value) pairs as records of one topic.

    Parameters
    ----------
    pairs
        Makes an iterator anew that begins at the given pair; always of the same pairs.
    topics
        Names of those that the records claim to come from.
    total
        How many pairs there are, 0 when there is no end; for the lag.
    """

    def __init__(self, pairs: Callable[[int], Pairs], topics: Topics, total: int = 0) -> None:
        self._pairs = pairs
        self._iterator = pairs(0)
        self._at = TopicPartition(topics.events, 0)
        self._sent = TopicPartition(topics.events, 1)
        self._told = TopicPartition(topics.labels, 0)
        self._total = total
        self._position = 0
        self._done = False
        self._number = {self._sent: 0, self._told: 0}
        self._inbox: dict[TopicPartition, deque[tuple[bytes, bytes | None]]] = {
            at: deque() for at in self._number
        }
        self._lock = threading.Lock()
        self._held: set[TopicPartition] = set()
        self._lease = Lease({self._at: 0, self._sent: 0})

    def partitions(self) -> Sequence[TopicPartition]:
        """All three partitions."""
        return [self._at, self._sent, self._told]

    def topic_ids(self) -> Mapping[str, str]:
        """Local records have no identity of their own."""
        return {}

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go to an offset of partition 0; what was before is skipped and not published again."""
        wanted = positions.get(self._at, self._position)
        self._number = {at: positions.get(at, number) for at, number in self._number.items()}
        if wanted != self._position:
            self._iterator = self._pairs(wanted)
            self._position = wanted
            self._done = False
        self._held.difference_update(positions)
        self._lease = Lease({self._at: wanted, self._sent: self._number[self._sent]})

    def poll(self, most: int, timeout_s: float) -> Sequence[Record]:
        """At most `most` records; those sent in come first."""
        records: list[Record] = []
        with self._lock:
            for at, inbox in self._inbox.items():
                while inbox and len(records) < most and at not in self._held:
                    records.append(self._record(at, self._number[at], *inbox.popleft()))
                    self._number[at] += 1
        held = self._at in self._held  # a file that is held has come to its end
        for key, value in itertools.islice(self._iterator, 0 if held else most - len(records)):
            records.append(self._record(self._at, self._position, key, value))
            self._position += 1
        if len(records) < most and not self._done:
            self._done = True
        if not records:
            time.sleep(timeout_s)
        return records

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver no more of partition 0, or of what is sent in, until the next seek to it."""
        self._held.update(partitions)

    def beat(self) -> None:
        """Nothing waits for it."""

    def lease(self) -> Lease:
        """All events are ours."""
        return self._lease

    def lag(self) -> int:
        """Records of a file that are left, and those sent in."""
        return max(self._total - self._position, 0) + self._waiting()

    def finished(self) -> bool:
        """Whether the iterator has ended and nothing waits."""
        return self._done and not self._waiting()

    def send(self, events: Sequence[tuple[bytes, bytes]]) -> None:
        """Take events in from another thread; see `stream.serve.view.Inlet`."""
        self._take_in(self._sent, events)

    def describe(self, labels: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Take descriptions of labels in from another thread."""
        self._take_in(self._told, labels)

    def _take_in(self, at: TopicPartition, pairs: Sequence[tuple[bytes, bytes | None]]) -> None:
        with self._lock:
            if self._waiting() + len(pairs) > _ROOM:
                raise Unavailable("too many events wait to be read; send them again later")
            self._inbox[at].extend(pairs)

    def _waiting(self) -> int:
        return sum(len(inbox) for inbox in self._inbox.values())

    def close(self) -> None:
        """Nothing to release."""

    def _record(self, at: TopicPartition, offset: int, key: bytes, value: bytes | None) -> Record:
        return Record(at.topic, at.partition, offset, key, value, int(time.time() * 1_000))


def jsonl(path: Path) -> Pairs:
    """Lines of a JSONL file of events as (key, value); the key is the event's id.

    Lines that are no event are passed on with an empty key, for the dead letters.
    """
    try:
        with path.open("rb") as lines:
            for line in lines:
                if text := line.strip():
                    yield _key(text), text
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from None


def _key(text: bytes) -> bytes:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError:
        return b""
    identity = fields.get("id") if isinstance(fields, dict) else None
    return identity.encode("utf-8", "replace") if isinstance(identity, str) else b""
