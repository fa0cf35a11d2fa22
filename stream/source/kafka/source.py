"""The Kafka source: a reader of all partitions, and a lease on some."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from stream.clock import Clock, SystemClock
from stream.config import Kafka, Topics
from stream.source.base import Lease
from stream.source.kafka.lease import Keeper
from stream.source.kafka.reader import Reader
from stream.types import Record, TopicPartition


class KafkaSource:
    """Events and label descriptions from Kafka; see `stream.source.base.Source`.

    Records of both topics are delivered; the lease names partitions of the events topic only.
    Reading starts at the beginning of each partition until `seek` says otherwise.

    Raises
    ------
    Unavailable
        The brokers cannot be reached.
    AccessDenied
        A right is missing.
    SourceError
        A topic does not exist.
    """

    def __init__(self, settings: Kafka, topics: Topics, clock: Clock | None = None) -> None:
        clock = SystemClock() if clock is None else clock
        self._reader = Reader(settings, (topics.events, topics.labels), clock)
        try:
            self._keeper = Keeper(settings, topics.events, clock)
        except BaseException:
            self._reader.close()
            raise

    def partitions(self) -> Sequence[TopicPartition]:
        return self._reader.partitions()

    def topic_ids(self) -> Mapping[str, str]:
        return self._reader.topic_ids()

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._reader.seek(positions)

    def poll(self, most: int, timeout_s: float) -> list[Record]:
        self._keeper.beat()
        return self._reader.poll(most, timeout_s)

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        self._reader.hold(partitions)

    def beat(self) -> None:
        self._keeper.beat()

    def lease(self) -> Lease:
        return self._keeper.lease

    def lag(self) -> int:
        return self._reader.lag()

    def finished(self) -> bool:
        return False

    def close(self) -> None:
        self._keeper.close()
        self._reader.close()
