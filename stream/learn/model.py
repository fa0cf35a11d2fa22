"""The model: one learner for the size of the label space, partitions and drift beside it.

It starts with the small learner. When more labels come than that one takes, the extreme learner
is made and taught the recent events, which are kept for that; the same way decides between
dense and sparse treatment of named features, from the density of the first 64 events.

Partitions and drift are updated every CHUNK learnt events, counted over the model's life, so
that learning is the same however a stream is cut into micro-batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from stream import features
from stream.config import Learn
from stream.features import Row, Rows
from stream.labels import LabelSpace
from stream.learn.drift import DriftBank
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.partitions.partitioner import Partitioner
from stream.learn.ranking import Scores, hits, ranked
from stream.learn.reaction import Changes, Parts, react
from stream.learn.small.learner import SmallLearner
from stream.types import DriftEvent, Float32

CHUNK = 16
_RECENT = 4_096  # events kept for teaching another learner
_DECIDE = 64  # events in which dense or sparse is decided
_DENSE = 0.25  # density from which named features are dense


class Near(NamedTuple):
    """What the prototype index found: label slots (n, k) int32, -1 for none, and similarities."""

    slots: Any
    similar: Float32

    def part(self, start: int, stop: int) -> Near:
        """Rows start to stop."""
        return Near(self.slots[start:stop], self.similar[start:stop])


class Frozen:
    """A model's state at one moment, that can only predict. Not for two threads at once.

    Names of labels are shared with the living model, which only appends to them; those from
    `known` on came later.
    """

    def __init__(
        self, labels: LabelSpace, learner: SmallLearner | ExtremeLearner, leaf_of: Any,
        position: int, threshold: float,
    ) -> None:  # fmt: skip
        self.labels = labels
        self.known = len(labels)
        self.retired = frozenset(labels.retired)
        self.learner = learner
        self.counts = learner.counts()
        self.leaf_of = leaf_of
        self.position = position
        self.threshold = threshold

    def embed(self, rows: Rows) -> Float32 | None:
        """Unit embeddings (n, d) float32 for the prototype index; None while it is not asked."""
        if isinstance(self.learner, ExtremeLearner) and rows.width == self.learner.width:
            return self.learner.embed(rows)
        return None

    def predict(self, rows: Rows, near: Near | None = None) -> Scores:
        """Score labels for each row."""
        slots, p = score(self.learner, self.retired, self.leaf_of, rows, near)
        return Scores(slots, p, self.threshold)


def score(
    learner: SmallLearner | ExtremeLearner, retired: Collection[int], leaf_of: Any, rows: Rows,
    near: Near | None,
) -> tuple[Any, Float32]:  # fmt: skip
    """Slots (n, m) and probabilities of every label, or of each row's shortlist, best first.

    Rows of another kind than the learner's, such as vectors before the first event, say nothing.
    """
    if rows.width != learner.width:
        rows = features.blank(len(rows), learner.width)
    if isinstance(learner, ExtremeLearner):
        found = nothing_near(len(rows)) if near is None else near
        return learner.predict(rows, leaf_of, found.slots, found.similar)
    p = learner.predict(rows, leaf_of)
    if retired:
        p[:, sorted(retired)] = 0
    return ranked(p)


def nothing_near(n: int) -> Near:
    """No finds for n events."""
    return Near(np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32))


class Model:
    """Predicts and learns batches of rows; pure computation.

    Parameters
    ----------
    settings
        See `stream.config.Learn`.
    dimension
        Width of the embedding of sparse rows.
    """

    def __init__(self, settings: Learn, dimension: int) -> None:
        self.settings = settings
        self.dimension = dimension
        self.labels = LabelSpace()
        self.partitioner = Partitioner()
        self.drift = DriftBank(settings.drift_delta)
        self.learner: SmallLearner | ExtremeLearner = SmallLearner(False, settings.seed)
        self.position = 0
        """Labelled events learnt."""
        self.recent: deque[tuple[Any, Any]] = deque(maxlen=_RECENT)
        self.extreme_from = 0
        """Position at which the extreme learner took over."""
        self.taught: list[tuple[Any, Any]] = []
        """Rows and labels that the extreme learner began with, for whoever keeps prototypes."""
        self.waiting = Changes()
        """Truth and hits of the events since the last full chunk."""
        self.alarmed: list[Any] = []
        """Label slots of each alarm since the pipeline last looked."""
        self.density: tuple[int, set[int]] = (0, set())
        """Named values, and distinct features, of the first events."""
        self._predicted: tuple[Rows, Near | None] | None = None
        """What the learner's scratch holds the forward pass of."""

    @property
    def extreme(self) -> bool:
        """Whether a shortlist is scored rather than every label."""
        return isinstance(self.learner, ExtremeLearner)

    def embed(self, rows: Rows) -> Float32 | None:
        """Unit embeddings (n, d) float32 for the prototype index; None while it is not asked."""
        self._match(rows)
        if not isinstance(self.learner, ExtremeLearner) or rows.width != self.learner.width:
            return None
        if self._predicted is not None and self._predicted[0] is not rows:
            self._predicted = None  # other rows take the scratch
        return self.learner.embed(rows)

    def predict(self, rows: Rows, near: Near | None = None) -> Scores:
        """Score labels for each row; changes nothing that learning would see."""
        self._match(rows)
        leaf_of = self.partitioner.leaf_of
        slots, p = score(self.learner, self.labels.retired, leaf_of, rows, near)
        fits = len(rows) == 1 and rows.width == self.learner.width
        self._predicted = (rows, near) if fits else None
        return Scores(slots, p, self._threshold())

    def learn(
        self, rows: Rows, labels: Sequence[Sequence[str]], near: Near | None = None
    ) -> list[DriftEvent]:
        """Learn events in order.

        Parameters
        ----------
        rows
            n rows.
        labels
            The labels of each; empty for events labelled with nothing.
        near
            What the index found for them, for training on the same candidates.

        Returns
        -------
        list of DriftEvent
            New labels, alarms, splits and merges, in order.
        """
        self._match(rows)
        events: list[DriftEvent] = []
        seen, self._predicted = self._predicted, None
        fresh = seen is not None and seen[0] is rows and seen[1] is near
        found = nothing_near(len(rows)) if near is None else near
        start = 0
        while start < len(rows):
            stop = self._cut(start, labels)
            fresh = fresh and not self._stirs(labels[start])
            truths, bounds, new = self._slots(labels[start:stop])
            part = rows.part(start, stop) if stop - start < len(rows) else rows
            self._learn_part(part, truths, bounds, found.part(start, stop), fresh)
            events.extend(new)
            events.extend(self._advance())
            self._decide(part)
            fresh = False
            start = stop
        return events

    def freeze(self, room: Frozen | None = None) -> Frozen:
        """This moment's state, to predict from while the model goes on.

        `room` is a frozen state that nobody uses any more, whose memory is taken.
        """
        spare = None if room is None else room.learner
        learner: SmallLearner | ExtremeLearner
        if isinstance(self.learner, ExtremeLearner):
            learner = self.learner.frozen(spare if isinstance(spare, ExtremeLearner) else None)
        else:
            learner = self.learner.frozen(spare if isinstance(spare, SmallLearner) else None)
        leaf_of = self.partitioner.leaf_of.copy()
        return Frozen(self.labels, learner, leaf_of, self.position, self._threshold())

    def describe(self, label: str, text: str | None) -> list[DriftEvent]:
        """Learn what a label means before its events come; None retires it."""
        self._predicted = None
        if text is None:
            slot = self.labels.retire(label)
            if slot is not None and isinstance(self.learner, ExtremeLearner):
                self.learner.retire(slot, True)
            return []
        events = self._add(label)
        slot, _ = self.labels.add(label)
        self.labels.descriptions[slot] = text
        self._teach_description(slot)
        return events

    def _threshold(self) -> float:
        return 0.5 if self.settings.objective == "hamming" else self.learner.threshold

    def _match(self, rows: Rows) -> None:
        """Make the learner that the first rows ask for; labels may be described already."""
        if self.position == 0 and rows.width != self.learner.width:
            small = SmallLearner(rows.width > 0, self.settings.seed, rows.width)
            self._rebuild(self._extreme(rows.width) if self.extreme else small)

    def _cut(self, start: int, labels: Sequence[Sequence[str]]) -> int:
        """Where this part ends: at a full chunk, a look at the density, or a label that stirs."""
        stop = min(len(labels), start + CHUNK - self.position % CHUNK)
        if self.position < _DECIDE:
            stop = min(stop, start + (1 << self.position.bit_length()) - self.position)
        for at in range(start + 1, stop):
            if self._stirs(labels[at]):
                return at
        return stop

    def _stirs(self, names: Sequence[str]) -> bool:
        """Whether a label is new or back from retirement, which changes what is scored."""
        slots = [self.labels.slot(name) for name in names]
        return any(slot is None or slot in self.labels.retired for slot in slots)

    def _slots(self, labels: Sequence[Sequence[str]]) -> tuple[Any, Any, list[DriftEvent]]:
        bounds = np.zeros(len(labels) + 1, np.int64)
        slots: list[int] = []
        new: list[DriftEvent] = []
        for at, names in enumerate(labels):
            for name in dict.fromkeys(names):
                new.extend(self._add(name))
                slots.append(self.labels.add(name)[0])
            bounds[at + 1] = len(slots)
        return np.array(slots, np.int32), bounds, new

    def _add(self, name: str) -> list[DriftEvent]:
        """Make room for a label that is new, or back from retirement."""
        known = self.labels.slot(name)
        if known is not None:
            if known in self.labels.retired and isinstance(self.learner, ExtremeLearner):
                self.learner.retire(known, False)
            return []
        slot, _ = self.labels.add(name)
        total = len(self.labels)
        self.partitioner.add_labels(total)
        if total > self.settings.small_labels and not self.extreme:
            self._become_extreme()
        self.learner.add_labels(total, self.partitioner.highest)
        evidence = {"id": self.labels.ids[slot], "labels": total}
        return [DriftEvent("new_label", f"label/{name}", self.position, evidence)]

    def _learn_part(self, rows: Rows, truths: Any, bounds: Any, near: Near, fresh: bool) -> None:
        leaf_of = self.partitioner.leaf_of
        if isinstance(self.learner, ExtremeLearner):
            slots, p = self.learner.learn(
                rows, truths, bounds, leaf_of, near.slots, near.similar, fresh
            )
        else:
            slots, p = ranked(self.learner.learn(rows, truths, bounds, leaf_of, fresh))
            self._keep(rows, truths, bounds)
        hit = np.zeros(len(truths), np.uint8)
        hits(slots, truths, bounds, hit)
        # Not the threshold in force: that one moves inside a part.
        empty = p[:, 0] > 0.5 if p.shape[1] else np.zeros(len(rows), np.bool_)
        self.waiting.add(truths, bounds, hit, empty.astype(np.float32))
        self.position += len(rows)

    def _advance(self) -> list[DriftEvent]:
        """At a full chunk: drift, then partitions, from what was learnt in it."""
        if self.position % CHUNK:
            return []
        parts = Parts(self.labels, self.partitioner, self.drift, self.learner, self.position)
        events, alarmed = react(parts, self.waiting)
        if self.extreme:  # nobody looks at it before
            self.alarmed.extend(alarmed)
        return events

    def _keep(self, rows: Rows, truths: Any, bounds: Any) -> None:
        for i in range(len(rows)):
            truth = truths[bounds[i] : bounds[i + 1]]
            if rows.dense is not None:
                self.recent.append((rows.dense[i], truth))
            else:
                low, high = rows.indptr[i], rows.indptr[i + 1]
                row: Row = (rows.hashes[low:high], rows.raw[low:high], rows.terms[low:high])
                self.recent.append((row, truth))

    def _decide(self, rows: Rows) -> None:
        """Dense or sparse, looked at when 1, 2, 4, … 64 events were learnt."""
        if rows.dense is not None or self.position > _DECIDE or self.extreme:
            return
        nnz, names = self.density
        names.update(rows.hashes.tolist())
        # Words are always sparse; their terms equal their values, which are 0.5 at least.
        named = (rows.raw != rows.terms) | (np.abs(rows.raw) < 0.5)
        self.density = nnz + int(np.count_nonzero(named)), names
        if self.position & (self.position - 1) or not names:
            return
        dense = self.density[0] / (self.position * len(names)) >= _DENSE
        if isinstance(self.learner, SmallLearner) and dense != self.learner.dense:
            self._rebuild(SmallLearner(dense, self.settings.seed))

    def _become_extreme(self) -> None:
        self._rebuild(self._extreme(self.learner.width))
        self.taught = list(self.recent)
        self.extreme_from = self.position
        self.recent.clear()

    def _extreme(self, width: int) -> ExtremeLearner:
        s = self.settings
        return ExtremeLearner(
            s.seed, width, s.exemplars, s.hash_bits, s.linear_bits, self.dimension
        )

    def _rebuild(self, learner: SmallLearner | ExtremeLearner) -> None:
        """Put another learner in place, taught the labels, descriptions and recent events."""
        self.learner = learner
        learner.add_labels(len(self.labels), self.partitioner.highest)
        for slot in self.labels.descriptions:
            self._teach_description(slot)
        if isinstance(learner, ExtremeLearner):
            for slot in self.labels.retired:
                learner.retire(slot, True)
        leaf_of = self.partitioner.leaf_of
        for row, truth in self.recent:
            rows = features.batch([row])
            bounds = np.array([0, len(truth)], np.int64)
            if isinstance(learner, ExtremeLearner):
                near = nothing_near(1)
                learner.learn(rows, truth, bounds, leaf_of, near.slots, near.similar, False)
            else:
                learner.learn(rows, truth, bounds, leaf_of, False)

    def _teach_description(self, slot: int) -> None:
        dense = isinstance(self.learner, SmallLearner) and self.learner.dense
        if self.learner.width == 0 and not dense:  # words say nothing of a dense row
            rows = features.stack([features.of_text(self.labels.descriptions[slot])])
            self.learner.describe(rows, slot)
