"""Keeps this member in the group, for the lease alone; nothing is fetched here.

A thread of its own sits in `poll`. The listener runs on the client's IO thread, where no call
may block: it only swaps what was assigned. The committed offsets are asked for afterwards, on
our thread, and only then is the lease live.

Polling is tied to the pipeline: when `beat` has not been called for half of `poll_interval_ms`
it stops, and the client gives the membership up after the other half. Being a static member it
does so silently: the group waits for the session to end, then hands the partitions on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kafka import ConsumerRebalanceListener
from kafka import TopicPartition as KafkaPartition
from kafka.errors import (
    AuthorizationError,
    FencedInstanceIdError,
    KafkaError,
    KafkaTimeoutError,
)

from stream.clock import Clock
from stream.config import Kafka
from stream.errors import BraidError, Fenced
from stream.source.base import Lease
from stream.source.kafka import client
from stream.source.kafka.faults import REFUSED_LOGIN, carries, translate
from stream.types import TopicPartition

log = logging.getLogger(__name__)

POLL_MS = 250  # a join that ends between two polls is thrown away, so sit in them
CALL_MS = 1_000
PAUSE_S = 0.05


@dataclass(frozen=True, eq=False)
class _Assigned:
    """What the group gave us, and the generation that it gave it in."""

    partitions: tuple[KafkaPartition, ...]
    token: Any


class Keeper:
    """Holds the lease on partitions of one topic."""

    def __init__(self, settings: Kafka, topic: str, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._patience_s = settings.poll_interval_ms / 2_000
        self._swap = threading.Lock()
        self._assigned: _Assigned | None = None
        self._lease = Lease()
        self._beaten = clock.monotonic()
        self._failed: BraidError | None = None
        self._closing = threading.Event()
        self._consumer = client.member(settings)
        self._consumer.subscribe([topic], listener=_Listener(self))
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    @property
    def lease(self) -> Lease:
        """The lease in force."""
        return self._lease

    def beat(self) -> None:
        """Show that the pipeline is alive; raise what has ended the membership."""
        self._beaten = self._clock.monotonic()
        if self._failed is not None:
            raise self._failed

    def close(self) -> None:
        """End the membership; idempotent.

        A static member does not say goodbye: its partitions wait for it until the session ends.
        """
        self._closing.set()
        self._thread.join()

    def give(self, partitions: Collection[KafkaPartition]) -> None:
        """Take note of an assignment (IO thread)."""
        self._consumer.pause(*partitions)
        given = _Assigned(tuple(sorted(partitions)), self._consumer.group_metadata())
        with self._swap:
            self._assigned, self._lease = given, Lease()

    def take(self) -> None:
        """Drop the lease (IO thread)."""
        with self._swap:
            self._assigned, self._lease = None, Lease()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                if self._clock.monotonic() - self._beaten > self._patience_s:
                    self._closing.wait(PAUSE_S)
                    continue
                try:
                    self._consumer.poll(timeout_ms=POLL_MS)
                    self._settle()
                except (KafkaError, OSError) as error:
                    if self._fatal(error):
                        return
                    log.warning("the group cannot be reached: %s", error)
                    self._closing.wait(PAUSE_S)
        except BaseException as error:
            self._failed = BraidError(f"the lease thread ended: {error!r}")
            raise
        finally:
            self.take()
            self._consumer.close(autocommit=False, timeout_ms=CALL_MS)

    def _settle(self) -> None:
        """Make a new assignment live, from the offsets committed by whoever had it before."""
        given = self._assigned
        if given is None or self._lease.token is given.token:
            return
        try:
            found = {
                at: self._consumer.committed(at, timeout_ms=CALL_MS) for at in given.partitions
            }
            none = [at for at, offset in found.items() if offset is None]
            if none:
                found |= self._consumer.beginning_offsets(none, timeout_ms=CALL_MS)
        except KafkaTimeoutError:
            return  # an open transaction of the owner before holds them back: ask again
        published = {TopicPartition(*at): offset for at, offset in found.items()}
        with self._swap:
            if self._assigned is given:
                self._lease = Lease(published, given.token)

    def _fatal(self, error: BaseException) -> bool:
        if carries(error, FencedInstanceIdError):
            self._failed = Fenced(
                f"another process is member {self._settings.member} of {self._settings.group}",
                remedy="give each process its own kafka.member",
            )
        elif carries(error, (AuthorizationError, *REFUSED_LOGIN)):
            self._failed = translate(error, self._settings)
        return self._failed is not None


class _Listener:
    """Passes the group's decisions on; each method returns at once."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def on_partitions_assigned(self, assigned: Collection[KafkaPartition]) -> None:
        self._keeper.give(assigned)

    def on_partitions_revoked(self, revoked: Collection[KafkaPartition]) -> None:
        self._keeper.take()

    def on_partitions_lost(self, lost: Collection[KafkaPartition]) -> None:
        self._keeper.take()


ConsumerRebalanceListener.register(_Listener)
