"""Which generation of the prototype index is in use, and how another takes over.

A generation is an encoder with the prototypes and the index of its space. What trains encoders
says when a challenger is better; its generation is then filled in a thread, learns what came
meanwhile, and takes over between two micro-batches. The one before goes on learning, without an
index, so that it can be had back.
"""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from stream import features
from stream.config import Index
from stream.features import Rows
from stream.generations import kept
from stream.generations.coming import Begun, Coming, Ids
from stream.generations.filling import Others, filled, others
from stream.generations.kept import Kept
from stream.generations.resting import Contents, Resting, contents
from stream.generations.training import Training, learner_of, texts
from stream.learn.encoder.encoders import Encoder, Projection
from stream.learn.encoder.verdicts import Promoted, Refused
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.model import CHUNK, Model
from stream.plugged import Plug, goes_on, is_plugged, usable
from stream.retrieval import Retrieval
from stream.training.school import School
from stream.types import DriftEvent, Float32

log = logging.getLogger(__name__)

_VERDICTS = 20  # the last ones are kept


class Generations:
    """Owned by the pipeline; for its thread.

    Parameters
    ----------
    settings
        Of the index.
    model
        Whose learner weighs rows.
    plug
        The plugged encoder, if any; nothing is trained while it is in use.
    """

    def __init__(self, settings: Index, model: Model, plug: Plug | None = None) -> None:
        self._settings, self._model, self.plug = settings, model, plug
        self.training = Training(model)
        self.current: Retrieval | None = None
        self.before: Resting | None = None
        self.coming: Coming | None = None
        self.newest = 0
        self.verdicts: deque[DriftEvent] = deque(maxlen=_VERDICTS)
        self._news: deque[Promoted | Refused] = deque()
        self._next: Promoted | None = None  # came while another was being made

    def enrol(self, open_school: Callable[[int], School]) -> None:
        """Let challengers be trained from now on, or from when the space turns extreme.

        Parameters
        ----------
        open_school
            Begins a school for dense rows of a length, 0 for sparse ones.
        """
        self.training.enrol(open_school, None if self.plugged else self.current)

    def close(self) -> None:
        """End training."""
        self.training.close()

    def begin(self) -> Retrieval:
        """The generation in use; the first, where there is none yet.

        Its encoder is the fixed projection, or one that is plugged in for texts. It begins with
        what is known: descriptions, and the events that the learner of an extreme space began with.
        """
        if self.current is None:
            model, learner = self._model, learner_of(self._model)
            plug = usable(self.plug, learner.width)
            first = Projection(learner.dimension) if plug is None else plug.encoder
            self.current = Retrieval(self._settings, first)
            self.describe(list(model.labels.descriptions))
            if plug is None:
                self.training.attend(self.current, recall=not model.taught)  # that follows
            taught, model.taught = model.taught, []
            for start in range(0, len(taught), CHUNK):
                part = taught[start : start + CHUNK]
                truths = [truth for _, truth, _ in part]
                self.learn(features.batch([row for row, _, _ in part]), truths)
        return self.current

    @property
    def plugged(self) -> bool:
        """Whether prototypes are of the plugged encoder, or will be once there are any."""
        if self.current is not None:
            return is_plugged(self.current)
        return self._model.extreme and usable(self.plug, self._model.learner.width) is not None

    def keep_up(self) -> None:
        """After a micro-batch: look after the plugged encoder; where it is cut off, begin anew."""
        current = self.current
        if self.plug is None or current is None or not self.plugged:
            return
        if self.plug.guard.cut_off:
            log.warning("label prototypes begin anew, with the built-in embedding")
            self.current = None
            _close_unused(current)
            self.begin()
            learner_of(self._model).renew_index()
        else:
            self.plug.describe(current, self._model.labels)

    def embed(self, rows: Rows) -> Float32 | None:
        """Rows in the space of the generation in use; None while the label space is small."""
        current, learner = self.current, self._model.learner
        if current is None or not isinstance(learner, ExtremeLearner):
            made = self._model.embed(rows)
            return made if usable(self.plug, rows.width) is None else None
        if rows.width != learner.width:
            return None
        return current.embed(learner, rows)

    def learn(self, rows: Rows, truths: Sequence[Any], embedded: Float32 | None = None) -> None:
        """Learn events with the generation in use, and let all others have them.

        Parameters
        ----------
        rows
            n rows.
        truths
            Label slots of each.
        embedded
            (n, d), where `embed` was asked before.
        """
        current, learner = self.begin(), learner_of(self._model)
        ids = [self._model.labels.ids_of(truth).tolist() for truth in truths]
        current.learn(ids, current.embed(learner, rows) if embedded is None else embedded)
        self._also(rows, ids)
        self.training.learn(rows, truths)

    def _also(self, rows: Rows, ids: Ids) -> None:
        """Let generations learn that are not in use."""
        if self.before is not None:
            self.before.learn(ids, self.before.encoder.embed(learner_of(self._model), rows))
        if self.coming is not None:
            self.coming.learn(rows, ids)

    def describe(self, slots: Sequence[int]) -> None:
        """Let the descriptions of labels stand for them; each counts as one of its events."""
        if self.current is None or self._model.learner.width:  # words say nothing of a dense row
            return
        if self.plug is not None and self.plugged:
            self.plug.wait(slots)
            return
        for part, rows in texts(self._model.labels, slots):
            ids = self._model.labels.ids_of(part).tolist()
            self.current.describe(ids, self.current.embed(learner_of(self._model), rows))
            self._also(rows, [[one] for one in ids])
        self.training.describe(slots)

    def retire(self, slot: int) -> None:
        """Take a label out of every generation."""
        if self.current is None:
            return
        identity = self._model.labels.id_of(slot)
        for one in (self.current, self.before, self.coming):
            if one is not None:
                one.retire(identity)
        self.training.retire(slot)

    def discount(self, slots: Any) -> None:
        """After a drift alarm: these prototypes move more, and a challenger is asked for."""
        if self.current is not None:
            self.current.discount(self._model.labels.ids_of(slots))
        self.training.alarm()

    def stirs(self) -> bool:
        """Whether `turn` has something to do, though no events come."""
        self._news.extend(self.training.news())
        return bool(self._news) or self.coming is not None

    def turn(self) -> list[DriftEvent]:
        """Between two micro-batches: hear what came of trials, and take over what is ready."""
        self.stirs()
        told = [*self._heard(), *self._taken_over()]
        if self._next is not None and self.coming is None:
            given, self._next = self._next, None
            self._promote(given)
        self.verdicts.extend(told)
        return told

    def _heard(self) -> Iterator[DriftEvent]:
        while self._news:
            news = self._news.popleft()
            if isinstance(news, Refused):
                outcome = "diverged" if news.diverged else "refused"
                yield self._event("refusal", {"outcome": outcome} | news.evidence)
            else:
                self._next = news  # of several the last, which was better than those before

    def _taken_over(self) -> Iterator[DriftEvent]:
        if self.coming is None or self.current is None:
            return
        begun, number = self.coming.begun, self.current.number
        try:
            made = self.coming.turn(learner_of(self._model))
        except Exception as error:  # what there is goes on
            log.exception("a generation could not be made")
            self.coming = None
            self.training.attend(self.current)
            self.training.crown(self.current)
            reason = f"{type(error).__name__}: {error}"
            yield self._event("refusal", {"outcome": "failed", "reason": reason})
            return
        if made is not None:
            self.coming = None
            self._swap(made)
            self.training.attend(made)
            yield self._event(begun.kind, {"before": number} | begun.evidence)

    def _promote(self, given: Promoted) -> None:
        """Begin to fill the next generation.

        Labels that training does not know, or whose events it has lost, are learnt from exemplars
        and descriptions, where there are any.
        """
        labels = self._model.labels
        more = others(self._model, given.labels, given.stale)
        gone = np.array(list(labels.retired), np.int64)
        there = ~np.isin(given.labels, np.union1d(gone, more.lessons.labels))
        means, weights = given.means[there].astype(np.float32), given.weights[there]
        known = Contents(labels.ids_of(given.labels[there]), means, weights)
        self.newest += 1
        self._make("promotion", given.encoder, self.newest, known, given.evidence, more)

    def roll_back(self) -> bool:
        """Begin to go back to the generation before; whether there is one.

        Nothing is trained from then on, until `resume`, be it after a restart.
        """
        before = self.before
        if before is None or self.coming is not None:
            return False
        self.training.hold()
        self._next = None
        self._news.clear()
        self._make("rollback", before.encoder, before.number, contents(before.prototypes), {})
        return True

    def resume(self) -> bool:
        """Let challengers be trained again after `roll_back`; whether they were not.

        Where it is still under way, that begins with the generation that it goes back to.
        """
        if not self.training.held:
            return False
        self.training.held = False
        if self.coming is None:
            self.training.attend(self.current)
        return True

    def _make(
        self, kind: str, encoder: Encoder, number: int, given: Contents,
        evidence: dict[str, Any], more: Others | None = None,
    ) -> None:  # fmt: skip
        """Begin to fill a generation."""
        labels = len(given.ids) + (0 if more is None else len(np.unique(more.ids)))
        begun = Begun(kind, encoder.kind, encoder.dimension, number, labels, evidence)
        make = partial(filled, self._settings, encoder, number, given, more)
        self.coming = Coming(begun, make)

    def _swap(self, made: Retrieval) -> None:
        old = self.current
        assert old is not None, "there was one before"
        learner, back = learner_of(self._model), self.before
        known = back.brought if back is not None and back.number == made.number else (0.0, 0.0)
        self.current = made
        self.before = Resting(old.encoder, old.number, old.prototypes, learner.brought)
        _close_unused(old)
        learner.renew_index(known)

    def parts(self, copied: bool = True) -> Iterator[tuple[str, Any]]:
        """The state by name, piece by piece; see `Retrieval.parts`."""
        if self.current is not None:
            yield from kept.parts(self.current, self.before, copied)

    def state(self) -> dict[str, Any] | None:
        """Plain JSON beside `parts`; None where there is no generation yet."""
        if self.current is None:
            return None
        held, verdicts = self.training.held, list(self.verdicts)
        return kept.state(Kept(self.current, self.before, self.newest, held, verdicts))

    def load(
        self, arrays: dict[str, Any], kind: str, state: Mapping[str, Any], dense: bool
    ) -> None:
        """Replace the state by one that `parts` and `state` gave; `kind` is the index's.

        Prototypes are left out where those of `dense` or sparse rows are of another encoder now.
        """
        if not goes_on(kept.encoder(arrays, state), None if dense else self.plug):
            return
        found = kept.load(self._settings, arrays, kind, state)
        self.current, self.before, self.newest = found.current, found.before, found.newest
        self.training.held = found.held
        self.verdicts.extend(found.verdicts)

    def _event(self, kind: str, evidence: dict[str, Any]) -> DriftEvent:
        current = self.current
        number = current.number if current is not None else 0
        return DriftEvent(kind, "encoder", self._model.position, {"generation": number} | evidence)


def _close_unused(old: Retrieval) -> None:
    """Close its index once no view holds it; on a GPU a view has no state of its own."""
    weakref.finalize(old, old.index.close).atexit = False
