"""Reads every partition of some topics, outside any group, from positions that we keep."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from kafka import TopicPartition as KafkaPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from stream.clock import Clock
from stream.config import Kafka
from stream.errors import RetentionGap, SourceError
from stream.source.base import MADE_ANEW
from stream.source.kafka import client
from stream.source.kafka.faults import denied, translate
from stream.source.kafka.merge import LOOK_S, Merge
from stream.types import Record, TopicPartition

log = logging.getLogger(__name__)

LAG_S = 1.0
KNOWN_S = 5.0
WAITING_BYTES = 8_000_000  # of one partition, from which it is fetched no more


class Reader:
    """Delivers records of all partitions; used by one thread.

    Parameters
    ----------
    topics
        What to read; each must exist.
    """

    def __init__(self, settings: Kafka, topics: Sequence[str], clock: Clock) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._clock = clock
        self._timeout_ms = settings.poll_interval_ms // 2
        self._consumer = client.reader(settings)
        # The client shows no topic ids in public; this is what its own `topics()` reads.
        self._metadata = self._consumer._cluster
        self._assigned: tuple[TopicPartition, ...] = ()
        self._held: set[TopicPartition] = set()
        self._full: set[TopicPartition] = set()
        """Partitions of which enough records wait to be merged."""
        self._merge = Merge(settings.merge_ms / 1_000)
        self._lag = 0
        self._lag_due = 0.0
        try:
            self._metadata.set_topics(self._topics)
            self._wait_known(self._topics)
            self._ids = self._topic_ids()
            self._follow()
        except BaseException:
            self.close()
            raise

    def partitions(self) -> Sequence[TopicPartition]:
        """All partitions read now."""
        return self._assigned

    def topic_ids(self) -> Mapping[str, str]:
        """The id of each topic when reading began."""
        return self._ids

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go to these offsets; those that retention has overtaken are refused, unless accepted."""
        if not positions:
            return
        if unknown := set(positions).difference(self._assigned):
            self._metadata.request_update()
            self._wait_known(unknown)
            self._follow()
        begins = self._begins(positions)
        for at, wanted in positions.items():
            if wanted < begins[at]:
                self._gap(at, wanted, begins[at])
        for at, wanted in positions.items():
            self._consumer.seek(KafkaPartition(*at), max(wanted, begins[at]))
        self._consumer.resume(*(KafkaPartition(*at) for at in positions))
        self._merge.drop(positions)
        self._held.difference_update(positions)
        self._full.difference_update(positions)
        self._lag_due = 0.0

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Fetch no more of these partitions until the next seek to them."""
        self._consumer.pause(*(KafkaPartition(*at) for at in partitions))
        self._merge.drop(partitions)
        self._held.update(partitions)

    def _gap(self, at: TopicPartition, wanted: int, begin: int) -> None:
        """Refuse a gap, or say what is lost in it."""
        if not self._settings.accept_gap:
            raise RetentionGap(
                f"{at.topic}/{at.partition} starts at offset {begin}, but {wanted} is the next one "
                "needed",
                remedy="keep records for longer; to go on without them set kafka.accept_gap=true, "
                "or start with an empty snapshot folder",
            )
        log.warning(
            "%s/%d: offsets %d to %d are gone; going on without them",
            at.topic, at.partition, wanted, begin - 1,
        )  # fmt: skip

    def poll(self, most: int, timeout_s: float) -> list[Record]:
        """Wait for records; see `Source.poll`. Several partitions are merged, see `Merge`."""
        self._follow()
        waited = [at for at in self._assigned if at.topic == self._topics[0]]
        if len(waited) == 1 or not self._settings.merge_ms:
            return [one for _, records in self._fetch(most, timeout_s) for one in records]
        return self._merged(most, timeout_s, set(waited) - self._held)

    def _merged(
        self, most: int, timeout_s: float, others: Collection[TopicPartition]
    ) -> list[Record]:
        clock, merge = self._clock, self._merge
        end = clock.monotonic() + timeout_s
        while True:
            left = max(0.0, end - clock.monotonic())
            wait = min(left, LOOK_S, self._settings.merge_ms / 4_000) if len(merge) else left
            for at, records in self._fetch(most, 0.0 if len(merge) > most else wait):
                merge.put(at, records, clock.monotonic(), int(clock.now() * 1_000))
            taken = merge.take(most, clock.monotonic(), others, self._at_end)
            self._hold_back(most)
            if taken or not left:
                return taken

    def _at_end(self, at: TopicPartition) -> bool:
        """Whether all that the last fetch knew of a partition is here."""
        known = self._consumer.highwater(KafkaPartition(*at))
        try:
            here = self._consumer.position(KafkaPartition(*at), timeout_ms=0)
        except KafkaTimeoutError:
            return False
        except (KafkaError, OSError) as error:
            raise translate(error, self._settings) from error
        return known is not None and here is not None and bool(here >= known)

    def _hold_back(self, most: int) -> None:
        """Fetch no more of partitions of which plenty waits, so that memory stays bounded."""
        waiting, size = self._merge.waiting, self._merge.size
        full = {at for at in self._assigned if waiting(at) > 2 * most or size(at) > WAITING_BYTES}
        spent = {at for at in self._full if waiting(at) <= most and at not in full} - self._held
        if new := full - self._full - self._held:
            self._consumer.pause(*(KafkaPartition(*at) for at in new))
        if spent:
            self._consumer.resume(*(KafkaPartition(*at) for at in spent))
        self._full = (self._full | full) - spent

    def _fetch(self, most: int, timeout_s: float) -> list[tuple[TopicPartition, list[Record]]]:
        """What the next fetch brings, by partition."""
        try:
            fetched = self._consumer.poll(timeout_ms=int(timeout_s * 1_000), max_records=most)
        except (KafkaError, OSError) as error:
            raise translate(error, self._settings) from error
        return [
            (TopicPartition(*at), [_record(at.topic, one) for one in batch])
            for at, batch in fetched.items()
        ]

    def lag(self) -> int:
        """Records up to the last stable offsets, asked for once a second at most."""
        now = self._clock.monotonic()
        if now < self._lag_due:
            return self._lag
        self._lag_due = now + LAG_S
        here = [KafkaPartition(*at) for at in self._assigned]
        try:
            ends = self._consumer.end_offsets(here, timeout_ms=1_000)
            # The client's position has passed transaction markers; our last record has not.
            lags = [ends[at] - (self._consumer.position(at, timeout_ms=0) or 0) for at in here]
        except KafkaTimeoutError:
            return self._lag
        except (KafkaError, OSError) as error:
            raise translate(error, self._settings) from error
        self._lag = sum(max(0, lag) for lag in lags) + len(self._merge)
        return self._lag

    def close(self) -> None:
        """Release the connection; idempotent."""
        self._consumer.close(autocommit=False, timeout_ms=1_000)

    def _follow(self) -> None:
        """Read new partitions from their start; refuse a topic that was made anew."""
        for topic, identity in self._ids.items():
            now = self._metadata.topic_id(topic)
            if now and now.int and str(now) != identity:  # zero while the topic is away
                raise RetentionGap(
                    f"topic {topic} was deleted and made anew",
                    remedy=MADE_ANEW,
                )
        found = tuple(
            TopicPartition(topic, partition)
            for topic in self._topics
            for partition in sorted(self._metadata.partitions_for_topic(topic) or ())
        )
        new = [at for at in found if at not in self._assigned]
        if not new:
            return
        begins = self._begins(new)  # may fail: then the next look finds them new again
        every = self._assigned + tuple(new)
        self._consumer.assign([KafkaPartition(*at) for at in every])
        for at in new:
            self._consumer.seek(KafkaPartition(*at), begins[at])
        self._assigned = every

    def _begins(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        asked = [KafkaPartition(*at) for at in partitions]
        try:
            begins: Mapping[TopicPartition, int] = self._consumer.beginning_offsets(
                asked, timeout_ms=self._timeout_ms
            )
        except (KafkaError, OSError) as error:
            raise translate(error, self._settings, "Describe") from error
        return begins

    def _topic_ids(self) -> dict[str, str]:
        return {topic: str(self._metadata.topic_id(topic)) for topic in self._topics}

    def _wait_known(self, wanted: Iterable[Any]) -> None:
        """Wait until the metadata has these topics or partitions."""
        missing = set(wanted)
        end = time.monotonic() + min(KNOWN_S, self._timeout_ms / 1_000)
        while True:
            if refused := sorted(self._metadata.unauthorized_topics):
                raise denied("Describe", f"topic {', '.join(refused)}", self._settings)
            missing = {one for one in missing if not self._knows(one)}
            if not missing:
                return
            if time.monotonic() > end:
                names = ", ".join(
                    one if isinstance(one, str) else f"{one.topic}/{one.partition}"
                    for one in sorted(missing)
                )
                raise SourceError(
                    f"{names}: not on the brokers", remedy="make it with: braid topics create"
                )
            time.sleep(0.02)

    def _knows(self, one: str | TopicPartition) -> bool:
        if isinstance(one, str):
            return bool(self._metadata.partitions_for_topic(one))
        return one.partition in (self._metadata.partitions_for_topic(one.topic) or ())


def _record(topic: str, one: Any) -> Record:
    headers = tuple([(name, value or b"") for name, value in one.headers]) if one.headers else ()
    time_ms = max(one.timestamp or 0, 0)
    return Record(topic, one.partition, one.offset, one.key, one.value, time_ms, headers)
