"""What trains challengers, as the generations have it: whom they are up against, what it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from stream import features
from stream.beside import beside
from stream.features import Rows
from stream.generations.resting import contents
from stream.labels import LabelSpace
from stream.learn.encoder.lessons import Lessons, inputs, remembered
from stream.learn.encoder.verdicts import Promoted, Refused
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.model import Model
from stream.retrieval import Retrieval
from stream.training.school import School

_TOGETHER = 1_024  # descriptions embedded together
_RECALLED = 1 << 14  # newest exemplars that training begins with


class Training:
    """A school, once there is one, and what it is told.

    Parameters
    ----------
    model
        Whose learner weighs rows.

    Attributes
    ----------
    held : bool
        Whether somebody went back: nothing is trained while that is so, restarts or not.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._open: Callable[[int], School] | None = None
        self.school: School | None = None
        self.held = False

    def enrol(self, open_school: Callable[[int], School], current: Retrieval | None) -> None:
        """Take what begins a school, and begin it where there is a generation.

        It goes on with the challenger that was kept with the stream's snapshot.
        """
        self._open = open_school
        self.attend(current, restored=True)

    def attend(
        self, current: Retrieval | None, restored: bool = False, recall: bool = True
    ) -> None:
        """Begin, where that is wanted and was not yet; with `recall`, with the exemplars."""
        if self._open is None or self.school is not None or current is None or self.held:
            return
        width = learner_of(self._model).width
        self.school = self._open(width)
        if restored:
            self.school.resume(self._model.position)
            for slot in self._model.labels.retired:  # since what was kept of the challenger
                self.school.retire(slot)
        self.crown(current)
        if not width:
            self.describe(list(self._model.labels.descriptions))
        if recall:
            learner = learner_of(self._model)
            wanted = np.ones(learner.labels, np.bool_)
            self.school.recall(remembered(learner, wanted, _RECALLED, _RECALLED))

    def crown(self, current: Retrieval) -> None:
        """Tell whom challengers are up against, with all that it knows."""
        ids, means, weights = contents(current.prototypes)
        slots = self._model.labels.slots_of_ids(ids)
        there = slots >= 0
        if self.school is not None and (current.number or there.any()):
            given = slots[there].astype(np.int64), means[there], weights[there]
            self.school.crown(current.encoder, *given)

    def describe(self, slots: Sequence[int]) -> None:
        """Tell what labels mean."""
        if self.school is None:
            return
        for part, rows in texts(self._model.labels, slots):
            weighed = inputs(learner_of(self._model), rows)
            for at, slot in enumerate(part):
                self.school.describe(slot, weighed.take(np.array([at])))

    def learn(self, rows: Rows, truths: Sequence[Any]) -> None:
        """Show events with the slots of their labels."""
        if self.school is None:
            return
        weighed = inputs(learner_of(self._model), rows)
        bounds = np.cumsum([0, *(len(one) for one in truths)]).astype(np.int64)
        flat = np.concatenate([np.zeros(0, np.int32), *truths]).astype(np.int32)
        self.school.learn(Lessons(weighed, flat, bounds))

    def retire(self, slot: int) -> None:
        """Tell that a label is no more."""
        if self.school is not None:
            self.school.retire(slot)

    def alarm(self) -> None:
        """Ask for a challenger."""
        if self.school is not None:
            self.school.alarm()

    def keep(self) -> None:
        """Let the challenger be kept with the snapshot of the stream that is taken now."""
        if self.school is not None:
            self.school.keep(self._model.position)

    def news(self) -> Sequence[Promoted | Refused]:
        """What came of trials since the last call."""
        return [] if self.school is None else self.school.news()

    def hold(self) -> None:
        """End it, and let none begin; what it is at is not waited for."""
        self.held = True
        if self.school is not None:
            beside(self.school.close, "school")
            self.school = None

    def close(self) -> None:
        """End it."""
        if self.school is not None:
            self.school.close()
            self.school = None

    def figures(self) -> dict[str, float]:
        """Counters and gauges by the name of their metric; none without a school."""
        return {} if self.school is None else self.school.told()

    def told(self) -> tuple[str, str]:
        """`on`, `waiting`, `held` or `off`, and a sentence about it."""
        if self.held:
            return "held", "somebody went back; POST /v1/generations/resume begins again"
        if self._open is None:
            return "off", "no embedding is learnt here; encoder.train=true asks braid run for it"
        if self.school is None:
            return "waiting", "the label space is not extreme yet: every label is scored"
        return "on", "challengers are trained beside the stream"


def learner_of(model: Model) -> ExtremeLearner:
    """The learner of an extreme space; only such a one has prototypes."""
    learner = model.learner
    assert isinstance(learner, ExtremeLearner), "only an extreme space has prototypes"
    return learner


def texts(labels: LabelSpace, slots: Sequence[int]) -> Iterator[tuple[Sequence[int], Rows]]:
    """Some slots at a time, with the rows of their descriptions."""
    of = labels.descriptions
    for start in range(0, len(slots), _TOGETHER):
        part = slots[start : start + _TOGETHER]
        yield part, features.stack([features.of_text(of[slot]) for slot in part])
