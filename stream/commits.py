"""The commit thread: publishes finished micro-batches, as many as wait, in one transaction.

Learning does not wait for the commit; a bounded number of micro-batches may be outstanding.
A record that its topic refuses for good becomes a dead letter, so that the stream goes on.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from stream.clock import Clock
from stream.errors import BraidError, CommitFailed, LeaseLost, Unavailable
from stream.metrics import Metrics
from stream.source.base import Lease, Outgoing, Sink, Unpublishable
from stream.types import TopicPartition

log = logging.getLogger(__name__)

_TRIES = 8
_PAUSE_S = 0.05
_HEAD = 1_000  # bytes kept of a value that could not be published


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
    dead_letters
        The topic for records that their own topic refuses.
    waits
        Called every tenth of a second while somebody waits for a commit.
    """

    def __init__(
        self, sink: Sink, in_flight: int, hang_s: float, dead_letters: str, metrics: Metrics,
        clock: Clock, waits: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._waits = waits
        self._sink = sink
        self._dead_letters = dead_letters
        self._most = in_flight
        self._hang_s = hang_s
        self._metrics = metrics
        self._clock = clock
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._gathered = 0
        self._closed = False
        self._begun: float | None = None
        self._error: BaseException | None = None
        self._lost: list[Lease] = []
        self._gone: Lease | None = None
        """The lease lost last: later jobs under it would leave a hole if they went through."""
        self._thread = threading.Thread(target=self._work, name="commit", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hand over a job; waits while too many are outstanding."""
        with self._changed:
            while len(self._jobs) + self._gathered >= self._most:
                self._wait()
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
                self._wait()
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
        self._thread.join(1.0 if self._hangs() else self._hang_s)
        if not self._thread.is_alive():  # else the sink is in use: it ends with the process
            self._sink.close()

    @property
    def waiting_s(self) -> float:
        """Seconds that the commit under way has taken; 0 where there is none."""
        begun = self._begun
        return 0.0 if begun is None else self._clock.monotonic() - begun

    def _wait(self) -> None:
        """Wait a moment for the commit thread; raises what ended it."""
        self._check()
        if not self._changed.wait(0.1):
            self._waits()

    def _hangs(self) -> bool:
        return self.waiting_s > self._hang_s

    def _check(self) -> None:
        if isinstance(self._error, BraidError):
            raise self._error
        if self._error is not None:
            raise BraidError(
                f"the commit thread ended: {self._error!r}", remedy="see the log; start again"
            ) from self._error
        if self._hangs():
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
                self._gathered = 0
                self._begun = None
                self._changed.notify_all()

    def _gather(self) -> Job:
        """All waiting jobs of one lease as one."""
        lease = self._jobs[0].lease
        records: list[Outgoing] = []
        positions: dict[TopicPartition, int] = {}
        while self._jobs and self._jobs[0].lease is lease:
            job = self._jobs.popleft()
            self._gathered += 1
            records.extend(job.records)
            positions.update(job.positions)
        return Job(records, positions, lease)

    def _publish(self, job: Job) -> None:
        attempt = 0
        while job.lease is not self._gone:
            start = self._clock.monotonic()
            try:
                self._sink.commit(job.records, job.positions, job.lease)
            except LeaseLost as error:
                log.info("lease lost, %d records dropped: %s", len(job.records), error)
                self._metrics.count("braid_commits_total", outcome="lease_lost")
                with self._changed:
                    self._gone = job.lease
                    self._lost.append(job.lease)
            except Unpublishable as error:
                self._metrics.count("braid_commits_total", outcome="aborted")
                job = replace(job, records=self._without(job.records, error))
                self._begun = self._clock.monotonic()  # many may follow; each round is one's end
            except BraidError as error:
                attempt += 1
                self._metrics.count("braid_commits_total", outcome="aborted")
                if not isinstance(error, CommitFailed) or not error.retriable or attempt == _TRIES:
                    raise
                log.warning("commit aborted, trying again: %s", error)
                threading.Event().wait(_PAUSE_S * 2**attempt)
            else:
                self._metrics.count("braid_commits_total", outcome="committed")
                self._metrics.observe("braid_commit_seconds", self._clock.monotonic() - start)
                return

    def _without(self, records: Sequence[Outgoing], error: Unpublishable) -> list[Outgoing]:
        """The records with less in place of the refused ones; ends, since each has only so much."""
        log.error("%d records cannot be published: %s", len(error.places), error)
        kept: list[Outgoing] = []
        for place, one in enumerate(records):
            if place not in error.places:
                kept.append(one)
                continue
            if one.topic != self._dead_letters:
                self._metrics.count("braid_dead_letters_total", reason="pipeline")
            if (less := _less(one, self._dead_letters, str(error))) is not None:
                kept.append(less)
        return kept


def _less(one: Outgoing, dead_letters: str, why: str) -> Outgoing | None:
    """A dead letter for a refused record; a refused dead letter loses its value, then its key."""
    if one.topic != dead_letters:
        headers = (
            ("reason", b"pipeline"),
            ("detail", why[:_HEAD].encode("utf-8", "replace")),
            ("topic", one.topic.encode()),
        )
        return Outgoing(dead_letters, one.key, (one.value or b"")[:_HEAD], headers)
    if one.value is not None:
        lost = ("truncated", str(len(one.value)).encode())
        return Outgoing(dead_letters, one.key, None, (*one.headers, lost))
    return None if one.key is None else Outgoing(dead_letters, None, None, one.headers)
