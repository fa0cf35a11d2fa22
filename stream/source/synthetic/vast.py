"""A seeded stream of labelled texts over millions of labels, in constant memory.

Nothing is kept of a label: to which group it belongs and which words it has is computed from its
number. It plants what `SyntheticStream` plants: groups of 10 to 30 labels that go together,
Zipf's law over groups and inside them, two groups in four events of ten, words of labels, shared
words, words of groups and common ones. Events are drawn in blocks, each from a seed of its own,
so that any place of the stream is reached without drawing what comes before it.

Places come in units of 80: four groups, of sizes s, 40 - s, 40 - s and s. Labels are spread over
the places by a permutation; at a re-mix the labels of the second and fourth group of all units,
which is half of the groups, are spread among themselves anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from stream.source.synthetic.remixed import Event
from stream.source.synthetic.shuffle import scatter, shuffled
from stream.types import Int64

BLOCK = 1_024
_UNIT, _HALF = 80, 40
_MOST = 4  # labels drawn of a group
_TOUR = 4  # labels of an event of the tour
_SHARED, _COMMON = 20_000, 2_000
_LABEL, _GROUP, _WORD, _BOTH = range(4)  # whose words
_SYLLABLES = [a + b for a in "b c d f g h k l m n p r s t v z".split() for b in "aeiou"]


@dataclass(frozen=True)
class Vast:
    """What to plant.

    Parameters
    ----------
    labels
        Labels in all, at least 1.
    remix
        Events between re-mixes of half the groups; 0 for never.
    noise
        Probability of a random label beside the planted ones.
    tour
        Whether the first events show every label once, four of a group at a time, so that the
        whole space is known after them.
    seed
        Of everything.
    """

    labels: int = 1_000_000
    remix: int = 0
    noise: float = 0.05
    tour: bool = False
    seed: int = 7

    @property
    def tour_events(self) -> int:
        """Events of the tour; a few labels past the last stand for none."""
        return -(-self.labels // _UNIT) * (_UNIT // _TOUR) if self.tour else 0


class VastStream:
    """Draws events; two with equal `Vast` draw the same ones.

    Examples
    --------
    >>> stream = VastStream(Vast(labels=1_000_000, seed=1))
    >>> next(stream.events(5_000)) == next(VastStream(stream.vast).events(5_000))
    True
    """

    def __init__(self, vast: Vast) -> None:
        if vast.labels < 1:
            raise ValueError(f"labels must be at least 1, not {vast.labels}")
        self.vast = vast
        self._units = -(-vast.labels // _UNIT)
        self._common = [_spell(_BOTH, k, 0) for k in range(_COMMON)]
        self._shared = [_spell(_WORD, k, 0) for k in range(_SHARED)]

    def events(self, start: int = 0) -> Iterator[Event]:
        """Events from the `start`-th on, without end."""
        block = start // BLOCK
        skip = start - block * BLOCK
        while True:
            drawn = self._block(block)
            yield from drawn[skip:]
            block, skip = block + 1, 0

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """The same events as (key, value) pairs in the event contract."""
        for event in self.events(start):
            names = [name_of(label) for label in event.labels]
            body = {"id": event.id, "text": event.text, "labels": names}
            yield event.id.encode(), orjson.dumps(body)

    def group_of(self, labels: Int64, at: int = 0) -> Int64:
        """The planted group of each label as of event `at`; found by going through all places."""
        places = np.arange(self._units * _UNIT)
        held = self._label_at(places, self._epoch(at))
        where = np.empty(len(places), np.int64)
        where[held] = self._group_at(places)
        found: Int64 = where[labels]
        return found

    def _epoch(self, at: int) -> int:
        # the tour shows the first mix whole
        mixed = self.vast.remix and at >= self.vast.tour_events
        return at // self.vast.remix if mixed else 0

    def _sizes(self, units: Int64) -> Int64:
        """The size of the first and fourth group of a unit; that of the others is 40 less it."""
        return 10 + (scatter(units, 2 * self.vast.seed + 1) % np.uint64(21)).astype(np.int64)

    def _bounds(self, groups: Int64) -> tuple[Int64, Int64]:
        """The first place of each group, and its size."""
        unit, which = groups // 4, groups % 4
        size = self._sizes(unit)
        starts = np.stack([0 * size, size, 0 * size + _HALF, _UNIT - size])
        own = np.where((which == 0) | (which == 3), size, _HALF - size)
        return unit * _UNIT + starts[which, np.arange(len(groups))], own

    def _group_at(self, places: Int64) -> Int64:
        unit, inside = places // _UNIT, places % _UNIT
        size = self._sizes(unit)
        which = (inside >= size).astype(np.int64) + (inside >= _HALF) + (inside >= _UNIT - size)
        return 4 * unit + which

    def _label_at(self, places: Int64, epoch: int) -> Int64:
        """The label on each place; numbers past the last label stand for none."""
        moved = places
        if epoch:  # places of odd groups, numbered without gaps, change among themselves
            unit, inside = places // _UNIT, places % _UNIT
            size = self._sizes(unit)
            odd = self._group_at(places) % 2 == 1
            number = unit * _HALF + np.where(inside < _HALF, inside - size, inside - _HALF)
            number = shuffled(number[odd], self._units * _HALF, self.vast.seed + 7_919 * epoch)
            unit, rest = number // _HALF, number % _HALF
            size = self._sizes(unit)
            back = np.where(rest < _HALF - size, rest + size, rest + _HALF)
            moved = places.copy()
            moved[odd] = unit * _UNIT + back
        return shuffled(moved, self._units * _UNIT, self.vast.seed)

    def _block(self, block: int) -> list[Event]:
        rng = np.random.default_rng([self.vast.seed, block])
        first = block * BLOCK
        groups = 4 * self._units
        chosen = np.minimum((groups + 1.0) ** rng.random((BLOCK, 2)), groups).astype(np.int64) - 1
        many = rng.integers(1, _MOST + 1, (BLOCK, 2))
        many[rng.random(BLOCK) >= 0.4, 1] = 0
        start, size = (part.reshape(BLOCK, 2, 1) for part in self._bounds(chosen.ravel()))
        rank = ((size + 1.0) ** rng.random((BLOCK, 2, _MOST))).astype(np.int64) - 1
        places = start + np.minimum(rank, size - 1)
        epochs = np.array([self._epoch(first + k) for k in range(BLOCK)])
        labels = np.empty(places.shape, np.int64)
        for epoch in np.unique(epochs).tolist():
            labels[epochs == epoch] = self._label_at(places[epochs == epoch], epoch)
        random = rng.integers(0, self.vast.labels, BLOCK)
        labels[..., :][np.arange(_MOST) >= many[..., np.newaxis]] = -1
        labels[labels >= self.vast.labels] = -1
        noisy = (rng.random(BLOCK) < self.vast.noise) | (labels.max((1, 2)) < 0)
        shown = [list(dict.fromkeys(row)) for row in labels.reshape(BLOCK, -1).tolist()]
        seen = [[label for label in row if label >= 0] for row in shown]
        for k in np.flatnonzero(noisy).tolist():
            if random[k] not in seen[k]:
                seen[k].append(int(random[k]))
        about = [chosen[k, : (many[k] > 0).sum()].tolist() for k in range(BLOCK)]
        self._tour(first, seen, about)
        texts = self._texts(rng, seen, about)
        return [
            Event(f"synthetic-{first + k}", tuple(seen[k]), text) for k, text in enumerate(texts)
        ]

    def _tour(self, first: int, seen: list[list[int]], about: list[list[int]]) -> None:
        """Put the tour's labels in the events of a block that are part of it."""
        for k in range(min(BLOCK, self.vast.tour_events - first)):
            places = np.arange(_TOUR * (first + k), _TOUR * (first + k + 1))
            held = self._label_at(places, self._epoch(first + k))
            seen[k] = [label for label in held.tolist() if label < self.vast.labels]
            about[k] = np.unique(self._group_at(places)).tolist()

    def _texts(
        self, rng: np.random.Generator, seen: list[list[int]], about: list[list[int]]
    ) -> Iterator[str]:
        common = np.minimum(rng.zipf(1.3, (BLOCK, 12)), _COMMON).tolist()
        facets = rng.integers(0, 8, (BLOCK, 2, 3)).tolist()
        draws = rng.integers(0, 1 << 30, (BLOCK, 2 * _MOST + 1)).tolist()
        orders = rng.random((BLOCK, 64)).argsort(1).tolist()
        for k in range(BLOCK):
            words = [self._common[number - 1] for number in common[k]]
            for label, draw in zip(seen[k], draws[k], strict=False):
                if draw & 1:
                    words.append(_spell(_LABEL, label, (draw >> 1) & 3))
                for turn in (draw >> 3, draw >> 8):
                    owner = (7_919 * label + 104_729 * (turn % 6)) % _SHARED
                    words.append(self._shared[owner])
            for group, numbers in zip(about[k], facets[k], strict=False):
                words += [_spell(_GROUP, group, number) for number in numbers]
            yield " ".join([words[at] for at in orders[k] if at < len(words)])


def name_of(label: int) -> str:
    """The name of a label."""
    return f"{_spell(_LABEL, label, 0)}-{label}"


def _spell(kind: int, owner: int, number: int) -> str:
    """A pronounceable word, the same for equal arguments."""
    state = ((kind * 0x1F123BB5 + owner) * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03) % 2**64
    state = ((state ^ (state >> 32)) * 0xBF58476D1CE4E5B9) % 2**64
    s = _SYLLABLES
    return (
        s[(state >> 10) % 80]
        + s[(state >> 22) % 80]
        + s[(state >> 34) % 80]
        + s[(state >> 46) % 80]
    )
