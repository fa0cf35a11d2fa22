"""The model: one learner for the size of the label space, partitions and drift beside it.

It starts with the small learner. When more labels come than that one takes, the extreme learner
is made and taught the recent events, which are kept for that; the same way decides between
dense and sparse treatment of named features, from the density of the first 64 events.

Partitions and drift are updated every CHUNK learnt events, counted over the model's life, so
that learning is the same however a stream is cut into micro-batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from stream import features
from stream.config import Learn
from stream.features import AnyRow, Rows
from stream.labels import LabelSpace
from stream.learn.decide import CODES
from stream.learn.drift import DriftBank
from stream.learn.extreme.capacity import exemplars_in, table_bits
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.looked import Looked, everywhere, only_known, pack
from stream.learn.model.frozen import Frozen, Near, nothing_near, score
from stream.learn.model.told import suspicious
from stream.learn.partitions.company import rows_in
from stream.learn.partitions.partitioner import Partitioner
from stream.learn.ranking import Judged, Scores, hits, ranked
from stream.learn.reaction import Changes, Parts, react
from stream.learn.small.learner import SmallLearner
from stream.learn.suspicion import Suspicion
from stream.types import DriftEvent, Float32

CHUNK = 16
_RECENT = 4_096  # events kept for teaching another learner
_DECIDE = 64  # events in which dense or sparse is decided
_DENSE = 0.25  # density from which named features are dense


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
        exemplars_in(settings.exemplar_bytes, 0)  # what cannot work is told at the start
        table_bits(settings.linear_bytes)
        self.settings = settings
        self.dimension = dimension
        self.labels = LabelSpace()
        self.partitioner = Partitioner(rows_in(settings.cooccurrence_bytes))
        self.drift = DriftBank(settings.drift_delta)
        self.suspicion = Suspicion(settings.suspicious_share)
        self.learner: SmallLearner | ExtremeLearner = self._small(False)
        self.reacting = "reaction" not in settings.off
        """Whether the learner reacts to alarms; they are raised either way."""
        self.position = 0
        """Labelled events learnt."""
        self._recent: deque[tuple[Rows, int, Any, Any]] = deque(maxlen=_RECENT)
        """Batches and places in them, labels, and which were looked for, None for all."""
        self.extreme_from = 0
        """Position at which the extreme learner took over."""
        self.taught: list[tuple[Any, Any, Any]] = []
        """The recent events that the extreme learner began with, for whoever keeps prototypes."""
        self.waiting = Changes()
        """Truth and hits of the events since the last full chunk."""
        self.refused = 0
        """Labels left out since the start, `settings.most_labels` being known."""
        self.alarmed: list[Any] = []
        """Label slots of each alarm since the pipeline last looked."""
        self.density: tuple[int, set[int]] = (0, set())
        """Named values, and distinct features, of the first events."""

    @property
    def recent(self) -> list[tuple[AnyRow, Any, Any]]:
        """The recent events: rows, their labels, and which were looked for, None for all."""
        return [
            (features.row_of(rows, at), truth, slots) for rows, at, truth, slots in self._recent
        ]

    def remember(self, rows: Rows, truths: Sequence[Any], looked: Sequence[Any]) -> None:
        """Take up recent events as `recent` gave them."""
        for at, (truth, slots) in enumerate(zip(truths, looked, strict=True)):
            self._recent.append((rows, at, truth, slots))

    @property
    def extreme(self) -> bool:
        """Whether a shortlist is scored rather than every label."""
        return isinstance(self.learner, ExtremeLearner)

    @property
    def index_worth(self) -> float | None:
        """Share of true labels that only the prototype index found; None while not known."""
        return self.learner.index_worth if isinstance(self.learner, ExtremeLearner) else None

    def embed(self, rows: Rows) -> Float32 | None:
        """Unit embeddings (n, d) float32 for the prototype index; None while it is not asked."""
        self._match(rows)
        if not isinstance(self.learner, ExtremeLearner) or rows.width != self.learner.width:
            return None
        return self.learner.embed(rows)

    def predict(self, rows: Rows, near: Near | None = None) -> Scores:
        """Score labels for each row; changes nothing that learning would see."""
        self._match(rows)
        return score(self.learner, self.labels.retired, self.partitioner.leaf_of, rows, near)

    def learn(
        self, rows: Rows, labels: Sequence[Sequence[str]], near: Near | None = None,
        checked: Sequence[Sequence[str] | None] | None = None, ids: Sequence[str] | None = None,
        judged: list[Judged] | None = None,
    ) -> list[DriftEvent]:  # fmt: skip
        """Learn events in order.

        Parameters
        ----------
        rows
            n rows.
        labels
            The labels of each; empty for events labelled with nothing.
        near
            What the index found for them, for training on the same candidates.
        checked
            The labels looked for in each event, None for all: nothing is learnt of others that
            were not given. Labels that the model does not know are passed over, not made.
        ids
            Ids of the events, for what is told of suspicious labels.
        judged
            Takes what `predict` would have said of each event just before it was learnt; the
            learner has to know that anyway. Where learning breaks, of those learnt before.

        Returns
        -------
        list of DriftEvent
            New labels, suspicious labels, alarms, splits and merges, in order.
        """
        self._match(rows)
        events: list[DriftEvent] = []
        found = nothing_near(len(rows)) if near is None else near
        start = 0
        while start < len(rows):
            stop = self._cut(start, labels)
            before = None
            if judged is not None and self._stirs(labels[start]):  # it was not there to be scored
                before = self.predict(rows.part(start, start + 1), found.part(start, start + 1))
                stop = start + 1
            truths, bounds, known, new = self._slots(labels[start:stop])
            looked = everywhere(stop - start)
            if checked is not None:
                looked = self._looked(labels[start:stop], checked[start:stop], known.tolist())
            part = rows.part(start, stop)
            given = None if ids is None else ids[start:stop]
            position, near_part = self.position, found.part(start, stop)
            told, scores = self._learn_part(part, truths, bounds, known, looked, near_part, given)
            events.extend(sorted(new + told, key=lambda event: event.position))
            if judged is not None:
                judged.append(Judged(position, scores if before is None else before))
            events.extend(self._advance())
            self._decide(part)
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
        return Frozen(self.labels, learner, leaf_of, self.position, self.drift.losses())

    def describe(self, label: str, text: str | None) -> list[DriftEvent]:
        """Learn what a label means before its events come; None retires it."""
        if text is None:
            slot = self.labels.retire(label)
            if slot is not None and isinstance(self.learner, ExtremeLearner):
                self.learner.retire(slot, True)
            return []
        if self._full(label):
            return []
        events = self._add(label)
        slot, _ = self.labels.add(label)
        self.labels.descriptions[slot] = text
        self._teach_description(slot)
        return events

    def _match(self, rows: Rows) -> None:
        """Make the learner that the first rows ask for; labels may be described already."""
        if self.position == 0 and rows.width != self.learner.width:
            small = self._small(rows.width > 0, rows.width)
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
        """Whether a label is back from retirement or new, which changes what is scored.

        In an extreme space nothing finds a new label before it is learnt, so only the former does.
        """
        slot_of, retired, extreme = self.labels.slot, self.labels.retired, self.extreme
        for name in names:
            slot = slot_of(name)
            if slot in retired or (slot is None and not extreme):
                return True
        return False

    def _slots(self, labels: Sequence[Sequence[str]]) -> tuple[Any, Any, Any, list[DriftEvent]]:
        """Slots, bounds, how many labels are known at each event, and what is told of new ones."""
        slot_of, retired = self.labels.slot, self.labels.retired
        slots: list[int] = []
        ends, known = [0], []
        new: list[DriftEvent] = []
        for at, names in enumerate(labels):
            for name in dict.fromkeys(names):
                slot = slot_of(name)
                if slot is None or slot in retired:
                    if self._full(name):
                        continue
                    new.extend(self._add(name, at))
                    slot = self.labels.add(name)[0]
                slots.append(slot)
            ends.append(len(slots))
            known.append(len(self.labels))
        return np.array(slots, np.int32), np.array(ends), np.array(known), new

    def _looked(
        self, labels: Sequence[Sequence[str]], checked: Sequence[Sequence[str] | None],
        known: Sequence[int],
    ) -> Looked:  # fmt: skip
        """Slots of the labels looked for, of those known at each event.

        All labels by name are the same as not saying which.
        """
        each: list[list[int] | None] = []
        for given, named, count in zip(labels, checked, known, strict=True):
            found = {self.labels.slot(name) for name in (*given, *(named or ()))}
            slots = sorted(slot for slot in found if slot is not None and slot < count)
            each.append(None if named is None or len(slots) == count else slots)
        return pack(each)

    def _full(self, name: str) -> bool:
        """Whether there is no room for a label, which is counted then."""
        full = len(self.labels) >= self.settings.most_labels and self.labels.slot(name) is None
        self.refused += full
        return full

    def _add(self, name: str, at: int = 0) -> list[DriftEvent]:
        """Make room for a label that is new, or back from retirement, `at` events from now."""
        known = self.labels.slot(name)
        if known is not None:
            if known in self.labels.retired and isinstance(self.learner, ExtremeLearner):
                self.learner.retire(known, False)
            return []
        alike = self.labels.alike(name)
        slot, _ = self.labels.add(name)
        total = len(self.labels)
        self.partitioner.add_labels(total)
        if total > self.settings.small_labels and not self.extreme:
            self._become_extreme()
        self.learner.add_labels(total, self.partitioner.highest)
        evidence = {"id": self.labels.id_of(slot), "labels": total, "alike": alike}
        return [DriftEvent("new_label", f"label/{name}", self.position + at, evidence)]

    def _learn_part(
        self, rows: Rows, truths: Any, bounds: Any, known: Any, looked: Looked, near: Near,
        ids: Sequence[str] | None,
    ) -> tuple[list[DriftEvent], Scores]:  # fmt: skip
        leaf_of = self.partitioner.leaf_of
        if isinstance(self.learner, ExtremeLearner):
            found = self.learner.learn(
                rows, truths, bounds, leaf_of, near.slots, near.similar, looked
            )
            scores = Scores(*found)
        else:
            whole = self.learner.learn(rows, truths, bounds, leaf_of, looked)
            scores = ranked(*whole, self.labels.retired)
            self._keep(rows, truths, bounds, looked)
        slots, p, _ = scores
        suspects = self.suspicion.look(slots, p, truths, bounds, looked, known)
        told = [
            suspicious(
                one, slots[one.at], p[one.at], self.labels.names, leaf_of, self.position, ids
            )
            for one in suspects
        ]
        if looked.partial.any():
            slots, p = only_known(slots, p, truths, bounds, looked)
        hit = np.zeros(len(truths), np.uint8)
        hits(slots, truths, bounds, hit)
        # Not the threshold in force: that one moves inside a part.
        empty = p[:, 0] > 0.5 if p.shape[1] else np.zeros(len(rows), np.bool_)
        self.waiting.add(truths, bounds, hit, empty.astype(np.float32), looked)
        self.position += len(rows)
        return told, scores

    def _advance(self) -> list[DriftEvent]:
        """At a full chunk: drift, then partitions, from what was learnt in it."""
        if self.position % CHUNK:
            return []
        parts = Parts(self.labels, self.partitioner, self.drift, self.learner, self.position)
        events, alarmed = react(parts, self.waiting, self.reacting)
        if self.extreme:  # nobody looks at it before
            self.alarmed.extend(alarmed)
        return events

    def _keep(self, rows: Rows, truths: Any, bounds: Any, looked: Looked) -> None:
        each = bounds.tolist()
        for i in range(len(rows)):
            self._recent.append((rows, i, truths[each[i] : each[i + 1]], looked.of(i)))

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
            self._rebuild(self._small(dense))

    def _become_extreme(self) -> None:
        self._rebuild(self._extreme(self.learner.width))
        self.taught = self.recent
        self.extreme_from = self.position
        self._recent.clear()

    def _extreme(self, width: int) -> ExtremeLearner:
        s = self.settings
        return ExtremeLearner(
            s.seed, width, exemplars_in(s.exemplar_bytes, width), s.hash_bits,
            table_bits(s.linear_bytes), self.dimension, CODES[s.objective], s.off,
        )  # fmt: skip

    def _small(self, dense: bool, width: int = 0) -> SmallLearner:
        s = self.settings
        return SmallLearner(dense, s.seed, width, CODES[s.objective], s.off)

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
        for whole, at, truth, slots in self._recent:
            rows, looked = whole.part(at, at + 1), pack([slots])
            bounds = np.array([0, len(truth)], np.int64)
            if isinstance(learner, ExtremeLearner):
                near = nothing_near(1)
                learner.learn(rows, truth, bounds, leaf_of, near.slots, near.similar, looked)
            else:
                learner.learn(rows, truth, bounds, leaf_of, looked)

    def _teach_description(self, slot: int) -> None:
        dense = isinstance(self.learner, SmallLearner) and self.learner.dense
        if self.learner.width == 0 and not dense:  # words say nothing of a dense row
            text = self.labels.descriptions[slot]
            rows = features.stack([features.of_text(text)])
            if isinstance(self.learner, ExtremeLearner):
                self.learner.describe(rows, slot, features.names_in(text))
            else:
                self.learner.describe(rows, slot)
