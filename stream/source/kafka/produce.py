"""Plain producers: for events that come by HTTP, and for replays."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kafka.errors import KafkaError

from stream.config import Kafka, Topics
from stream.errors import AccessDenied, SourceError, Unavailable
from stream.source.kafka import client
from stream.source.kafka.faults import translate

_OUTSTANDING = 10_000
_TELL = 500
_LINGER_MS = 20


class KafkaInlet:
    """Sends to the topics that all events, and all descriptions of labels, come from; thread-safe.

    Events are keyed by their id, so that an event and its late labels lie in one partition, in
    order; descriptions by their label.
    """

    def __init__(self, settings: Kafka, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        self._producer = client.producer(settings)

    def send(self, events: Sequence[tuple[bytes, bytes]]) -> None:
        """Send (event id, event) pairs; returns when all of them are safe.

        Raises
        ------
        Unavailable
            They could not all be delivered, though some may have been: sending again may
            repeat those.
        AccessDenied
            A right is missing.
        """
        self._send(self._topics.events, events)

    def describe(self, labels: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Send (label, description) pairs, None to retire one; otherwise as `send`."""
        self._send(self._topics.labels, labels)

    def _send(self, topic: str, pairs: Sequence[tuple[bytes, bytes | None]]) -> None:
        limit_s = self._settings.poll_interval_ms / 1_000
        try:
            sent = [self._producer.send(topic, value, key) for key, value in pairs]
            for future in sent:
                future.get(timeout=limit_s)
        except (KafkaError, OSError) as error:
            meant = translate(error, self._settings, "Write")
            if isinstance(meant, (AccessDenied, Unavailable)):
                raise meant from error
            raise Unavailable(str(meant), remedy=meant.remedy) from error

    def close(self) -> None:
        """Release the connection; idempotent."""
        client.close_producer(self._producer, 1.0)


def produce(
    settings: Kafka,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None]],
    rate: float | None = None,
    on_sent: Callable[[int], None] | None = None,
) -> int:
    """Send (key, value) pairs and wait until all are safe.

    Parameters
    ----------
    rate
        Records per second at most; as fast as the brokers take them when None.
    on_sent
        Told now and then how many are safe so far, and at the end.

    Returns
    -------
    int
        How many were sent.

    Raises
    ------
    Unavailable, AccessDenied, SourceError
        At the first record that could not be delivered.
    """
    producer = client.producer(settings, _LINGER_MS)
    waiting: deque[Any] = deque()
    safe = 0

    def settle(leave: int) -> None:
        nonlocal safe
        while len(waiting) > leave or (waiting and waiting[0].is_done):
            waiting.popleft().get(timeout=settings.poll_interval_ms / 1_000)
            safe += 1
            if on_sent is not None and safe % _TELL == 0:
                on_sent(safe)

    begun = time.monotonic()
    try:
        if not producer.partitions_for(topic):
            raise SourceError(
                f"{topic}: not on the brokers", remedy="make it with: braid topics create"
            )
        for at, (key, value) in enumerate(records):
            if rate is not None:
                time.sleep(max(0.0, begun + at / rate - time.monotonic()))
            waiting.append(producer.send(topic, value, key))
            settle(_OUTSTANDING)
        settle(0)
    except (KafkaError, OSError) as error:
        raise translate(error, settings, "Write") from error
    finally:
        client.close_producer(producer, 1.0)
    if on_sent is not None:
        on_sent(safe)
    return safe
