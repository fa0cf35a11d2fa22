"""The loop: poll, decode, step, hand over to the commit thread, snapshot, publish views.

A step's records are either all of our lease and published before, which are learnt in silence, or
none of them is: those to be published, and those that are not ours to publish (other members'
events, and the labels topic) go together, in the order in which they came.

The member that holds partition 0 of the events topic, the *teller*, speaks for the group: it
publishes drift events, and the dead letters of the labels topic, which no lease covers. What
comes with its own partitions is published exactly once. What comes with the others is sent as it
is learnt, with no position to commit: at least once, again after a crash, and what is learnt in
the moment in which the lease moves may be missed. Drift met while learning silently up to the
committed offset is not told again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from stream import gauges, logs, state
from stream.brake import Brake
from stream.checkpoint import SnapshotStore
from stream.clock import Clock
from stream.codec import Codec
from stream.commits import Committer, Job
from stream.config import Settings
from stream.errors import InvalidRecord, SnapshotError, SourceError, Unavailable
from stream.letters import LetterLog
from stream.metrics import Metrics
from stream.pipeline import Item, Pipeline
from stream.progress import Progress
from stream.sink import Encoder
from stream.source.base import MADE_ANEW, Lease, Outgoing, Sink, Source
from stream.source.offsets import Duty, Ledger
from stream.traces import Traces
from stream.types import DeadLetter, Description, Record
from stream.views import Publisher

log = logging.getLogger(__name__)

_METRICS_S = 1.0
_UNTOLD = 1_000  # dead letters of the labels topic that may wait for the first lease
_LEAST, _MOST = 16, 1 << 20  # records that a micro-batch is adapted to
_FIRST_LEASE_S = 5.0
_PAUSE_S = 0.2
_SLOW_S = 2.0  # a commit that takes longer is told


class Runner:
    """Moves records through the pipeline until it is told to stop.

    Parameters
    ----------
    source, sink
        The runner closes both.
    store
        Of snapshots, or None.
    publisher
        Makes views for the endpoint.
    tick
        Called after every micro-batch, for progress lines.
    traces
        Where predictions leave spans, if anywhere.
    """

    def __init__(
        self, settings: Settings, source: Source, sink: Sink, store: SnapshotStore | None,
        publisher: Publisher, metrics: Metrics, clock: Clock,
        tick: Callable[[Runner], None] = lambda _: None, traces: Traces | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.progress = Progress()
        self.pipeline = Pipeline(settings)
        self._source = source
        self._store = store
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._tick = tick
        self._codec = Codec(
            settings.limits, lambda n: metrics.count("braid_unknown_fields_total", n)
        )
        self._encoder = Encoder(settings.topics, traces)
        self._ledger = Ledger({})
        self._lease: Lease | None = None
        self._brake = Brake(settings.dead_letters)
        self._letters = LetterLog(clock)
        self._not_snapped = ""
        self._untold: deque[DeadLetter] = deque(maxlen=_UNTOLD)
        self._hang_s = settings.kafka.poll_interval_ms / 1_000
        self._away_since: float | None = None
        self._committer = Committer(
            sink, settings.run.in_flight, self._hang_s, settings.topics.dead_letters, metrics,
            clock, self._waits,
        )  # fmt: skip
        self._lag = 0
        self._most = _LEAST  # small at first: a batch is predicted before any of it is learnt
        self._next_snapshot = clock.monotonic() + settings.checkpoint.interval_s
        self._next_metrics = 0.0
        self._writing: threading.Thread | None = None

    @property
    def lag(self) -> int:
        """Records in the source that were not read yet, as last known."""
        try:
            self._lag = self._source.lag()
        except SourceError as error:  # where it matters, reading fails too
            log.warning("lag unknown: %s", error)
        return self._lag

    def problems(self) -> list[str]:
        """What is wrong now, a sentence each; the service works on as far as it can."""
        found = self._brake.problems()
        if (waited := self._committer.waiting_s) > _SLOW_S:
            found.append(f"a commit has taken {waited:.0f} s so far; look at the brokers")
        if self._away_since is not None:
            away = self._clock.monotonic() - self._away_since
            found.append(f"the source has been away for {away:.0f} s; look at the brokers")
        found += gauges.problems(self.pipeline, self.progress)
        return found + [self._not_snapped] * bool(self._not_snapped)

    def restore(self, ahead: Future[state.Recovered | None] | None = None) -> bool:
        """Go on from the newest snapshot, `ahead` where that was begun; whether there was one.

        Raises
        ------
        SnapshotError
            None is whole, or a topic was made anew.
        """
        if self._store is not None:
            self._store.sweep()  # whoever wrote here before is fenced by now
        found = state.recover(self.settings, self._store) if ahead is None else ahead.result()
        if found is None:
            return False
        now = self._source.topic_ids()
        for topic, identity in found.topic_ids.items():
            if now.get(topic, identity) != identity:
                raise SnapshotError(
                    f"topic {topic} was deleted and made anew since the snapshot",
                    remedy=MADE_ANEW,
                )
        self.pipeline = found.pipeline
        self._ledger = Ledger(found.positions)
        self._source.seek(found.positions)
        return True

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set or the source ends; then publish all and snapshot."""
        try:
            self._await_lease(stop)
            while not stop.is_set() and not self._source.finished():
                self.turn()
            self._committer.drain()
            self._take_snapshot(wait=True)
            self._show(force=True)
            self._report(force=True)
        finally:
            try:
                self._committer.close()
            finally:
                self._source.close()

    def _await_lease(self, stop: threading.Event) -> None:
        """Give the group a moment: what is learnt before the first lease is predicted late."""
        end = self._clock.monotonic() + _FIRST_LEASE_S
        while not self._source.lease().published and self._clock.monotonic() < end:
            if stop.wait(_PAUSE_S):
                return

    def turn(self) -> None:
        """One micro-batch."""
        self._follow_lease()
        records = self._poll()
        start = self._clock.monotonic()
        waiting = deque(records)
        if not waiting and self.pipeline.generations.stirs():
            self._batch((), silent=False)
        while waiting:
            silent = self._silent(waiting[0])
            same: list[Record] = []
            while waiting and self._silent(waiting[0]) == silent:
                same.append(waiting.popleft())
            self._batch(same, silent)
            if self._brake.held:
                waiting = deque(one for one in waiting if one.at not in self._brake.held)
        self._adapt(len(records), self._clock.monotonic() - start)
        self._publisher.tell(self.problems())
        self._show()
        self._maintain()
        self._tick(self)

    def _show(self, force: bool = False) -> None:
        """Let the endpoint see the model, where there is one: a view costs a copy."""
        if self.settings.serve.enabled:
            self._publisher.refresh(self.pipeline, self.lag, force=force)

    def _poll(self) -> Sequence[Record]:
        """Records; none while the source is away, for as long as the poll interval lasts."""
        run = self.settings.run
        try:
            records = self._source.poll(min(self._most, run.batch), run.linger_ms / 1_000)
        except Unavailable as error:
            now = self._clock.monotonic()
            if self._away_since is None:
                self._away_since = now
                log.warning("%s; trying again", error)
            if now - self._away_since > self._hang_s:
                raise
            threading.Event().wait(_PAUSE_S)
            return ()
        self._away_since = None
        return records

    def _adapt(self, records: int, seconds: float) -> None:
        """Let the next micro-batch take about `run.step_ms`: small ones keep the views young."""
        if not records:
            return
        self._metrics.observe("braid_batch_records", records)
        fit = records * self.settings.run.step_ms / 1_000 / max(seconds, 1e-6)
        # By a factor of two at most, so that one odd batch does not matter.
        self._most = int(min(max(fit, self._most / 2, _LEAST), self._most * 2, _MOST))

    def _silent(self, record: Record) -> bool:
        """Whether a record is of our lease, and published before."""
        leased = self._lease is not None and record.at in self._lease.published
        return leased and not self._ledger.duty(record).publish

    def _follow_lease(self) -> None:
        """Work under the lease in force; what is in flight is settled first."""
        if any(lost is self._lease for lost in self._committer.lost()):
            self._ledger.drop()
        lease = self._source.lease()
        if lease is self._lease:
            return
        self._committer.drain()
        self._committer.lost()
        self._lease = lease = self._source.lease()
        back = self._brake.release() | self._ledger.take(lease)
        if back:
            log.info("lease of %d partitions, back to %s", len(lease.published), back)
            self._source.seek(back)
        if self._settled() and self._untold:
            letters = [*self._untold]
            self._untold.clear()
            self._tell([self._encoder.dead_letter(letter) for letter in letters])

    def _settled(self) -> bool:
        """Whether the group has decided what is ours, be it nothing."""
        lease = self._lease
        return lease is not None and (lease.token is not None or bool(lease.published))

    def _waits(self) -> None:
        """Publishing holds the loop up: stay in the group, and say so."""
        self._source.beat()
        self._metrics.set("braid_commit_waiting_seconds", self._committer.waiting_s)
        self._publisher.tell(self.problems())

    def _hold(self, records: Sequence[Record], letters: Sequence[DeadLetter]) -> None:
        """Let the brake count; what it holds is delivered no more."""
        if found := self._brake.count(records, letters):
            self._source.hold(found)
            for problem in self._brake.problems():
                log.error("%s", problem)

    def _teller(self) -> bool:
        first = (self.settings.topics.events, 0)
        return self._lease is not None and first in self._lease.published

    def _tell(self, out: Sequence[Outgoing]) -> None:
        """Publish what stands for no position of ours."""
        if out and self._teller() and self._lease is not None:
            self._committer.submit(Job(out, {}, self._lease))

    def _batch(self, records: Sequence[Record], silent: bool) -> None:
        each = [(one, self._ledger.duty(one)) for one in records]
        items: list[Item] = []
        places: list[int] = []
        letters: list[DeadLetter] = []
        for place, (record, duty) in enumerate(each):
            try:
                items.append(self._item(record, duty))
                places.append(place)
            except InvalidRecord as error:
                letters.append(DeadLetter(record, error.reason, error.detail))
        began, start = self._clock.now(), self._clock.monotonic()
        outcome = self.pipeline.step(items)
        took = self._clock.monotonic() - start
        self._metrics.observe("braid_step_seconds", took)
        logs.Lines.position = self.pipeline.model.position
        letters += [
            DeadLetter(records[places[at]], failure.reason, failure.detail)
            for at, failure in outcome.failures.items()
        ]
        labels = self.settings.topics.labels
        ours = {id(one) for one, duty in each if duty.publish}
        nobodys = {id(one) for one, duty in each if one.topic == labels and duty.learn}
        told = [] if silent else [one for one in letters if id(one.record) in nobodys]
        letters = [one for one in letters if id(one.record) in ours]
        counted = [one for one, duty in each if duty.publish or id(one) in nobodys]
        self._hold(counted, letters + told)
        self._letters.note(letters + told)
        self.progress.score(items, outcome)
        teller = self._teller()
        self.progress.count(items, outcome, letters + (told if teller else []), self._metrics)
        described = any(isinstance(item.what, Description) and item.learn for item in items)
        self._publisher.note(outcome.drift, described)
        commit = self._ledger.done(records)
        news = [self._encoder.dead_letter(letter) for letter in told if teller]
        news += [self._encoder.drift(event) for event in outcome.drift if teller]
        if commit and self._lease is not None:
            made = [(one, records[places[at]]) for at, one in outcome.predictions.items()]
            out = [self._encoder.prediction(one, record, began, took) for one, record in made]
            out += [self._encoder.dead_letter(letter) for letter in letters]
            self._committer.submit(Job(out + news, commit, self._lease))
        elif not self._settled():
            self._untold.extend(told)
        elif not silent:
            self._tell(news)

    def _item(self, record: Record, duty: Duty) -> Item:
        late = duty.publish and not duty.learn
        if record.topic == self.settings.topics.labels:
            return Item(self._codec.description(record), False, duty.learn, late)
        return Item(self._codec.event(record), duty.publish, duty.learn, late)

    def _maintain(self) -> None:
        self._report()
        if self._store is None or self._clock.monotonic() < self._next_snapshot:
            return
        if self._writing is not None and self._writing.is_alive():
            return
        # Wait rather than look: a busy stream always has a commit outstanding.
        self._committer.drain()
        self._take_snapshot(wait=False)

    def _take_snapshot(self, wait: bool) -> None:
        """Freeze the state now; it is written while the stream goes on.

        Not while dead letters wait for the first lease: its positions would pass over them.
        """
        if self._store is None or self._untold:
            return
        self._next_snapshot = self._clock.monotonic() + self.settings.checkpoint.interval_s
        if self._writing is not None:
            self._writing.join()
        start = self._clock.monotonic()
        positions, topic_ids = dict(self._ledger.learnt), self._source.topic_ids()
        try:
            finish = state.begin(self._store, self.pipeline, positions, topic_ids)
        except SnapshotError as error:
            self._not_written(error)
            return
        self._metrics.observe("braid_snapshot_stall_seconds", self._clock.monotonic() - start)
        self._writing = threading.Thread(
            target=self._write, args=(finish, start), name="snapshot", daemon=True
        )
        self._writing.start()
        if wait:
            self._writing.join()

    def _write(self, finish: Callable[[], object], start: float) -> None:
        try:
            finish()
        except Exception as error:
            self._not_written(error)
        else:
            self._not_snapped = ""
            self._metrics.count("braid_snapshots_total", outcome="written")
            self._metrics.observe("braid_snapshot_seconds", self._clock.monotonic() - start)

    def _not_written(self, error: Exception) -> None:
        """Tell; the stream goes on, a restart takes longer."""
        remedy = error.remedy if isinstance(error, SnapshotError) else "this is a bug"
        self._not_snapped = f"the last snapshot was not written: {error}; {remedy}"
        log.warning("%s", self._not_snapped)
        self._metrics.count("braid_snapshots_total", outcome="failed")

    def _report(self, force: bool = False) -> None:
        """Set the gauges, once a second."""
        now = self._clock.monotonic()
        if now < self._next_metrics and not force:
            return
        self._next_metrics = now + _METRICS_S
        self._metrics.set("braid_lag_records", self.lag)
        self._metrics.set("braid_commit_waiting_seconds", self._committer.waiting_s)
        self._metrics.set("braid_held_partitions", len(self._brake.held))
        gauges.show(self.pipeline, self.progress, self._metrics)
