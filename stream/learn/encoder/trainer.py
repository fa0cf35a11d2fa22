"""An encoder and label prototypes that are trained on events in their order.

Each batch is first searched for, with what was known before it: those are the challenger's
prequential figures. Then it moves its labels' centroids, and is trained on, with as many events
from the memory. The same events in the same batches and the same seed give the same weights, on
the same processor with as many threads; on a GPU nearly the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from stream.learn.encoder.bags import Bags
from stream.learn.encoder.encoders import Bag, Residual
from stream.learn.encoder.labels import Labels
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.losses import Pairs, losses
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.replay import Replay
from stream.learn.encoder.residuals import Residuals
from stream.learn.encoder.texts import Texts
from stream.learn.extreme.bag import MOST

FOUND = 40
"""Labels that a search finds, of which recall is the measure."""
_REFRESHED = 8  # batches between refreshes of all prototypes
_TEXTS = 32  # and of all texts
_LEAST = 1e-3  # length of a prototype that says anything


class Diverged(Exception):
    """The loss is no number any more."""


class Trainer:
    """Learns an encoder; for one thread.

    Parameters
    ----------
    recipe
        How.
    seed
        Of all that is drawn.
    memory
        Events kept for replays.
    width
        Length of dense rows, 0 for sparse ones.
    device
        torch's name of one.
    """

    def __init__(
        self, recipe: Recipe, seed: int, memory: int, width: int = 0, device: str = "cpu"
    ) -> None:
        self.recipe, self.device = recipe, torch.device(device)
        self._width = width
        if width:
            # a step costs little, and labels that lie close are parted by their free vectors
            self.recipe = recipe = replace(
                recipe, dimension=min(recipe.dimension, width), replays=3 * recipe.replays,
                free_rate=2 * recipe.free_rate,
            )  # fmt: skip
        self._draw = torch.Generator().manual_seed(seed)
        self._random = np.random.default_rng(seed)
        self.encoder: Bags | Residuals
        if width:
            self.encoder = Residuals(recipe, width, self._draw, self.device)
        else:
            self.encoder = Bags(recipe, self._draw, self.device)
        self.labels = Labels(recipe, self.device)
        self.texts = Texts()
        self.replay = Replay(memory, 0 if width else MOST, width)
        self._hard = np.full((memory, recipe.hard), -1, np.int64)
        self.events = self.batches = 0

    def frozen(self) -> Bag | Residual:
        """The encoder as it is now."""
        return self.encoder.frozen()

    def search(self, inputs: Inputs, k: int = FOUND) -> Any:
        """(n, k) int64 nearest labels of rows, with what is known now; fewer where few are."""
        with torch.no_grad():
            found: Any = self.labels.nearest(self.encoder.embed(inputs), k).cpu().numpy()
        return found

    def learn(self, lessons: Lessons, found: Any = None) -> float:
        """Learn a batch of events.

        Parameters
        ----------
        found
            What `search` found for them, for hard negatives; None: none are known.

        Returns
        -------
        float
            The mean loss of the new events.

        Raises
        ------
        Diverged
            It is no number; the trainer is of no use any more.
        """
        if not len(lessons):
            return 0.0
        labels, at = self.labels, self.recall(lessons)
        if found is not None:
            some = min(self.recipe.hard, found.shape[1])
            self._hard[at, :some] = found[:, :some]
        touched = np.unique(lessons.labels)
        loss = self._descend(self.replay.take(at), self._hard[at])
        for _ in range(self.recipe.replays if len(labels.known) else 0):
            rare = labels.count if self.recipe.tail else None
            again = self.replay.draw(len(lessons), self._random, rare)
            self._descend(self.replay.take(again), self._hard[again])
        if self.recipe.text:
            self._read(touched)
        self._refresh(touched)
        self.events += len(lessons)
        self.batches += 1
        if self.recipe.text and self.batches % _TEXTS == 0:
            self._read_all()
        if self.batches % _REFRESHED == 0:
            labels.refresh(labels.known)
        return loss

    def recall(self, lessons: Lessons, known: bool = True) -> Any:
        """Keep events to draw from, and let their labels be `known` by them; where they lie."""
        at = self.replay.add(lessons)
        self._hard[at] = -1
        touched = np.unique(lessons.labels)
        self.labels.grow(int(touched.max(initial=-1)) + 1)  # drawn, they count as labels
        if known:
            self._move(lessons)
            self._refresh(touched)
        return at

    def _move(self, lessons: Lessons) -> None:
        """Move the centroids of labels towards their events."""
        if len(lessons.labels):
            row = np.repeat(np.arange(len(lessons)), np.diff(lessons.bounds))
            with torch.no_grad():
                made = self.encoder.embed(lessons.inputs)
            self.labels.add(lessons.labels, made[torch.from_numpy(row).to(self.device)])

    def describe(self, label: int, row: Inputs) -> None:
        """Let a text stand for a label; from now on it can be found by it.

        Words say nothing of dense rows.
        """
        if not self.recipe.text or self._width:
            return
        self.labels.grow(label + 1)
        self.texts.put(label, row)
        at = np.array([label])
        self._embed_texts(at, row)
        if float(self.labels.text[label].norm()) > 0:
            self.labels.meet(at)
        self._refresh(at)

    def retire(self, label: int) -> None:
        """Forget a label, also in the events that are kept."""
        self.texts.drop(label)
        self.labels.forget(label)
        self.replay.forget(label)
        self._hard[self._hard == label] = -1

    def begin_from(self, encoder: Bag | Residual, labels: Any, means: Any, weights: Any) -> bool:
        """Go on from what an earlier one had learnt, see `Labels.made`; whether that fits."""
        if not self.encoder.begin_from(encoder):
            return False
        if len(labels):
            self.labels.take(labels, means, weights)
        return True

    def describe_all(self, texts: Texts) -> None:
        """Take over the texts of another one."""
        self.texts = texts
        if len(texts):
            self.labels.grow(int(texts.labels.max()) + 1)
            self._read_all()
            said = self.labels.text[torch.from_numpy(texts.labels).to(self.device)].norm(dim=1) > 0
            self.labels.meet(texts.labels[said.cpu().numpy()])
            self.labels.refresh(self.labels.known)

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is learnt as arrays by name and plain JSON; nothing of the memory."""
        named = {"encoder": {n: a.cpu().numpy() for n, a in self.encoder.state().items()}}
        named |= {"labels": self.labels.parts(), "texts": self.texts.arrays()}
        arrays = {f"{of}.{name}": a for of, each in named.items() for name, a in each.items()}
        about = {"recipe": asdict(self.recipe), "width": self._width}
        return arrays, about | {"events": self.events, "batches": self.batches}

    def load(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Begin with what `parts` gave.

        Raises
        ------
        ValueError
            It is of another recipe.
        """
        if (meta["recipe"], meta["width"]) != (asdict(self.recipe), self._width):
            raise ValueError("it was trained by another recipe")
        of: dict[str, dict[str, Any]] = {"encoder": {}, "labels": {}, "texts": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            of[part][rest] = array
        self.encoder.load(of["encoder"])
        self.labels.load(of["labels"])
        self.texts.load(*(of["texts"][name] for name in ("labels", "sizes", "bytes")))
        self.events, self.batches = meta["events"], meta["batches"]

    def stir(self, factor: float = 0.25) -> None:
        """After a drift alarm: larger steps."""
        self.encoder.stir(factor)

    def stale(self) -> Any:
        """(s,) int64 labels whose events the memory has lost: `settle` leaves their centroids."""
        known, kept = self.labels.known.cpu().numpy(), self._remembered()
        return known[(self.labels.count[known] > 0) & ~np.isin(known, kept)]

    def _remembered(self) -> Any:
        return np.unique(self.replay.take(self.replay.newest(len(self.replay))).labels)

    def settle(self) -> None:
        """Embed the memory anew, so that centroids are of the encoder as it is now; see `stale`."""
        labels = self.labels
        every = self.replay.newest(len(self.replay))
        met = self._remembered()
        where = torch.from_numpy(met).to(self.device, torch.int64)
        labels.sum[where], labels.weight[where] = 0, 0
        count = labels.count.copy()
        for part in np.array_split(every, max(1, len(every) // 1_024)):
            self._move(self.replay.take(part))
        labels.count = count
        self._read_all()
        labels.refresh(labels.known)

    def _refresh(self, labels: Any) -> None:
        if len(labels):
            self.labels.refresh(torch.from_numpy(labels).to(self.device, torch.int64))

    def _negatives(self, positives: Any, hard: Any) -> Any:
        """Candidates: the positives, labels drawn, and hard ones; each once."""
        known = self.labels.known
        drawn = known[torch.randint(0, len(known), (self.recipe.negatives,), generator=self._draw)]
        found = torch.from_numpy(hard[hard >= 0]).to(self.device)
        return torch.unique(torch.cat([positives, drawn, found]), return_inverse=True)

    def _descend(self, lessons: Lessons, hard: Any) -> float:
        """One step on events; the mean loss of their labels."""
        if not len(lessons.labels) or not len(self.labels.known):
            return 0.0
        size = np.diff(lessons.bounds)
        row = torch.from_numpy(np.repeat(np.arange(len(lessons)), size)).to(self.device)
        share = torch.from_numpy(np.repeat(1.0 / np.maximum(size, 1), size)).to(self.device)
        positives = torch.from_numpy(lessons.labels).to(self.device, torch.int64)
        candidates, place = self._negatives(positives, hard)
        column = place[: len(positives)]
        x, own = self.encoder.open(lessons.inputs)
        free = self.labels.free[candidates].requires_grad_()
        base = self.labels.base(candidates, free)
        prototypes = _unit(base)
        rest = base[column]
        if self.recipe.centroid:  # an event is not to be found by itself
            rest = rest - x.detach()[row]
        cosine = (x[row] * normalize(rest, dim=1)).sum(1)
        pairs = Pairs(row, column, cosine)
        each = losses(self.recipe, x @ prototypes.T, pairs, prototypes)
        says = rest.detach().norm(dim=1) > _LEAST
        loss = (each * share.float() * says).sum()
        self._step(loss, own, candidates, free)
        return float(loss.detach()) / len(lessons)

    def _step(self, loss: Any, own: list[Any], candidates: Any, free: Any) -> None:
        if not torch.isfinite(loss):
            raise Diverged(f"the loss is {float(loss.detach())} after {self.events:,} events")
        wanted = [*own, free] if self.recipe.free else own
        slopes = torch.autograd.grad(loss, wanted, allow_unused=True)
        with torch.no_grad():
            moved = self.encoder.descend(own, list(slopes[: len(own)]))
            if self.recipe.free and slopes[-1] is not None:
                slope, labels = slopes[-1], self.labels
                labels.free_g[candidates] += (slope * slope).sum(1)
                rate = self.recipe.free_rate / labels.free_g[candidates].sqrt()
                moved = [*moved, free.detach() - rate[:, None] * slope]
                labels.free[candidates] = moved[-1]
            self._check(moved)

    def _check(self, moved: list[Any]) -> None:
        """See that a step led somewhere: vectors that are too long embed everything as nothing."""
        if not all(torch.isfinite(one.norm()) for one in moved):
            raise Diverged(f"the weights are no numbers after {self.events:,} events")

    def _read(self, labels: Any) -> None:
        """One step on the texts of some labels, which are to be near the label without its text."""
        found, rows = self.texts.among(labels)
        if rows is None:
            return
        positives = torch.from_numpy(found).to(self.device)
        candidates, place = self._negatives(positives, np.zeros(0, np.int64))
        column = place[: len(positives)]
        x, own = self.encoder.open(rows)
        base = self.labels.base(candidates, text=False)
        prototypes = _unit(base)
        row = torch.arange(len(found), device=self.device)
        scores = x @ prototypes.T
        each = losses(self.recipe, scores, Pairs(row, column, scores[row, column]), prototypes)
        loss = self.recipe.text_weight * each.sum()
        if not torch.isfinite(loss):
            raise Diverged(f"the loss of label texts is {float(loss.detach())}")
        slopes = torch.autograd.grad(loss, own)
        with torch.no_grad():
            self._check(self.encoder.descend(own, list(slopes)))
        self._embed_texts(found, rows)

    def _read_all(self) -> None:
        every = self.texts.labels
        for part in np.array_split(every, max(1, len(every) // 1_024)):
            found, rows = self.texts.among(part)
            if rows is not None:
                self._embed_texts(found, rows)

    def _embed_texts(self, labels: Any, rows: Inputs) -> None:
        with torch.no_grad():
            self.labels.text[torch.from_numpy(labels).to(self.device)] = self.encoder.embed(rows)


def _unit(base: Any) -> Any:
    """Prototypes at unit length; one that says nothing stays 0, and is not to be moved by that."""
    return normalize(base, dim=1) * (base.detach().norm(dim=1, keepdim=True) > _LEAST)
