"""One step for one micro-batch: predict and learn. No I/O, no clock.

An event that comes with its labels is predicted just before it is learnt, with all that came
before it; so its prediction does not depend on where micro-batches are cut. All others are
predicted with the state before the batch.

The prototype index adds candidates to the model's shortlists, and what is learnt moves the
prototypes; the index exists once the label space is too large to score whole.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from stream import features
from stream.asking import due, pays
from stream.config import Settings
from stream.errors import BraidError, InvalidRecord
from stream.features import AnyRow, Featurizer, Rows
from stream.generations import Generations
from stream.labels import Labels
from stream.learn.delayed import Outcome, WaitingRoom
from stream.learn.discovery import Discovery
from stream.learn.model import CHUNK, Model, Near
from stream.learn.ranking import Judged, Scores
from stream.plugged import plug
from stream.retrieval import Retrieval
from stream.teaching import Caps
from stream.types import Description, DriftEvent, Example, Float32, Prediction, Scored

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """One decoded record and what to do with it.

    `predict` and `learn` follow from lease and positions; see `stream.runner`.
    """

    what: Example | Description
    predict: bool = True
    learn: bool = True
    late: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """A batch with what the index found for it, while the state is what it was then."""

    rows: Rows
    embedded: Float32 | None
    near: Near | None


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A row to learn with its labels, and the place of the item that it came of."""

    at: int
    row: AnyRow
    example: Example
    predict: bool


@dataclass
class Outcomes:
    """What a step made of its items, by their places in the batch."""

    predictions: dict[int, Prediction] = field(default_factory=dict)
    failures: dict[int, InvalidRecord] = field(default_factory=dict)
    drift: list[DriftEvent] = field(default_factory=list)
    learnt: int = 0
    late_labels: list[Outcome] = field(default_factory=list)
    capped: int = 0


