"""A school that says what a test lets it say, and a pipeline that listens to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from stream import features
from stream.config import Index, Learn, Settings
from stream.learn.encoder.encoders import quantised
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.verdicts import Promoted, Refused
from stream.pipeline import Item, Pipeline
from stream.types import DriftEvent, Example

TINY = Learn(small_labels=4, exemplar_bytes=400_000, hash_bits=12, linear_bytes=65_536, waiting=50)
LABELS = 30
EVIDENCE = {"events": 512, "difference": 0.05}


class Scripted:
    """A school that notes what it is told, and says what a test lets it say."""

    def __init__(self) -> None:
        self.learnt: list[Lessons] = []
        self.recalled: list[Lessons] = []
        self.described: list[int] = []
        self.crowned: list[tuple[Any, ...]] = []
        self.retired: list[int] = []
        self.says: list[Promoted | Refused] = []
        self.kept: list[tuple[str, int]] = []
        self.alarms = 0
        self.closed = threading.Event()

    def learn(self, lessons: Lessons) -> None:
        self.learnt.append(lessons)

    def recall(self, lessons: Lessons) -> None:
        self.recalled.append(lessons)

    def describe(self, label: int, row: Inputs) -> None:
        self.described.append(label)

    def retire(self, label: int) -> None:
        self.retired.append(label)

    def alarm(self) -> None:
        self.alarms += 1

    def crown(self, *given: Any) -> None:
        self.crowned.append(given)

    def keep(self, position: int) -> None:
        self.kept.append(("keep", position))

    def resume(self, position: int) -> None:
        self.kept.append(("resume", position))

    def news(self) -> list[Promoted | Refused]:
        said, self.says = self.says, []
        return said

    def told(self) -> dict[str, float]:
        return {"braid_training_events_total": float(sum(map(len, self.learnt)))}

    def close(self) -> None:
        self.closed.set()


class World:
    """A pipeline whose school does as the test says."""

    def __init__(self, kind: str = "flat") -> None:
        index = Index(kind=kind, dimension=64, worth=0, learnt_worth=0)  # type: ignore[arg-type]
        self.settings = Settings(learn=TINY, index=index)
        self.pipeline = Pipeline(self.settings)
        self.schools: list[Scripted] = []
        self.drift: list[DriftEvent] = []
        self.pipeline.generations.enrol(self.open)

    @classmethod
    def taught(cls) -> World:
        """One that has learnt all labels."""
        made = cls()
        made.learn(0, LABELS)
        return made

    def open(self, width: int) -> Scripted:
        assert width == 0
        self.schools.append(Scripted())
        return self.schools[-1]

    @property
    def school(self) -> Scripted:
        return self.schools[-1]

    @property
    def generations(self) -> Any:
        return self.pipeline.generations

    def learn(self, first: int, stop: int, each: int = 6) -> None:
        """Events of labels first to stop, in turn."""
        for n in range(each * (stop - first)):
            self.drift += self.pipeline.step([event(n, first + n % (stop - first))]).drift

    def until(self, ready: Callable[[], bool]) -> None:
        """Steps without events, until something is so."""
        end = time.monotonic() + 30
        while not ready():
            assert time.monotonic() < end, "it never came"
            self.drift += self.pipeline.step([]).drift
            time.sleep(0.002)

    def promoted(self, labels: int, seed: int = 1) -> Promoted:
        """A challenger that knows the first labels."""
        return promoted(self.pipeline, labels, seed)

    def promote(self, labels: int = LABELS, seed: int = 1) -> None:
        number = self.generations.newest + 1
        self.school.says.append(self.promoted(labels, seed))
        self.until(lambda: self.generations.current.number == number)

    def nearest(self, label: int) -> str:
        """The label whose prototype is nearest to a text of one."""
        model, rows = self.pipeline.model, features.stack([features.of_text(text(label))])
        near = self.pipeline.near(rows)
        assert near is not None
        return model.labels.names[int(near[0][0, 0])]

    def finds(self, labels: range) -> list[int]:
        return [n for n in labels if self.nearest(n) == f"l{n}"]


def until(pipeline: Pipeline, number: int) -> None:
    """Steps without events, until a generation is in use."""
    end = time.monotonic() + 30
    while pipeline.generations.current.number != number:  # type: ignore[union-attr]
        assert time.monotonic() < end, "it never came"
        pipeline.step([])
        time.sleep(0.002)


def text(label: int) -> str:
    return f"topicl{label} wordl{label}"


def event(n: int, label: int) -> Item:
    return Item(Example(str(n), text=f"{text(label)} n{n % 3}", labels=(f"l{label}",)))


def promoted(pipeline: Pipeline, labels: int, seed: int = 1, stale: Any = ()) -> Promoted:
    """A challenger that knows the first labels: a projection by signs of its own."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (1 << 12, 48))
    encoder, space = quantised(signs.astype(np.float32)), pipeline.model.labels
    slots = np.array([space.slot(f"l{n}") for n in range(labels)], np.int64)
    rows = features.stack([features.of_text(text(n)) for n in range(labels)])
    means = encoder.embed(pipeline.model.learner, rows)  # type: ignore[arg-type]
    weights, old = np.full(labels, 6, np.float32), np.array(stale, np.int64)
    return Promoted(encoder, slots, means, weights, old, dict(EVIDENCE))
