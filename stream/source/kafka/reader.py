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
from stream.source.kafka import client
from stream.source.kafka.faults import denied, translate
from stream.types import Record, TopicPartition

log = logging.getLogger(__name__)

LAG_S = 1.0
KNOWN_S = 5.0


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
        self._lag_due = 0.0

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Fetch no more of these partitions until the next seek to them."""
        self._consumer.pause(*(KafkaPartition(*at) for at in partitions))

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
        """Wait for records; see `Source.poll`."""
        self._follow()
        try:
            fetched = self._consumer.poll(timeout_ms=int(timeout_s * 1_000), max_records=most)
        except (KafkaError, OSError) as error:
            raise translate(error, self._settings) from error
        return [
            Record(
                topic, one.partition, one.offset, one.key, one.value, max(one.timestamp or 0, 0),
                tuple([(name, value or b"") for name, value in one.headers]) if one.headers else (),
            )
            for (topic, _), batch in fetched.items()
            for one in batch
        ]  # fmt: skip

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
        self._lag = sum(max(0, lag) for lag in lags)
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
                    remedy="its offsets mean other records now: start with an empty folder",
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
