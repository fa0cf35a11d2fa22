"""The small learner: all labels are candidates, fifteen experts, one Newton mixture.

Sources: online Newton and AdaGrad as cited in their modules; the set of experts and their
parameters were measured over twelve public streams (see the README's table).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from stream.features import Rows
from stream.jit import kernel
from stream.learn.arrays import dump, duplicate, power, restore
from stream.learn.decide import MICRO, SUBSET, threshold
from stream.learn.looked import Looked, everywhere
from stream.learn.small import kept, mixture, sets, step
from stream.learn.small import rows as rowing
from stream.learn.small.forgetting import forget
from stream.learn.small.state import (
    COLUMNS,
    EVENTS,
    KINDS,
    LABELS,
    Small,
    capacities,
    enlarge,
    make,
)
from stream.learn.small.why import why
from stream.learn.why import Why
from stream.types import Float32

BUDGET = 1 << 29  # bytes aimed at for all columns together, at four times the labels
DENSE_MOST = 4_096  # columns up to which rows may be dense
_CHUNK = 16  # events between looks at the capacities


class SmallLearner:
    """Learner for up to a few hundred labels.

    Parameters
    ----------
    dense
        Whether rows are treated as dense: z-scores of every column, distances, bins.
    seed
        Seed of the random projections.
    width
        Length of dense vectors, 0 for named features and text.
    objective
        What the chosen set is for, see `stream.learn.decide.CODES`.
    off
        Parts left out, see `stream.config.PARTS`.
    """

    kind = "small"

    def __init__(
        self,
        dense: bool,
        seed: int,
        width: int = 0,
        objective: int = MICRO,
        off: Collection[str] = (),
    ) -> None:
        self.dense = dense
        self.seed = seed
        self._capacity = capacities(16, power(max(width, 64), 64), 8, dense)
        self.state = make(self._capacity, seed)
        self.state.sizes[COLUMNS] = width
        self.kept = kept.nothing()
        self._scratch = step.scratch(self.state, dense, off)
        self.width = width
        self.objective = objective
        self.off = off

    @property
    def labels(self) -> int:
        """Labels known."""
        return int(self.state.sizes[LABELS])

    @property
    def events(self) -> int:
        """Labelled events learnt."""
        return int(self.state.sizes[EVENTS])

    @property
    def threshold(self) -> float:
        """The probability from which a label is chosen for micro-F1."""
        return float(threshold(self.state.mixture.counts))

    def add_labels(self, total: int, leaves: int = 0) -> None:
        """Make room for `total` labels and `leaves` partitions, and start the new labels."""
        self._reserve(labels=total + 2, leaves=leaves + 1)
        while self.labels < total:
            step.spawn(self.state)

    def predict(self, rows: Rows, leaf_of: Any) -> tuple[Float32, Any]:
        """Probabilities (n, labels) float32, and bool whether each is chosen; changes nothing."""
        out = np.zeros((len(rows), self.labels), np.float32)
        chosen = np.zeros(out.shape, np.bool_)
        _predict(
            self.state, self._scratch, leaf_of, *_parts(rows), self.dense, self.objective, out,
            chosen,
        )  # fmt: skip
        return out, chosen

    def learn(
        self, rows: Rows, truths: Any, bounds: Any, leaf_of: Any, looked: Looked | None = None
    ) -> tuple[Float32, Any]:
        """Learn events in order.

        Parameters
        ----------
        rows
            n rows.
        truths, bounds
            Label slots of all events in a row (int32), and (n + 1,) int64 bounds of each.
        leaf_of
            (capacity,) int32, the partition of each label, -1 for none.
        looked
            Which labels were looked for; None for all in every event.

        Returns
        -------
        (n, labels) float32, (n, labels) bool
            What `predict` would have said of each event just before it was learnt.
        """
        out = np.zeros((len(rows), self.labels), np.float32)
        chosen = np.zeros(out.shape, np.bool_)
        given = everywhere(len(rows)) if looked is None else looked
        for start in range(0, len(rows), _CHUNK):
            stop = min(start + _CHUNK, len(rows))
            part = rows.part(start, stop)
            if self.width == 0:
                self._reserve(columns=self._wanted(part))
            _learn(
                self.state, self._scratch, leaf_of, *_parts(part), truths,
                bounds[start : stop + 1], given.part(start, stop), self.dense, self.objective,
                out[start:stop], chosen[start:stop],
            )  # fmt: skip
        return out, chosen

    def why(self, row: Rows, leaf_of: Any, slots: Sequence[int], most: int) -> Why:
        """What the scores of some labels of one row are made of, and its nearest exemplars."""
        self.predict(row, leaf_of)
        return why(self.state, self._scratch, leaf_of, slots, most, self.dense)

    def describe(self, rows: Rows, slot: int) -> None:
        """Keep a label's description as an exemplar of the label; nothing else is learnt."""
        if self.width == 0:
            self._reserve(columns=self._wanted(rows))
        _describe(self.state, self._scratch, *_parts(rows), np.array([slot], np.int32), self.dense)

    def react(self, slots: Any, boost: float, values: int = 0) -> None:
        """The reaction to drift: larger steps; with `values`, forget all but so many events."""
        self.state.mixture.boost[slots] = boost
        if values:
            self._forget(slots, values, False)

    def look(self, slots: Any, values: int) -> bool:
        """Whether a former state of labels is back in their newest events, and taken back."""
        return self._forget(slots, values, True)

    def _forget(self, slots: Any, values: int, look: bool) -> bool:
        self.kept = kept.fit(self.kept, self._capacity, len(slots))
        return forget(self.state, self.kept, slots, values, self.dense, look)

    def retire_leaf(self, leaf: int) -> None:
        """Clear a partition's corrections, so that its number can be used again."""
        if leaf < len(self.state.mixture.leaf):
            self.state.mixture.leaf[leaf] = 0
            self.state.mixture.leaf_g[leaf] = 0.1

    def counts(self) -> Any:
        """(labels,) events of each label, not copied."""
        return self.state.memory.count[: self.labels]

    def frozen(self, room: SmallLearner | None = None) -> SmallLearner:
        """A copy that goes on predicting as this one does now, in `room` where that fits."""
        twin = copy(self)
        twin.kept = kept.nothing()
        twin.state = duplicate(self.state, None if room is None else room.state)
        twin._scratch = step.scratch(twin.state, self.dense, self.off)
        return twin

    def arrays(self) -> dict[str, Any]:
        """The state by name, not copied."""
        named = {"small.sizes": self.state.sizes}
        for kind, part in zip(KINDS, self.state[1:], strict=True):
            named |= dump(part, f"small.{kind.__name__.lower()}")
        return named | dump(self.kept, "small.kept")

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        parts: list[Any] = [
            restore(kind, arrays, f"small.{kind.__name__.lower()}") for kind in KINDS
        ]
        self.state = Small(np.array(arrays["small.sizes"]), *parts)
        self.kept = kept.nothing()
        if "small.kept.label" in arrays:
            self.kept = restore(kept.Kept, arrays, "small.kept")
        columns = len(self.state.columns.df)
        labels, leaves = len(self.state.memory.count), len(self.state.mixture.leaf)
        self._capacity = capacities(labels, columns, leaves, self.dense)
        self._scratch = step.scratch(self.state, self.dense, self.off)

    def _wanted(self, rows: Rows) -> int:
        """Columns for these rows; more than are used until all are taken, when they are shared.

        A function of what was seen alone, not of how it was cut into parts.
        """
        have, capacity = int(self.state.sizes[COLUMNS]), self._capacity["columns"]
        # Label capacity may still grow fourfold; what then grows is counted in now.
        per_column = 36 * max(4 * self._capacity["labels"], 128) + 6_000
        most = 64 << max(BUDGET // per_column // 64, 16).bit_length() - 1
        if self.dense:
            most = min(most, DENSE_MOST)
        if capacity >= most or have + len(rows.hashes) < capacity:
            return capacity
        new = rows.hashes[rowing.unknown(self.state.columns, rows.hashes)]
        return min(have + len(np.unique(new) if len(new) else new) + 1, most)

    def _reserve(self, labels: int = 0, columns: int = 0, leaves: int = 0) -> None:
        """Grow where needed."""
        old = self._capacity
        new = capacities(
            power(labels, old["labels"]),
            power(columns, old["columns"]),
            power(leaves, old["leaves"]),
            self.dense,
        )
        if new == old:
            return
        self.state = enlarge(self.state, new, self.seed)
        self._capacity = new
        self._scratch = step.scratch(self.state, self.dense, self.off)


def _parts(rows: Rows) -> tuple[Any, ...]:
    dense = np.zeros((0, 0), np.float32) if rows.dense is None else rows.dense
    return rows.indptr, rows.hashes, rows.raw, rows.terms, dense


@kernel
def _prepare(
    s: Small, t: step.Scratch, i: int, indptr: Any, hashes: Any, raw: Any, terms: Any, rows: Any,
    is_dense: bool,
) -> None:  # fmt: skip
    if len(rows) > 0:
        t.active.values[: rows.shape[1]] = rows[i]
        rowing.dense(s.sizes, s.columns, t.active)
        return
    low, high = indptr[i], indptr[i + 1]
    if is_dense:
        rowing.scatter(s.sizes, s.columns, hashes[low:high], raw[low:high], t.active.values)
        rowing.dense(s.sizes, s.columns, t.active)
    else:
        rowing.sparse(
            s.sizes, s.columns, hashes[low:high], raw[low:high], terms[low:high], t.active
        )


@kernel
def _answer(s: Small, t: step.Scratch, objective: int, p: Any, chosen: Any) -> None:
    p[:] = t.p[: len(p)]
    if objective == SUBSET and t.use[0]:
        sets.choose(t.c, chosen)
    else:
        mixture.choose(s.mixture, t.p, len(p), objective, chosen)


@kernel
def _predict(
    s: Small, t: step.Scratch, leaf_of: Any, indptr: Any, hashes: Any, raw: Any, terms: Any,
    rows: Any, is_dense: bool, objective: int, out: Any, chosen: Any,
) -> None:  # fmt: skip
    for i in range(len(out)):
        _prepare(s, t, i, indptr, hashes, raw, terms, rows, is_dense)
        step.forward(s, t, leaf_of, is_dense)
        _answer(s, t, objective, out[i], chosen[i])


@kernel
def _learn(
    s: Small, t: step.Scratch, leaf_of: Any, indptr: Any, hashes: Any, raw: Any, terms: Any,
    rows: Any, truths: Any, bounds: Any, looked: Looked, is_dense: bool, objective: int, out: Any,
    chosen: Any,
) -> None:  # fmt: skip
    for i in range(len(out)):
        _prepare(s, t, i, indptr, hashes, raw, terms, rows, is_dense)
        step.forward(s, t, leaf_of, is_dense)
        _answer(s, t, objective, out[i], chosen[i])
        if len(rows) == 0 and rowing.intern(s.sizes, s.columns, hashes[indptr[i] : indptr[i + 1]]):
            _prepare(s, t, i, indptr, hashes, raw, terms, rows, is_dense)
        truth = truths[bounds[i] : bounds[i + 1]]
        named = looked.slots[looked.bounds[i] : looked.bounds[i + 1]]
        step.learn(s, t, leaf_of, truth, named, looked.partial[i], is_dense)


@kernel
def _describe(
    s: Small, t: step.Scratch, indptr: Any, hashes: Any, raw: Any, terms: Any, rows: Any,
    truth: Any, is_dense: bool,
) -> None:  # fmt: skip
    rowing.intern(s.sizes, s.columns, hashes)
    _prepare(s, t, 0, indptr, hashes, raw, terms, rows, is_dense)
    step.remember(s, t, truth, truth, False, False, is_dense)
