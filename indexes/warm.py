"""Compile every kernel of this package, or load it from the cache, before a stream needs it."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from indexes.extras import ExtraNeeded
from indexes.factory import make
from indexes.prototypes import Prototypes

_WIDTH, _MANY = 64, 40


def warm() -> None:
    """Live through what an index may live through, in little."""
    draw = np.random.default_rng(1)
    rows, ids = draw.standard_normal((_MANY, _WIDTH), np.float32), np.arange(_MANY)
    prototypes = Prototypes(_WIDTH)
    prototypes.learn(ids, rows)
    prototypes.retire(ids[:2])
    prototypes.vectors(ids)
    for kind in ("flat", "faiss_cpu"):
        with suppress(ExtraNeeded):
            index = make(kind, _WIDTH, train_at=_MANY // 2)
            for part in (slice(_MANY // 2), slice(_MANY // 4, _MANY)):
                index.upsert(ids[part], rows[part])
            index.remove(ids[:2])
            index.search(rows[:2], 2)
            index.frozen().search(rows[:2], 2)
            other = make(kind, _WIDTH)
            other.restore({name: np.array(part) for name, part in index.snapshot().items()})
            for each in (index, other):
                each.close()
