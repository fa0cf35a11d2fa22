"""A model's state at one moment, and how either learner scores rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from stream import features
from stream.features import Rows
from stream.labels import Labels
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.extreme.shortlist import ASKED
from stream.learn.ranking import Scores, ranked
from stream.learn.small.learner import SmallLearner
from stream.learn.why import Why
from stream.types import Float32


class Near(NamedTuple):
    """What the prototype index found: label slots (n, k) int32, -1 for none, and similarities."""

    slots: Any
    similar: Float32

    def part(self, start: int, stop: int) -> Near:
        """Rows start to stop."""
        return Near(self.slots[start:stop], self.similar[start:stop])

    def joined(self, more: Sequence[int]) -> Near:
        """The same, and before it labels that are to be candidates of every row."""
        slots = np.tile(np.array(more, np.int32), (len(self.slots), 1))
        asked = np.full(slots.shape, ASKED, np.float32)
        return Near(np.hstack([slots, self.slots]), np.hstack([asked, self.similar]))

    def padded(self, n: int) -> Near:
        """The same for n rows, with nothing found for those that are new."""
        return self.spread(np.arange(n) < len(self.slots))

    def spread(self, there: Any) -> Near:
        """The same for the rows that `there` (n,) bool marks, with nothing found for others."""
        slots = np.full((len(there), self.slots.shape[1]), -1, np.int32)
        similar = np.zeros(slots.shape, np.float32)
        slots[there], similar[there] = self.slots, self.similar
        return Near(slots, similar)


class Frozen:
    """A model's state at one moment, that can only predict. Not for two threads at once.

    Names of labels are shared with the living model, which only appends to them; those from
    `known` on came later.
    """

    def __init__(
        self, labels: Labels, learner: SmallLearner | ExtremeLearner, leaf_of: Any,
        position: int, losses: Any = None,
    ) -> None:  # fmt: skip
        self.labels = labels
        self.known = len(labels)
        self.retired = frozenset(labels.retired)
        self.learner = learner
        self.counts = learner.counts()
        self.leaf_of = leaf_of
        self.position = position
        self.losses = np.zeros(0, np.float32) if losses is None else losses
        """Recent mean loss of each partition, see `stream.learn.drift`; NaN where unknown."""
        self.threshold = learner.threshold
        self.index_worth = learner.index_worth if isinstance(learner, ExtremeLearner) else None

    def embed(self, rows: Rows) -> Float32 | None:
        """Unit embeddings (n, d) float32 for the prototype index; None while it is not asked."""
        if isinstance(self.learner, ExtremeLearner) and rows.width == self.learner.width:
            return self.learner.embed(rows)
        return None

    def predict(self, rows: Rows, near: Near | None = None) -> Scores:
        """Score labels for each row."""
        return score(self.learner, self.retired, self.leaf_of, rows, near)

    def why(self, row: Rows, near: Near | None, slots: Sequence[int], most: int) -> Why:
        """What the scores of some labels of one row are made of, and `most` exemplars."""
        if isinstance(self.learner, SmallLearner):
            return self.learner.why(row, self.leaf_of, slots, most)
        found = nothing_near(1) if near is None else near
        return self.learner.why(row, self.leaf_of, found.slots, found.similar, slots, most)


def score(
    learner: SmallLearner | ExtremeLearner, retired: Collection[int], leaf_of: Any, rows: Rows,
    near: Near | None,
) -> Scores:  # fmt: skip
    """Every label, or each row's shortlist, best first.

    Rows of another kind than the learner's, such as vectors before the first event, say nothing.
    """
    if rows.width != learner.width:
        rows = features.blank(len(rows), learner.width)
    if isinstance(learner, ExtremeLearner):
        found = nothing_near(len(rows)) if near is None else near
        return Scores(*learner.predict(rows, leaf_of, found.slots, found.similar))
    return ranked(*learner.predict(rows, leaf_of), retired)


def nothing_near(n: int) -> Near:
    """No finds for n events."""
    return Near(np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32))
