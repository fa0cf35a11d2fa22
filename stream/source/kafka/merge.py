"""One order over several partitions, the same for every member that reads them.

Members learn all partitions, and what is learnt depends on the order. So partitions are merged by
the time of their records, always the head with the smallest; that order follows from the records
alone. It can only be kept where every head is known: a partition that is being fetched is waited
for, and one that is read to its end for `hold_s` after a record's arrival, in which an older
record may still come. One that comes later than that is merged where it comes, perhaps elsewhere
than on another member.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from stream.types import Record, TopicPartition

STUCK_S = 2.0  # a partition that cannot be fetched is not waited for any longer
FUTURE_MS = 60_000  # times further ahead count as that of the record before


@dataclass
class _Queue:
    """Records of one partition, each with its place in time and the moment of its arrival."""

    records: deque[tuple[int, Record, float]] = field(default_factory=deque)
    last_ms: int = 0


class Merge:
    """Records that were fetched and are not delivered yet.

    Parameters
    ----------
    hold_s
        Seconds that a record waits for older ones of partitions that are read to their end.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._queues: dict[TopicPartition, _Queue] = {}
        self._stuck_since: float | None = None

    def __len__(self) -> int:
        return sum(len(queue.records) for queue in self._queues.values())

    def waiting(self, at: TopicPartition) -> int:
        """How many records of a partition wait."""
        queue = self._queues.get(at)
        return 0 if queue is None else len(queue.records)

    def put(self, at: TopicPartition, records: Iterable[Record], now: float, now_ms: int) -> None:
        """Take fetched records of a partition in, in order.

        Parameters
        ----------
        now, now_ms
            Monotonic seconds; milliseconds since the epoch.
        """
        queue = self._queues.setdefault(at, _Queue())
        for record in records:
            if record.timestamp_ms <= now_ms + FUTURE_MS:
                queue.last_ms = record.timestamp_ms
            queue.records.append((queue.last_ms, record, now))

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget what waits of these; they are fetched anew or not at all."""
        for at in partitions:
            self._queues.pop(at, None)

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
        missing = [at for at in others if not self.waiting(at)]
        fetching = not all(map(at_end, missing))
        heads = [(q.records[0][0], *at) for at, q in self._queues.items() if q.records]
        heapq.heapify(heads)
        taken: list[Record] = []
        while heads and len(taken) < most:
            _, topic, partition = heads[0]
            at = TopicPartition(topic, partition)
            queue = self._queues[at].records
            if fetching and not self._given_up(now):
                break
            if missing and not fetching and now < queue[0][2] + self._hold_s:
                break
            taken.append(queue.popleft()[1])
            if queue:
                heapq.heapreplace(heads, (queue[0][0], topic, partition))
                continue
            heapq.heappop(heads)
            if at in others:
                missing.append(at)
                fetching = fetching or not at_end(at)
        if not fetching:
            self._stuck_since = None
        return taken

    def _given_up(self, now: float) -> bool:
        """Whether what is being fetched has been waited for long enough."""
        if self._stuck_since is None:
            self._stuck_since = now
        return now - self._stuck_since > STUCK_S
