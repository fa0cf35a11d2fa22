"""Finds possible new labels: growing clusters of events that no known label explains.

An event is unexplained where the most probable of its labels, or of all labels where it came
without, is less probable than the best label of four fifths of the labelled events. Nothing learnt
is needed beside these probabilities: rows are projected as they are, so it works alike in small and
extreme label spaces, on texts, named features and vectors.

Memory is fixed, a row costs its features times the clusters, events are taken one by one in the
order given and counted, never timed, and nothing is drawn: the same events leave the same state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stream.config import Learn
from stream.features import Rows
from stream.labels import LabelSpace
from stream.learn.arrays import allocate, dump, restore
from stream.learn.discovery import vectors
from stream.learn.discovery.clusters import look
from stream.learn.discovery.joining import join
from stream.learn.discovery.kept import Kept, terms_of
from stream.learn.discovery.nearest import cohesion
from stream.learn.discovery.state import CLUSTERS, JUDGED, SPECS, WIDTH, State
from stream.learn.discovery.telling import proposal, ready
from stream.learn.discovery.vectors import weights
from stream.learn.ranking import Judged
from stream.types import DriftEvent, Example


class Discovery:
    """Clusters unexplained events, and says which clusters might be labels.

    Parameters
    ----------
    settings
        See `stream.config.Learn`.
    """

    def __init__(self, settings: Learn) -> None:
        self.on = settings.discovers
        """Whether any are looked for."""
        self._share, self._size = settings.possible_share, settings.possible_size
        self._memory = float(settings.possible_memory)
        self.state = allocate(State, SPECS, {}) if self.on else None
        self.kept = Kept()
        self._keys = np.zeros(0, np.uint64)
        self._gone = np.zeros(CLUSTERS, np.int64)
        self._room = vectors.Room(
            np.zeros(WIDTH, np.float32), np.zeros(WIDTH, np.int32),
            np.zeros(WIDTH, np.float32), np.zeros(CLUSTERS, np.float32),
        )  # fmt: skip

    def learnt(
        self, rows: Rows, examples: Sequence[Example], judged: Sequence[Judged], labels: LabelSpace
    ) -> list[DriftEvent]:
        """Look at labelled events, with what the model had said of each before it learnt them.

        Parameters
        ----------
        rows, examples
            The events, in order.
        judged
            Their scores, in runs; see `Model.learn`.
        labels
            All that are known.

        Returns
        -------
        list of DriftEvent
            Clusters proposed as labels.
        """
        told: list[DriftEvent] = []
        start = 0
        for position, (slots, p, _) in judged if self.on else ():
            stop = start + len(slots)
            part = rows.part(start, stop)
            told += self._look(part, examples[start:stop], slots, p, labels, position)
            start = stop
        return told

    def unlabelled(
        self, rows: Rows, example: Example, best: float, labels: LabelSpace, position: int
    ) -> list[DriftEvent]:
        """Look at one event without labels, whose best label has the probability `best`.

        `position` is how many labelled events the model had learnt.
        """
        slots, p = np.full((1, 1), -1, np.int32), np.full((1, 1), best, np.float32)
        return self._look(rows, [example], slots, p, labels, position)

    def _look(
        self, rows: Rows, examples: Sequence[Example], slots: Any, p: Any, labels: LabelSpace,
        position: int,
    ) -> list[DriftEvent]:  # fmt: skip
        s = self.state
        if s is None:
            return []
        told: list[DriftEvent] = []
        truths, bounds = _slots(examples, labels)
        before = self._before(examples)
        given = self._sparse(rows)
        out = np.zeros((len(examples), 2), np.int64)
        # what stands out of named features goes by the table as it is at their event
        each = any(one.features is not None for one in examples)
        start = 0
        while start < len(examples):
            stop, cluster = look(
                s, self._room, start, *given, slots, p, truths, bounds, before, position,
                self._memory, each, out,
            )  # fmt: skip
            for at in range(start, stop):
                if out[at, 0] >= 0:
                    self._keep(s, examples[at], out[at].tolist(), given, at)
            if cluster >= 0:
                told += self._consider(s, cluster, labels.names, position + stop - 1)
            start = stop
        return told

    def warm(self) -> None:
        """Compile what looks at clusters and what looks at named features."""
        if self.state is not None:
            s = self.state
            join(s, 0, self._room.dots, self._gone)
            cohesion(s, 0)
            weights(s.table, 1.0, np.ones(1, np.uint64), np.ones(1, np.float32))

    def arrays(self) -> dict[str, Any]:
        """The state by name, not copied; nothing where nothing is looked for."""
        if self.state is None:
            return {}
        return dump(self.state, "discovery") | self.kept.arrays()

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave; older snapshots have none."""
        if self.state is not None and "discovery.sizes" in arrays:
            self.state = restore(State, arrays, "discovery")
            self.kept.load(arrays)

    def _consider(
        self, s: State, cluster: int, names: Sequence[str], position: int
    ) -> list[DriftEvent]:
        """Join what is one with a cluster, and propose it if it is time."""
        for gone in self._gone[: join(s, cluster, self._room.dots, self._gone)].tolist():
            self.kept.join(cluster, gone)
        if not ready(s, cluster, self._size, self._share):
            return []
        return [proposal(s, cluster, self.kept, names, position)]

    def _keep(self, s: State, example: Example, found: list[int], rows: Any, at: int) -> None:
        """Keep an event that was added to a cluster, and that it may get labels yet."""
        cluster, new = found
        bounds, keys, values, _ = rows
        row = slice(bounds[at], bounds[at + 1])
        terms = terms_of(example, s.table, s.total[0], keys[row], values[row])
        self.kept.add(cluster, new == 1, example, terms)
        if example.labels is None:
            self.kept.wait(example.id, int(s.born[cluster]), int(s.sizes[JUDGED]))

    def _before(self, examples: Sequence[Example]) -> Any:
        """(n, 2) int64, where events were counted before their labels came; 0 for others."""
        before = np.zeros((len(examples), 2), np.int64)
        waiting = self.kept.waiting
        for at, example in enumerate(examples):
            found = (
                waiting.pop(example.id, None) if waiting and example.labels is not None else None
            )
            if found is not None:
                before[at] = found
        return before

    def _sparse(self, rows: Rows) -> tuple[Any, Any, Any, Any]:
        """Bounds, keys, values, and the values' bits."""
        if rows.dense is None:
            return rows.indptr, rows.hashes, rows.terms, rows.terms.view(np.uint32)
        n, width = rows.dense.shape
        if len(self._keys) != n * width:
            self._keys = np.tile(vectors.keys(width), n)
        values = np.ascontiguousarray(rows.dense, np.float32).ravel()
        return np.arange(n + 1) * width, self._keys, values, values.view(np.uint32)


def _slots(examples: Sequence[Example], labels: LabelSpace) -> tuple[Any, Any]:
    """The slots of the labels given, and their bounds."""
    found: list[int] = []
    bounds = [0]
    for example in examples:
        slots = map(labels.slot, example.labels or ())
        found += [slot for slot in slots if slot is not None]
        bounds.append(len(found))
    return np.array(found, np.int32), np.array(bounds, np.int64)
