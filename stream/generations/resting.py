"""The generation before the one in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from indexes.prototypes import Prototypes
from stream.learn.encoder.encoders import Encoder
from stream.types import Float32


@dataclass
class Resting:
    """A generation that is not in use; its prototypes go on learning, without an index.

    `brought` is what its index was worth, see `ExtremeLearner.brought`.
    """

    encoder: Encoder
    number: int
    prototypes: Prototypes
    brought: tuple[float, float] = (0.0, 0.0)

    def learn(self, ids: Sequence[Sequence[int]], embedded: Float32) -> None:
        """Move prototypes as `Retrieval.learn` does."""
        flat = np.array([identity for row in ids for identity in row], np.int64)
        if len(flat):
            self.prototypes.learn(flat, np.repeat(embedded, [len(row) for row in ids], axis=0))
            self.prototypes.drain_dirty()

    def retire(self, identity: int) -> None:
        """Forget a label."""
        self.prototypes.retire(np.array([identity], np.int64))
        self.prototypes.drain_dirty()


class Contents(NamedTuple):
    """Prototypes: ids (n,) int64, unit means (n, d) and weights (n,) float32."""

    ids: Any
    means: Any
    weights: Any


def contents(prototypes: Prototypes) -> Contents:
    """A copy of what there is."""
    ids = prototypes.ids
    return Contents(ids, prototypes.vectors(ids), prototypes.weights(ids))
