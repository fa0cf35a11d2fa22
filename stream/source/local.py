"""A source without a broker: a file, a folder or a generator, and events sent in by HTTP.

Partition 0 is replayed from its start at every run, so that positions hold over restarts;
partition 1 takes what is sent in while it runs and is gone with the process.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

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
    topic
        Name of the topic that the records claim to come from.
    total
        How many pairs there are, 0 when there is no end; for the lag.
    """

    def __init__(self, pairs: Callable[[int], Pairs], topic: str, total: int = 0) -> None:
        self._pairs = pairs
        self._iterator = pairs(0)
        self._at = TopicPartition(topic, 0)
        self._sent = TopicPartition(topic, 1)
        self._total = total
        self._position = 0
        self._done = False
        self._inbox: deque[tuple[bytes, bytes]] = deque()
        self._number = 0
        self._lock = threading.Lock()
        self._held: set[TopicPartition] = set()
        self._lease = Lease({self._at: 0, self._sent: 0})

    def partitions(self) -> Sequence[TopicPartition]:
        """Both partitions."""
        return [self._at, self._sent]

    def topic_ids(self) -> Mapping[str, str]:
        """Local records have no identity of their own."""
        return {}

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go to an offset of partition 0; what was before is skipped and not published again."""
        wanted = positions.get(self._at, self._position)
        self._number = positions.get(self._sent, self._number)
        if wanted != self._position:
            self._iterator = self._pairs(wanted)
            self._position = wanted
            self._done = False
        self._held.difference_update(positions)
        self._lease = Lease({self._at: wanted, self._sent: self._number})

    def poll(self, most: int, timeout_s: float) -> Sequence[Record]:
        """At most `most` records; those sent in come first."""
        records: list[Record] = []
        with self._lock:
            while self._inbox and len(records) < most and self._sent not in self._held:
                key, value = self._inbox.popleft()
                records.append(self._record(self._sent, self._number, key, value))
                self._number += 1
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
        """Everything is ours."""
        return self._lease

    def lag(self) -> int:
        """Records of a file that are left, and those sent in."""
        return max(self._total - self._position, 0) + len(self._inbox)

    def finished(self) -> bool:
        """Whether the iterator has ended and nothing waits."""
        return self._done and not self._inbox

    def send(self, events: Sequence[tuple[bytes, bytes]]) -> None:
        """Take events in from another thread; see `stream.serve.view.Inlet`."""
        with self._lock:
            if len(self._inbox) + len(events) > _ROOM:
                raise Unavailable("too many events wait to be read; send them again later")
            self._inbox.extend(events)

    def close(self) -> None:
        """Nothing to release."""

    def _record(self, at: TopicPartition, offset: int, key: bytes, value: bytes) -> Record:
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
