"""The commit thread: publishes finished micro-batches, as many as wait, in one transaction.

Learning does not wait for the commit; a bounded number of micro-batches may be outstanding.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream.clock import Clock
from stream.errors import BraidError, CommitFailed, LeaseLost, Unavailable
from stream.metrics import Metrics
from stream.source.base import Lease, Outgoing, Sink
from stream.types import TopicPartition

log = logging.getLogger(__name__)

_TRIES = 8
_PAUSE_S = 0.05


@dataclass(frozen=True)
class Job:
    """What one micro-batch publishes."""

    records: Sequence[Outgoing]
    positions: Mapping[TopicPartition, int]
    lease: Lease


class Committer:
    """Owns the sink and its thread.

    Parameters
    ----------
    sink
        Used by the commit thread alone.
    in_flight
        Jobs that may be outstanding.
    hang_s
        Seconds after which an unfinished commit counts as hanging.
    """

    def __init__(
        self, sink: Sink, in_flight: int, hang_s: float, metrics: Metrics, clock: Clock
    ) -> None:
        self._sink = sink
        self._most = in_flight
        self._hang_s = hang_s
        self._metrics = metrics
        self._clock = clock
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._closed = False
        self._begun: float | None = None
        self._error: BaseException | None = None
        self._lost: list[Lease] = []
        self._thread = threading.Thread(target=self._work, name="commit", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hand over a job; waits while too many are outstanding."""
        with self._changed:
            while len(self._jobs) >= self._most:
                self._check()
                self._changed.wait(0.1)
            self._check()
            self._jobs.append(job)
            self._changed.notify_all()

    def idle(self) -> bool:
        """Whether nothing is outstanding; raises what ended the thread."""
        with self._changed:
            self._check()
            return not self._jobs and not self._busy

    def drain(self) -> None:
        """Wait until nothing is outstanding."""
        with self._changed:
            while self._jobs or self._busy:
                self._check()
                self._changed.wait(0.1)
            self._check()

    def lost(self) -> list[Lease]:
        """Leases found to be lost since the last call."""
        with self._changed:
            lost, self._lost = self._lost, []
            return lost

    def close(self) -> None:
        """End the thread after what it is doing, and close the sink."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(self._hang_s)
        self._sink.close()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._begun is not None and self._clock.monotonic() - self._begun > self._hang_s:
            raise Unavailable(
                f"a commit has not finished in {self._hang_s:.0f} s",
                remedy="look at the brokers; the service ends so that another member takes over",
            )

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if not self._jobs:
                    return
                job = self._gather()
                self._busy = True
                self._begun = self._clock.monotonic()
            try:
                self._publish(job)
            except BaseException as error:  # handed to the loop, which ends the service
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._busy = False
                self._begun = None
                self._changed.notify_all()

    def _gather(self) -> Job:
        """All waiting jobs of one lease as one."""
        lease = self._jobs[0].lease
        records: list[Outgoing] = []
        positions: dict[TopicPartition, int] = {}
        while self._jobs and self._jobs[0].lease is lease:
            job = self._jobs.popleft()
            records.extend(job.records)
            positions.update(job.positions)
        return Job(records, positions, lease)

    def _publish(self, job: Job) -> None:
        for attempt in range(1, _TRIES + 1):
            start = self._clock.monotonic()
            try:
                self._sink.commit(job.records, job.positions, job.lease)
            except LeaseLost as error:
                log.info("lease lost, %d records dropped: %s", len(job.records), error)
                self._metrics.count("braid_commits_total", outcome="lease_lost")
                with self._changed:
                    self._lost.append(job.lease)
                return
            except BraidError as error:
                self._metrics.count("braid_commits_total", outcome="aborted")
                if not isinstance(error, CommitFailed) or not error.retriable or attempt == _TRIES:
                    raise
                log.warning("commit aborted, trying again: %s", error)
                threading.Event().wait(_PAUSE_S * 2**attempt)
            else:
                self._metrics.count("braid_commits_total", outcome="committed")
                self._metrics.observe("braid_commit_seconds", self._clock.monotonic() - start)
                return