class Pipeline:
    """The whole of what is learnt, and the step that moves it.

    Parameters
    ----------
    settings
        Of the whole service.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.featurizer = Featurizer()
        self.model = Model(settings.learn, settings.index.dimension)
        self.room = WaitingRoom(settings.learn.waiting, settings.learn.waiting_bytes)
        self.caps = Caps(settings.learn.source_share, settings.learn.source_burst)
        self.plug = plug(settings.encoder)
        self.generations = Generations(settings.index, self.model, self.plug)
        self.discovery = Discovery(settings.learn)

    def step(self, items: Sequence[Item]) -> Outcomes:
        """Predict and learn a batch; what comes labelled is predicted as it is learnt, in order."""
        out = Outcomes(drift=self.generations.turn())
        items = [self._admitted(item, out) for item in items]
        events = [
            (at, item)
            for at, item in enumerate(items)
            if isinstance(item.what, Example) and not item.what.is_feedback
        ]
        made = {at: self._row(at, item, out) for at, item in events}
        rows = {at: row for at, row in made.items() if row is not None}
        ahead = [
            (at, item)
            for at, item in events
            if item.predict and at in rows and not _comes_labelled(item)
        ]
        self._predict(ahead, rows, out)
        self._learn(items, rows, out)
        self.generations.keep_up()
        return out

    def _admitted(self, item: Item, out: Outcomes) -> Item:
        """The item without the labels that its source has taught too often."""
        what = item.what
        if not item.learn or not isinstance(what, Example) or what.labels is None:
            return item
        admitted, over = self.caps.admit(what)
        if not over:
            return item
        out.capped += over
        if admitted is not None:
            return replace(item, what=admitted)
        return replace(item, learn=False)

    def near(self, rows: Rows) -> Near | None:
        """What the index adds to the shortlists of rows; None while there is no index."""
        return self._ask(rows).near

    def _ask(self, rows: Rows, chunk: int | None = None) -> _Asked:
        """Embed rows, and ask the index about them where that pays.

        Where it does not, the first of a `chunk` that begins here may ask, for measuring.
        """
        embedded, near = self.generations.embed(rows), None
        if self.retrieval is None or embedded is None:
            return _Asked(rows, embedded, near)
        asking, worth = self.retrieval.asking, self.model.index_worth
        if worth is None or pays(asking, worth):
            near = self.retrieval.near(embedded, self.model.labels)
        elif chunk is not None and due(asking, chunk, worth):
            near = self.retrieval.near(embedded[:1], self.model.labels)
            near = near and near.padded(len(rows))
        return _Asked(rows, embedded, near)

    def _beside(self, rows: Sequence[AnyRow], examples: Sequence[Example]) -> Sequence[AnyRow]:
        """The rows of examples, with vectors where the index is of the plugged encoder."""
        if self.plug is None or not self.generations.plugged or not rows:
            return rows
        return self.plug.beside(rows, examples)

    def _row(self, at: int, item: Item, out: Outcomes) -> AnyRow | None:
        """The row of an event, or None and a failure."""
        assert isinstance(item.what, Example), "descriptions have no row"
        try:
            self.featurizer.check(item.what)
            return self.featurizer.row(item.what)
        except InvalidRecord as error:
            out.failures[at] = error
        except Exception as error:
            out.failures[at] = _broken(error)
        return None

    def _predict(
        self, chosen: Sequence[tuple[int, Item]], rows: dict[int, AnyRow], out: Outcomes
    ) -> None:
        """Predict together; where that breaks, each alone, and what breaks again fails."""
        try:
            self._predict_together(chosen, rows, out)
        except BraidError:
            raise
        except Exception as error:
            if len(chosen) > 1:
                for one in chosen:
                    self._predict([one], rows, out)
            else:
                out.failures[chosen[0][0]] = _broken(error)
                del rows[chosen[0][0]]

    def _predict_together(
        self, chosen: Sequence[tuple[int, Item]], rows: Mapping[int, AnyRow], out: Outcomes
    ) -> None:
        if not chosen:
            return
        given: Sequence[AnyRow] = [rows[at] for at, _ in chosen]
        examples = [item.what for _, item in chosen if isinstance(item.what, Example)]
        assert len(examples) == len(chosen), "descriptions are not predicted"
        worth = self.model.index_worth
        if worth is None or self.retrieval is None or pays(self.retrieval.asking, worth):
            given = self._beside(given, examples)
        asked = self._ask(features.batch(given))
        scores = self.model.predict(asked.rows, asked.near)
        k = self.settings.learn.top_k
        for n, (at, item) in enumerate(chosen):
            out.predictions[at] = prediction(
                self.model.labels, self.model.position, scores, n, examples[n].id, k, item.late
            )

    def _learn(self, items: Sequence[Item], rows: Mapping[int, AnyRow], out: Outcomes) -> None:
        """Learn runs of labelled events together, all else in its place between them."""
        run: list[_Lesson] = []
        for at, item in enumerate(items):
            if not item.learn:
                continue
            if isinstance(item.what, Description):
                self._flush(run, out)
                out.drift.extend(self.describe(item.what))
                continue
            labelled = self._labelled(item.what, at in rows, out)
            if labelled is not None:
                row = rows.get(at)  # none for feedback: its event came earlier
                row = self.featurizer.row(labelled) if row is None else row
                asked = item.predict and _comes_labelled(item)
                run.append(_Lesson(at, row, labelled, asked))
            elif at in rows and self.discovery.on:
                if not self.settings.index.background:  # the prediction made saw another state
                    self._flush(run, out)
                self._unlabelled(at, item.what, rows[at], out)
        self._flush(run, out)

    def _labelled(self, example: Example, usable: bool, out: Outcomes) -> Example | None:
        """The labelled event to learn: this one, or one that it completes."""
        if example.is_feedback:
            assert example.labels is not None, "the codec refuses feedback without labels"
            joined, outcome = self.room.feedback(example.id, example.labels, example.checked)
            out.late_labels.append(outcome)
            return joined
        if not usable:
            return None
        return example if example.labels is not None else self.room.event(example)

    def _unlabelled(self, at: int, example: Example, row: AnyRow, out: Outcomes) -> None:
        """Show an event without labels to discovery, with how probable its best label is.

        As it was predicted, where it was. Where the state is to depend on the events alone, by the
        state at its place, whoever predicts it.
        """
        model, rows, best = self.model, features.batch([row]), 0.0
        made = out.predictions.get(at)
        if not self.settings.index.background:
            try:
                p = model.predict(rows, self._ask(rows).near).p
            except Exception as error:
                out.failures[at] = _broken(error)
                out.predictions.pop(at, None)
                return
            best = float(p[0, 0]) if p.shape[1] else 0.0
        elif made is None:
            return
        elif made.top:
            best = made.top[0].score
        told = self.discovery.unlabelled(rows, example, best, model.labels, model.position)
        out.drift.extend(told)

    def _flush(self, run: list[_Lesson], out: Outcomes) -> None:
        """Learn events in parts that end with the model's chunks, so that the index stays close.

        The events of a part get the index as it was before all of them, so what they leave
        depends on where batches are cut, unless each is a part of its own.
        """
        start, alone = 0, not self.settings.index.background
        rows = self._beside([one.row for one in run], [one.example for one in run])
        run[:] = [replace(one, row=row) for one, row in zip(run, rows, strict=True)]
        while start < len(run):
            stop = start + (1 if alone else CHUNK - self.model.position % CHUNK)
            self._learn_part(run[start:stop], out)
            start = stop
        run.clear()

    def _learn_part(self, part: Sequence[_Lesson], out: Outcomes) -> None:
        """Learn together; where that breaks, what is left each alone, and what breaks fails."""
        before = self.model.position
        try:
            self._learn_together(part, out)
        except BraidError:
            raise
        except Exception as error:
            left = part[self.model.position - before :]
            if len(part) > 1:
                for one in left:
                    self._learn_part([one], out)
            for one in left if len(part) == 1 else ():
                out.failures[one.at] = _broken(error)
                out.predictions.pop(one.at, None)
        else:
            out.learnt += len(part)
            return
        if len(part) > 1:
            out.learnt += len(part) - len(left)

    def _learn_together(self, part: Sequence[_Lesson], out: Outcomes) -> None:
        """Candidates from the index, the model, then the prototypes."""
        model, before = self.model, self.model.position
        begins = before // CHUNK if before % CHUNK == 0 else None
        asked = self._ask(features.batch([one.row for one in part]), begins)
        lessons = [one.example for one in part]
        labels = [one.labels or () for one in lessons]
        checked = [one.checked for one in lessons]
        given = checked if any(one is not None for one in checked) else None
        judged: list[Judged] = []
        try:
            out.drift.extend(
                model.learn(
                    asked.rows, labels, asked.near, given, [one.id for one in lessons], judged
                )
            )
        finally:  # what was learnt before something broke is not learnt again
            self._tell(part, judged, out)
        out.drift.extend(self.discovery.learnt(asked.rows, lessons, judged, model.labels))
        if not model.extreme:
            return
        known = 0
        if self.retrieval is None:  # what came before the switch is in model.taught
            known = max(0, model.extreme_from - before)
        self.generations.begin()
        if known < len(part):
            truths = [model.labels.slots_of_names(names) for names in labels[known:]]
            embedded = None if asked.embedded is None else asked.embedded[known:]
            rows = asked.rows.part(known, len(part))
            self.generations.learn(rows, truths, embedded)
        for slots in model.alarmed:
            self.generations.discount(slots)
        model.alarmed.clear()

    def _tell(self, part: Sequence[_Lesson], judged: Sequence[Judged], out: Outcomes) -> None:
        """Predictions of the lessons that were to have one."""
        k, labels = self.settings.learn.top_k, self.model.labels
        lessons = iter(part)
        for position, scores in judged:
            for n in range(len(scores.slots)):
                one = next(lessons)
                if one.predict:
                    made = prediction(labels, position + n, scores, n, one.example.id, k)
                    out.predictions[one.at] = made

    def describe(self, description: Description) -> list[DriftEvent]:
        """Learn what a label means, or retire it."""
        events = self.model.describe(description.label, description.text)
        slot = self.model.labels.slot(description.label)
        if slot is not None and description.text is None:
            self.generations.retire(slot)
        elif slot is not None:
            self.generations.describe([slot])
        return events

    @property
    def retrieval(self) -> Retrieval | None:
        """The generation of the prototype index that is in use."""
        return self.generations.current


def _broken(error: Exception) -> InvalidRecord:
    log.error("a record broke the pipeline", exc_info=error)
    return InvalidRecord("pipeline", f"{type(error).__name__}: {error}")


def _comes_labelled(item: Item) -> bool:
    """Whether an event is to be learnt with labels of its own."""
    what = item.what
    own = isinstance(what, Example) and what.labels is not None and not what.is_feedback
    return item.learn and own


def prediction(
    labels: Labels, position: int, scores: Scores, at: int, identity: str, k: int,
    late: bool = False,
) -> Prediction:  # fmt: skip
    """Row `at` of scores as a prediction with labels by name."""
    slots, p = scores.slots[at], scores.p[at]
    names = labels.names
    first = zip(slots[:k].tolist(), p[:k].tolist(), strict=True)
    top = tuple([Scored(names[slot], score) for slot, score in first if slot >= 0])
    chosen = tuple([names[slot] for slot in slots[scores.chosen[at]].tolist()])
    return Prediction(identity, top, chosen, position, late)
