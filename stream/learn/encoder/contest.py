"""A champion, and the challenger that is trained beside it, on the same events.

Events of a trial are searched for by both before either moves. A challenger whose loss is no number
is dropped, and another begins from another seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from stream.learn.encoder.champion import Champion
from stream.learn.encoder.encoders import Encoder
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.trainer import FOUND, Diverged, Trainer
from stream.learn.encoder.trial import Trial, found
from stream.learn.encoder.verdicts import Promoted, Refused


class Contest:
    """For one thread.

    Parameters
    ----------
    recipe
        Of challengers.
    seed
        Of the first one; the next have the next ones.
    memory
        Events kept for replays, at least 256.
    window
        Events of a trial.
    width
        Length of dense rows, 0 for sparse ones.
    device
        torch's name of one.
    most
        Labels up to which there is a contest; with more it is over.
    """

    def __init__(
        self, recipe: Recipe, seed: int, memory: int, window: int, width: int = 0,
        device: str = "cpu", most: int = 1 << 19,
    ) -> None:  # fmt: skip
        self._recipe, self._seed, self._memory = recipe, seed, memory
        self._width, self._device, self._most = width, torch.device(device), most
        self._trial = Trial(window)
        self.challenger = self._another()
        self.champion = self._crowned(None)
        self._new = True
        self.over = False
        """Whether there are more labels than there is room for."""
        self.end: Refused | None = None
        """What is to be told of that, once."""

    def learn(self, lessons: Lessons) -> Promoted | Refused | None:
        """Let a batch be searched for and learnt; what came of it, where a trial ends with it."""
        if not self._fits(int(lessons.labels.max(initial=-1))):
            told, self.end = self.end, None
            return told
        verdict, nearest, self._new = None, None, False
        champion = self.champion
        x = champion.embed(lessons.inputs)
        if self._trial.on and len(champion.labels.known):
            nearest = self.challenger.search(lessons.inputs)
            theirs = champion.labels.nearest(x, FOUND).cpu().numpy()
            verdict = self._trial.add(
                found(theirs, lessons.labels, lessons.bounds),
                found(nearest, lessons.labels, lessons.bounds),
            )
        else:
            self._trial.pass_by(len(lessons))
        champion.learn(lessons, x)
        try:
            loss = self.challenger.learn(lessons, nearest)
        except Diverged as error:
            self._begin_again()
            return Refused(True, {"reason": str(error)})
        if verdict is None:
            return None
        evidence = verdict.evidence | {"loss": round(loss, 3), "trained": self.challenger.events}
        return self._promote(evidence) if verdict.promote else Refused(False, evidence)

    def recall(self, lessons: Lessons) -> None:
        """Let a batch of earlier events be drawn from.

        A challenger that has been shown none of the stream yet gets to know their labels, too.
        """
        if self._fits(int(lessons.labels.max(initial=-1))):
            self.challenger.recall(lessons, self._new)

    def describe(self, label: int, row: Inputs) -> None:
        """Let a text stand for a label, with champion and challenger."""
        if self._fits(label):
            self.champion.describe(label, row)
            self.challenger.describe(label, row)

    def retire(self, label: int) -> None:
        """Forget a label."""
        self.champion.labels.forget(label)
        self.challenger.retire(label)

    def crown(self, encoder: Encoder, labels: Any, means: Any, weights: Any) -> None:
        """Let another encoder be the champion, with prototypes as `Promoted` has them.

        A challenger that has learnt nothing yet goes on from a learnt one.
        """
        if not self._fits(int(labels.max(initial=-1))):
            return
        self.champion = self._crowned(encoder)
        if len(labels):
            self.champion.labels.take(labels, means, weights)
        if self.champion.encoder is not None and not self.challenger.events:
            given = labels, means, weights
            self._new = not self.challenger.begin_from(self.champion.encoder, *given)
        self._trial.drop()

    def alarm(self) -> None:
        """A drift alarm: larger steps, and a trial at once."""
        self.challenger.stir()
        self._trial.ask()

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Challenger and trials as arrays by name and plain JSON; nothing of the champion."""
        arrays, meta = self.challenger.parts()
        return arrays, meta | {"trial": self._trial.state(), "seed": self._seed}

    def load(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Go on with a challenger that `parts` gave.

        Raises
        ------
        ValueError
            It is of another recipe.
        """
        challenger = self._another()
        challenger.load(arrays, meta)
        self.challenger, self._new = challenger, False
        self._trial.load(meta["trial"])
        self._seed = meta["seed"]

    def _fits(self, label: int) -> bool:
        """Whether there is room for labels up to this one; where not, all is let go."""
        if label >= self._most and not self.over:
            self.over = True
            self.challenger, self.champion = self._another(), self._crowned(None)
            reason = f"more labels than encoder.labels={self._most:,}: training has ended"
            self.end = Refused(False, {"reason": reason})
        return not self.over

    def _another(self) -> Trainer:
        return Trainer(self._recipe, self._seed, self._memory, self._width, str(self._device))

    def _begin_again(self) -> None:
        """Drop a challenger; the next one goes on from a learnt champion, and has all texts."""
        texts = self.challenger.texts
        self._seed += 1
        self.challenger = self._another()
        if self.champion.encoder is not None:
            self.challenger.begin_from(self.champion.encoder, *self.champion.labels.made())
        self.challenger.describe_all(texts)
        self._trial.drop()

    def _crowned(self, encoder: Encoder | None) -> Champion:
        return Champion(encoder, self._recipe, self._width, self._device)

    def _promote(self, evidence: dict[str, Any]) -> Promoted:
        """Freeze the challenger; it is the champion now, and goes on learning as its challenger."""
        self.challenger.settle()
        frozen = self.challenger.frozen()
        labels, means, weights = self.challenger.labels.made()
        self.champion = self._crowned(frozen)
        self.champion.labels.take(labels, means, weights)
        return Promoted(frozen, labels, means, weights, self.challenger.stale(), evidence)
