"""Planted streams whose labels a fixed projection finds badly, and how well they are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stream.learn.encoder.champion import Champion
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.trainer import Trainer
from stream.learn.encoder.trial import found
from stream.learn.extreme.bag import MOST

torch.set_num_threads(1)

BATCH = 256
SMALL = Recipe(dimension=32, bits=12, negatives=64)
"""The recipe for all streams, but small."""
_WORDS, _NOISE = 12, 900  # of a topic, and of none


def sparse(rows: Sequence[Sequence[int]]) -> Inputs:
    """Rows of words, all of the same weight."""
    n = np.array([len(row) for row in rows], np.int32)
    slot, weight = np.zeros((len(rows), MOST), np.int32), np.zeros((len(rows), MOST), np.float32)
    for at, row in enumerate(rows):
        slot[at, : n[at]] = row
        weight[at, : n[at]] = 1 / np.sqrt(max(len(row), 1))
    return Inputs(slot, weight, n, np.zeros((len(rows), 0), np.float32))


def dense(rows: Any) -> Inputs:
    """Rows of numbers, brought to unit length."""
    n = len(rows)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    none = np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32), np.zeros(n, np.int32)
    return Inputs(*none, unit.astype(np.float32))


def lessons(inputs: Inputs, labels: Sequence[Sequence[int]]) -> Lessons:
    """Rows with their labels."""
    flat = np.array([label for each in labels for label in each], np.int32)
    return Lessons(inputs, flat, np.cumsum([0, *map(len, labels)]).astype(np.int64))


@dataclass(frozen=True)
class Topics:
    """Events of a few words of their label's topic among words that say nothing.

    Parameters
    ----------
    labels
        How many there are.
    noise
        Words of no topic in an event.
    """

    labels: int = 60
    noise: int = 10
    width: int = 0

    def word(self, label: int, at: int) -> int:
        """One of the words of a topic."""
        return label * _WORDS + at % _WORDS

    def batch(self, seed: int, n: int = BATCH) -> Lessons:
        """Events, one label each."""
        rng = np.random.default_rng(seed)
        truth = rng.integers(self.labels, size=n)
        rows = [
            [
                *(self.word(label, at) for at in rng.choice(_WORDS, 2, replace=False)),
                *(self.labels * _WORDS + rng.choice(_NOISE, self.noise, replace=False)),
            ]
            for label in truth
        ]
        return lessons(sparse(rows), [[int(label)] for label in truth])

    def text(self, label: int) -> Inputs:
        """Four words of the topic."""
        return sparse([[self.word(label, at) for at in range(4)]])


@dataclass(frozen=True)
class Subspace:
    """Rows whose label is told by a few directions, drowned by what the others hold.

    Parameters
    ----------
    noise
        Deviation of the numbers that say nothing, against 1 for those that do.
    """

    labels: int = 60
    noise: float = 2.5
    width: int = 64
    _told: int = 10

    def batch(self, seed: int, n: int = BATCH) -> Lessons:
        """Events, one label each."""
        fixed, rng = np.random.default_rng(1), np.random.default_rng(seed)
        turn = np.linalg.qr(fixed.normal(size=(self.width, self.width)))[0]
        centres = fixed.normal(size=(self.labels, self._told)) * 1.5
        truth = rng.integers(self.labels, size=n)
        rows = rng.normal(0, self.noise, (n, self.width))
        rows[:, : self._told] = centres[truth] + rng.normal(0, 0.5, (n, self._told))
        return lessons(dense(rows @ turn), [[int(label)] for label in truth])


Stream = Topics | Subspace


class Projection:
    """Centroids under the fixed projection."""

    def __init__(self, recipe: Recipe, width: int) -> None:
        self._champion = Champion(None, recipe, width, "cpu")

    def search(self, inputs: Inputs) -> Any:
        return self._champion.labels.nearest(self._champion.embed(inputs), 40).numpy()

    def learn(self, lessons: Lessons) -> None:
        self._champion.learn(lessons, self._champion.embed(lessons.inputs))


def scores(learner: Trainer | Projection, stream: Stream, batches: int = 18) -> tuple[float, float]:
    """P@1 and recall@5 of the last third, each event searched for before it is learnt."""
    figures = []
    for seed in range(batches):
        batch = stream.batch(seed)
        nearest = learner.search(batch.inputs)
        learner.learn(batch)
        if seed >= 2 * batches // 3:
            figures.append(found(nearest[:, :5], batch.labels, batch.bounds))
    p1, recall = np.concatenate(figures).mean(axis=0)
    return float(p1), float(recall)


def trainer(stream: Stream, recipe: Recipe = SMALL, seed: int = 3, memory: int = 2_048) -> Trainer:
    """One for a stream."""
    return Trainer(recipe, seed, memory, stream.width)
