"""The loop: poll, decode, step, hand over to the commit thread, snapshot, publish views.

A step's records are of one kind: all to be published, or none, so that drift events met while
learning silently up to the committed offset are not told again. Drift events are told by the
member that holds the first leased partition of the events topic.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream import state
from stream.checkpoint import Snapshot, SnapshotStore
from stream.clock import Clock
from stream.codec import Codec
from stream.commits import Committer, Job
from stream.config import Settings
from stream.errors import InvalidRecord, SnapshotError, SourceError
from stream.metrics import Metrics
from stream.pipeline import Item, Outcomes, Pipeline
from stream.sink import Encoder
from stream.source.base import Lease, Sink, Source
from stream.source.offsets import Duty, Ledger
from stream.types import DeadLetter, Example, Prediction, Record
from stream.views import Publisher

log = logging.getLogger(__name__)

_DECAY = 0.999  # of the prequential precision: about the last 1,000 events
_METRICS_S = 1.0


@dataclass
class Progress:
    """What the live line shows; counts since the start."""

    events: int = 0
    learnt: int = 0
    dead: int = 0
    alarms: int = 0
    splits: int = 0
    merges: int = 0
    hits: dict[int, float] = field(default_factory=lambda: {1: 0.0, 5: 0.0})
    weight: float = 0.0

    def precision(self, k: int) -> float:
        """Prequential precision at k of about the last 1,000 labelled events."""
        return self.hits[k] / self.weight if self.weight else 0.0


class Runner:
    """Moves records through the pipeline until it is told to stop.

    Parameters
    ----------
    source, sink
        Where records come from and go to; the runner closes both.
    store
        Where snapshots are; None for none.
    publisher
        Makes views for the endpoint.
    tick
        Called after every micro-batch, for progress lines.
    """

    def __init__(
        self, settings: Settings, source: Source, sink: Sink, store: SnapshotStore | None,
        publisher: Publisher, metrics: Metrics, clock: Clock,
        tick: Callable[[Runner], None] | None = None,
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
        self._encoder = Encoder(settings.topics)
        self._ledger = Ledger({})
        self._lease: Lease | None = None
        hang_s = settings.kafka.poll_interval_ms / 1_000
        self._committer = Committer(sink, settings.run.in_flight, hang_s, metrics, clock)
        self._next_snapshot = 0.0
        self._next_metrics = 0.0
        self._writing: threading.Thread | None = None

    @property
    def lag(self) -> int:
        """Records in the source that were not read yet, as last known."""
        return self._source.lag()

    def restore(self) -> bool:
        """Go on from the newest snapshot; whether there was one.

        Raises
        ------
        SnapshotError
            None is whole, or a topic was made anew since.
        """
        snapshot = self._store.load() if self._store else None
        if snapshot is None:
            return False
        now = self._source.topic_ids()
        for topic, identity in snapshot.meta["topic_ids"].items():
            if now.get(topic, identity) != identity:
                raise SnapshotError(
                    f"topic {topic} was deleted and made anew since the snapshot",
                    remedy="its offsets mean other records now: start with an empty folder",
                )
        self.pipeline = state.revive(self.settings, snapshot)
        positions = state.positions(snapshot)
        self._ledger = Ledger(positions)
        self._source.seek(positions)
        return True

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set or the source ends; then publish all and snapshot."""
        self._next_snapshot = self._clock.monotonic() + self.settings.checkpoint.interval_s
        try:
            while not stop.is_set() and not self._source.finished():
                self.turn()
            self._committer.drain()
            self._take_snapshot(wait=True)
            self._publisher.refresh(self.pipeline, self._source.lag(), force=True)
            self._report(force=True)
        finally:
            self._committer.close()
            self._source.close()

    def turn(self) -> None:
        """One micro-batch."""
        self._follow_lease()
        run = self.settings.run
        records = self._source.poll(run.batch, run.linger_ms / 1_000)
        if records:
            self._metrics.observe("braid_batch_records", len(records))
        waiting = deque(records)
        while waiting:
            duty = self._ledger.duty(waiting[0])
            same: list[Record] = []
            while waiting and self._ledger.duty(waiting[0]).publish == duty.publish:
                same.append(waiting.popleft())
            self._batch(same, duty.publish)
        self._publisher.refresh(self.pipeline, self._source.lag())
        self._maintain()
        if self._tick is not None:
            self._tick(self)

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
        back = self._ledger.take(lease)
        if back:
            log.info("lease of %d partitions, back to %s", len(lease.published), back)
            self._source.seek(back)

    def _batch(self, records: Sequence[Record], publish: bool) -> None:
        duties = [self._ledger.duty(record) for record in records]
        items: list[Item] = []
        places: list[int] = []
        letters: list[DeadLetter] = []
        for place, (record, duty) in enumerate(zip(records, duties, strict=True)):
            try:
                items.append(self._item(record, duty))
                places.append(place)
            except InvalidRecord as error:
                letters.append(DeadLetter(record, error.reason, error.detail))
        start = self._clock.monotonic()
        outcome = self.pipeline.step(items)
        self._metrics.observe("braid_step_seconds", self._clock.monotonic() - start, part="step")
        letters += [
            DeadLetter(records[places[at]], failure.reason, failure.detail)
            for at, failure in outcome.failures.items()
        ]
        self._score(items, outcome)
        self._count(items, outcome, letters if publish else [])
        self._publisher.note(outcome.drift)
        commit = self._ledger.done(records)
        if publish and commit and self._lease is not None:
            made = [(one, records[places[at]]) for at, one in outcome.predictions.items()]
            out = self._outgoing(made, outcome, letters)
            self._committer.submit(Job(out, commit, self._lease))

    def _item(self, record: Record, duty: Duty) -> Item:
        late = duty.publish and not duty.learn
        if record.topic == self.settings.topics.labels:
            return Item(self._codec.description(record), False, duty.learn, late)
        return Item(self._codec.event(record), duty.publish, duty.learn, late)

    def _outgoing(
        self, made: Sequence[tuple[Prediction, Record]], outcome: Outcomes,
        letters: Sequence[DeadLetter],
    ) -> list[Any]:  # fmt: skip
        encoder = self._encoder
        out = [encoder.prediction(one, record) for one, record in made]
        out += [encoder.dead_letter(letter) for letter in letters]
        first = (self.settings.topics.events, 0)
        if self._lease is not None and first in self._lease.published:
            out += [encoder.drift(event) for event in outcome.drift]
        return out

    def _score(self, items: Sequence[Item], outcome: Outcomes) -> None:
        """Prequential precision, from predictions made before their event was learnt."""
        progress = self.progress
        for at, made in outcome.predictions.items():
            example = items[at].what
            if not isinstance(example, Example) or not example.labels or made.late:
                continue
            hit = [one.label in example.labels for one in made.top[:5]]
            progress.weight = progress.weight * _DECAY + 1
            for k in progress.hits:
                progress.hits[k] = progress.hits[k] * _DECAY + sum(hit[:k]) / k

    def _count(
        self, items: Sequence[Item], outcome: Outcomes, letters: Sequence[DeadLetter]
    ) -> None:
        metrics, progress = self._metrics, self.progress
        progress.events += len(items)
        progress.learnt += outcome.learnt
        progress.dead += len(letters)
        kinds = Counter(event.kind for event in outcome.drift)
        progress.alarms += kinds["global_alarm"] + kinds["partition_alarm"]
        progress.splits += kinds["split"]
        progress.merges += kinds["merge"]
        if outcome.predictions:
            metrics.count("braid_events_total", len(outcome.predictions), action="predicted")
        if outcome.learnt:
            metrics.count("braid_events_total", outcome.learnt, action="learnt")
        for reason, n in Counter(letter.reason for letter in letters).items():
            metrics.count("braid_dead_letters_total", n, reason=reason)
        for kind, n in (+kinds).items():
            metrics.count("braid_drift_events_total", n, kind=kind)
        for late, n in Counter(outcome.late_labels).items():
            metrics.count("braid_late_labels_total", n, outcome=late)

    def _maintain(self) -> None:
        self._report()
        if self._store is None or self._clock.monotonic() < self._next_snapshot:
            return
        if self._committer.idle() and (self._writing is None or not self._writing.is_alive()):
            self._take_snapshot(wait=False)

    def _take_snapshot(self, wait: bool) -> None:
        """Copy the state now; write it on a thread of its own."""
        if self._store is None:
            return
        self._next_snapshot = self._clock.monotonic() + self.settings.checkpoint.interval_s
        if self._writing is not None:
            self._writing.join()
        taken = state.take(self.pipeline, self._ledger.learnt, self._source.topic_ids())
        self._writing = threading.Thread(
            target=self._write, args=(self._store, taken), name="snapshot", daemon=True
        )
        self._writing.start()
        if wait:
            self._writing.join()

    def _write(self, store: SnapshotStore, taken: Snapshot) -> None:
        start = self._clock.monotonic()
        try:
            store.write(taken)
        except SnapshotError as error:
            log.warning("%s; %s", error, error.remedy)
            self._metrics.count("braid_snapshots_total", outcome="failed")
        else:
            self._metrics.count("braid_snapshots_total", outcome="written")
            self._metrics.observe("braid_snapshot_seconds", self._clock.monotonic() - start)

    def _report(self, force: bool = False) -> None:
        """Set the gauges, once a second."""
        now = self._clock.monotonic()
        if now < self._next_metrics and not force:
            return
        self._next_metrics = now + _METRICS_S
        pipeline, metrics, progress = self.pipeline, self._metrics, self.progress
        model = pipeline.model
        try:
            metrics.set("braid_lag_records", self._source.lag())
        except SourceError as error:
            log.warning("lag unknown: %s", error)
        metrics.set("braid_position_events", model.position)
        metrics.set("braid_labels", len(model.labels) - len(model.labels.retired))
        metrics.set("braid_partitions", model.partitioner.leaves)
        metrics.set("braid_waiting_events", pipeline.room.events, what="events")
        metrics.set("braid_waiting_events", pipeline.room.labels, what="labels")
        metrics.set(
            "braid_index_labels", len(pipeline.retrieval.index) if pipeline.retrieval else 0
        )
        for k in progress.hits:
            metrics.set("braid_precision_at", progress.precision(k), k=str(k))
