"""A seeded stream whose labels change their meaning to plan.

Labels live in groups of one size. An event draws one group, or two, and some labels of each. Its
features speak of every label through the label's *concept*: words in a text, a prototype vector
in a dense event. When a group drifts, its labels exchange their concepts, as real concept drift
in the sense of Gama et al., "A survey on concept drift adaptation" (2014): P(labels | features)
of the group changes, while label rates, co-occurrence and the features' own frequencies hardly
do, so that partitions stay what they are and only a learner's loss can tell.

Every event is drawn from the seed and its own number alone: memory is constant, and two plans
that differ in the drift alone have the same labels in every event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import orjson

from stream.source.synthetic.words import label_name, word, zipf
from stream.types import Float32

Kind = Literal["none", "sudden", "gradual", "incremental", "recurring"]
_OWN = 4  # words of a concept
_SPOKEN = 0.7  # probability that each of a concept's two words in an event is there
_SHARED = 6  # words of a group
_COMMON = 500  # words that say nothing
_NOISE = 1.2  # of each number of a vector


@dataclass(frozen=True)
class Drift:
    """What drifts, when and how.

    Parameters
    ----------
    kind
        `none`; `sudden`, at once; `gradual`, events speak the new concept with a probability that
        rises over `width` events; `incremental`, labels change over one after the other during
        `width` events; `recurring`, the concept changes, and back, every `width` events.
    start
        Event of the first change.
    width
        Events, see `kind`.
    groups
        The groups that drift.
    """

    kind: Kind = "none"
    start: int = 0
    width: int = 1
    groups: tuple[int, ...] = (0,)

    def share(self, event: int) -> float:
        """How much of the new concept is in force: of events, or of labels where incremental."""
        since = event - self.start
        if self.kind == "none" or since < 0:
            return 0.0
        if self.kind == "sudden":
            return 1.0
        if self.kind == "recurring":
            return float(since // self.width % 2 == 0)
        return min(1.0, since / self.width)


@dataclass(frozen=True)
class Drifting:
    """What to plant.

    Parameters
    ----------
    groups, size
        Groups, and labels of each.
    mixed
        Share of events that draw a second group.
    dimension
        Length of the vectors of a dense stream; 0 for texts.
    seed
        Of everything.
    drift
        The plan.
    """

    groups: int = 8
    size: int = 12
    mixed: float = 0.3
    dimension: int = 0
    seed: int = 7
    drift: Drift = field(default_factory=Drift)

    @property
    def labels(self) -> int:
        """Labels in all."""
        return self.groups * self.size


@dataclass(frozen=True, slots=True)
class DriftedEvent:
    """An event as drawn, with the truth about it.

    Parameters
    ----------
    id
        Its number as a name.
    labels
        Label numbers.
    groups
        The groups drawn.
    concepts
        The concept that each label was spoken of through: its own number, or after the drift
        that of another label of its group.
    text
        The words; empty for dense events.
    vector
        (dimension,) float32, or None for texts.
    """

    id: str
    labels: tuple[int, ...]
    groups: tuple[int, ...]
    concepts: tuple[int, ...]
    text: str
    vector: Float32 | None = None


class DriftingStream:
    """Draws events; two with equal plans draw the same ones.

    Examples
    --------
    >>> plan = Drifting(seed=1, drift=Drift("sudden", start=10))
    >>> stream = DriftingStream(plan)
    >>> all(a.concepts == a.labels for a in (stream.at(n) for n in range(10)))
    True
    """

    def __init__(self, plan: Drifting) -> None:
        self.plan = plan
        self.drawn = 0
        rng = np.random.default_rng([plan.seed, 1])
        order = rng.permutation(plan.size)
        self._next = np.empty(plan.size, np.int64)  # the concept after the drift, by rank
        self._next[order] = np.roll(order, 1)
        self._turn = rng.permutation(plan.size)  # when a label changes over, by rank
        shape = (plan.labels + plan.groups, plan.dimension)
        self._prototypes = rng.standard_normal(shape).astype(np.float32)
        self._reach = _ranks(plan.size)

    def group_of(self, label: int) -> int:
        """The planted group of a label."""
        return label // self.plan.size

    def members(self, group: int) -> range:
        """The labels of a group."""
        return range(group * self.plan.size, (group + 1) * self.plan.size)

    def __iter__(self) -> Iterator[DriftedEvent]:
        while True:
            yield self.draw()

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Events as (key, value) pairs in the event contract."""
        for event in self:
            body: dict[str, Any] = {"id": event.id}
            if event.vector is None:
                body["text"] = event.text
            else:
                body["vector"] = event.vector.tolist()
            body["labels"] = [label_name(label) for label in event.labels]
            yield event.id.encode(), orjson.dumps(body)

    def draw(self) -> DriftedEvent:
        """The next event."""
        self.drawn += 1
        return self.at(self.drawn - 1)

    def at(self, number: int) -> DriftedEvent:
        """Event `number`; needs none of those before it."""
        plan = self.plan
        rng = np.random.default_rng([plan.seed, 2, number])
        count = 2 if plan.groups > 1 and rng.random() < plan.mixed else 1
        groups = tuple(int(g) for g in rng.choice(plan.groups, count, replace=False))
        labels: list[int] = []
        for group in groups:
            ranks = np.searchsorted(self._reach, rng.random(int(rng.integers(1, 4))))
            labels += [group * plan.size + int(rank) for rank in dict.fromkeys(ranks.tolist())]
        share, coin = plan.drift.share(number), float(rng.random())
        concepts = tuple(self._concept(label, share, coin) for label in labels)
        name = f"drifting-{number}"
        if plan.dimension:
            vector = self._vector(rng, groups, concepts)
            return DriftedEvent(name, tuple(labels), groups, concepts, "", vector)
        text = self._text(rng, groups, concepts)
        return DriftedEvent(name, tuple(labels), groups, concepts, text)

    def _concept(self, label: int, share: float, coin: float) -> int:
        drift = self.plan.drift
        group, rank = divmod(label, self.plan.size)
        if group not in drift.groups:
            return label
        if drift.kind == "incremental":
            new = self._turn[rank] < share * self.plan.size
        else:
            new = coin < share
        return group * self.plan.size + int(self._next[rank]) if new else label

    def _text(
        self, rng: np.random.Generator, groups: tuple[int, ...], concepts: tuple[int, ...]
    ) -> str:
        words = [
            word("label", c, int(k))
            for c in concepts
            for k in rng.integers(0, _OWN, 2)[rng.random(2) < _SPOKEN]
        ]
        words += [word("group", g, int(k)) for g in groups for k in rng.integers(0, _SHARED, 2)]
        words += [word("common", 0, int(k)) for k in np.minimum(rng.zipf(1.3, 8), _COMMON)]
        return " ".join(words[at] for at in rng.permutation(len(words)))

    def _vector(
        self, rng: np.random.Generator, groups: tuple[int, ...], concepts: tuple[int, ...]
    ) -> Float32:
        rows = [*concepts, *(self.plan.labels + group for group in groups)]
        noise = _NOISE * rng.standard_normal(self.plan.dimension, dtype=np.float32)
        return np.asarray(self._prototypes[rows].sum(axis=0) + noise, np.float32)


def _ranks(size: int) -> Any:
    """Cumulative probabilities of a group's labels: Zipf's law, half levelled."""
    return (zipf(size) + np.arange(1, size + 1) / size) / 2
