"""The whole learner with and without an embedding that learns, for `bench_encoder.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.config import Settings
from stream.learn.model import CHUNK
from stream.learn.ranking import Judged
from stream.pipeline import Item, Outcomes, Pipeline
from stream.source.folder import Folder
from stream.training.opening import school_of
from stream.types import Description, Example


class Watched(Pipeline):
    """A pipeline that counts true labels, and those of them that were in the shortlist."""

    truths = held = 0

    def _tell(self, part: Any, judged: Sequence[Judged], out: Outcomes) -> None:
        at = 0
        for _, scores in judged:
            for slots in scores.slots:
                true = {self.model.labels.slot(name) for name in part[at].example.labels}
                self.truths += len(true)
                self.held += len(true & set(slots.tolist()))
                at += 1
        super()._tell(part, judged, out)


class Whole:
    """A pipeline that is shown texts, and the names of labels once they are met.

    Parameters
    ----------
    settings
        Of the service; with `encoder.train` it is trained in this thread.
    names
        Whether names are given.
    """

    def __init__(self, settings: Settings, names: dict[str, str] | None) -> None:
        self._pipeline = Watched(settings)
        if (school := school_of(settings, inline=True)) is not None:
            self._pipeline.generations.enrol(school)
        self._names = names
        self._each: list[tuple[float, float]] = []
        self._shares: list[tuple[int, int]] = []
        self.promotions: list[dict[str, Any]] = []

    def step(self, examples: list[Example]) -> None:
        """Predict and learn some events, then the names of what was new."""
        out = self._pipeline.step([Item(example) for example in examples])
        for at, example in enumerate(examples):
            truth, top = set(example.labels or ()), out.predictions[at].top
            hit = [one.label in truth for one in top[:5]]
            self._each.append((float(sum(hit[:1])), sum(hit) / 5))
        self._shares.append((self._pipeline.held, self._pipeline.truths))
        told = list(out.drift)
        for event in out.drift:
            if event.kind == "new_label" and self._names is not None:
                name = event.scope.removeprefix("label/")
                told += self._pipeline.step([Item(Description(name, self._names[name]))]).drift
        for event in told:
            if event.kind == "promotion":
                self.promotions.append({"position": event.position} | event.evidence)

    def figures(self) -> dict[str, Any]:
        """P@1, P@5 and the share of true labels in the shortlist, whole and second half."""
        every, shares = np.array(self._each), np.array(self._shares, np.float64)
        late = every[len(every) // 2 :].mean(0)
        before, after = shares[len(shares) // 2], shares[-1]
        made = {"p1": every[:, 0].mean(), "p5": every[:, 1].mean()}
        made["shortlist"] = after[0] / max(after[1], 1)
        made |= {"late_p1": late[0], "late_p5": late[1]}
        made["late_shortlist"] = (after - before)[0] / max((after - before)[1], 1)
        return {name: round(float(value), 4) for name, value in made.items()}


def race(folder: Folder, most: int, wholes: dict[str, Whole]) -> None:
    """Show all the same events, some at a time."""
    part: list[Example] = []
    for example in folder.examples(most):
        part.append(example)
        if len(part) == CHUNK:
            for whole in wholes.values():
                whole.step(part)
            part = []
    for whole in wholes.values() if part else ():
        whole.step(part)
