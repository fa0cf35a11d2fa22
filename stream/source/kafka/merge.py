"""One order over the partitions of a topic, the same for every member that reads them.

Members learn all partitions, and what is learnt depends on the order. So partitions are merged by
the time of their records, always the head with the smallest. That order follows from the records
alone, but for times far in the future, which go by our clock. It can only be kept where every head
is known: a partition that is being fetched is waited for, and one that is read to its end for
`hold_s` after a record's arrival, in which an older record may still come. One that comes later
than that is merged where it comes, perhaps elsewhere than on another member. Partitions of other
topics are merged where they come too.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from stream.types import Record, TopicPartition

STUCK_S = 2.0  # of asking for a partition that does not come; then it is not waited for
FUTURE_MS = 60_000  # times further ahead count as that of the record before
LOOK_S = 0.1  # what lies between two calls counts as waiting for no longer than that


@dataclass
class _Queue:
    """Records of one partition, each with its place in time and when the waiting for it began."""

    records: deque[tuple[int, Record, float]] = field(default_factory=deque)
    last_ms: int = 0
    size: int = 0

    def put(self, record: Record, since: float, now_ms: int) -> None:
        if record.timestamp_ms <= now_ms + FUTURE_MS:
            self.last_ms = record.timestamp_ms
        self.records.append((self.last_ms, record, since))
        self.size += len(record.value or b"")

    def take(self) -> Record:
        record = self.records.popleft()[1]
        self.size -= len(record.value or b"")
        return record


class Merge:
    """Records that were fetched and are not delivered yet.

    Parameters
    ----------
    hold_s
        Seconds that a record waits for older ones of partitions that are read to their end. What
        lies between two calls counts for half of that at most, and for no more than `LOOK_S`: while
        nobody asks, nothing comes.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._queues: dict[TopicPartition, _Queue] = {}
        self._asked_s: dict[TopicPartition, float] = {}
        """How long each partition that does not come has been asked for."""
        self._look_s = min(LOOK_S, hold_s / 2)
        self._last = self._asked = self._waited = 0.0

    def __len__(self) -> int:
        return sum(len(queue.records) for queue in self._queues.values())

    def waiting(self, at: TopicPartition) -> int:
        """How many records of a partition wait."""
        queue = self._queues.get(at)
        return 0 if queue is None else len(queue.records)

    def size(self, at: TopicPartition) -> int:
        """Bytes of the records of a partition that wait."""
        queue = self._queues.get(at)
        return 0 if queue is None else queue.size

    def put(self, at: TopicPartition, records: Iterable[Record], now: float, now_ms: int) -> None:
        """Take fetched records of a partition in, in order.

        Parameters
        ----------
        now, now_ms
            Monotonic seconds; milliseconds since the epoch.
        """
        queue = self._queues.setdefault(at, _Queue())
        self._pass(now)
        for record in records:
            queue.put(record, self._waited, now_ms)
        self._asked_s.pop(at, None)

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget what waits of these; they are fetched anew or not at all."""
        for at in partitions:
            self._queues.pop(at, None)
            self._asked_s.pop(at, None)

    def take(
        self, most: int, now: float, others: Collection[TopicPartition],
        at_end: Callable[[TopicPartition], bool],
    ) -> list[Record]:  # fmt: skip
        """The next records that are sure to be next, at most `most`.

        Parameters
        ----------
        now
            As in `put`.
        others
            Partitions that a record has to wait for, where nothing of them is here.
        at_end
            Whether a partition is read to its end.
        """
        ended = {at: at_end(at) for at in others}  # first: what it raises must lose nothing
        missing = {at for at in others if not self.waiting(at)}
        self._pass(now)
        fetching = self._waited_for((at for at in missing if not ended[at]), now)
        heads = [(q.records[0][0], *at) for at, q in self._queues.items() if q.records]
        heapq.heapify(heads)
        taken: list[Record] = []
        while heads and len(taken) < most and not fetching:
            _, topic, partition = heads[0]
            at = TopicPartition(topic, partition)
            queue = self._queues[at]
            if missing and self._waited < queue.records[0][2] + self._hold_s:
                break
            taken.append(queue.take())
            if queue.records:
                heapq.heapreplace(heads, (queue.records[0][0], topic, partition))
                continue
            heapq.heappop(heads)
            if at in others:
                missing.add(at)
                fetching = fetching or not ended[at]
        return taken

    def _pass(self, now: float) -> None:
        """Count what has been waited since the call before."""
        self._waited += min(now - self._last, self._look_s)
        self._last = now

    def _waited_for(self, fetching: Iterable[TopicPartition], now: float) -> bool:
        """Whether any of these partitions is still to be waited for."""
        passed, self._asked = min(now - self._asked, LOOK_S), now
        self._asked_s = {at: self._asked_s.get(at, 0.0) + passed for at in fetching}
        return any(seconds <= STUCK_S for seconds in self._asked_s.values())
