"""What learners hand back in common: scored labels, best first, and how the truth ranked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.jit import kernel
from stream.types import Float32


class Scores(NamedTuple):
    """Scored labels of n events.

    Parameters
    ----------
    slots
        (n, m) int32 label slots, likeliest first, -1 at the end.
    p
        (n, m) float32 probabilities.
    threshold
        The probability above which a label is chosen.
    """

    slots: Any
    p: Float32
    threshold: float


def ranked(p: Float32) -> tuple[Any, Float32]:
    """Slots and probabilities of a whole label space (n, labels), likeliest first."""
    order = np.argsort(-p, axis=1, kind="stable").astype(np.int32)
    return order, np.take_along_axis(p, order, axis=1)


@kernel
def hits(slots: Any, truths: Any, bounds: Any, out: Any) -> None:
    """out[k] = whether true label k is among the first c slots of its event of c labels."""
    for i in range(len(bounds) - 1):
        low, high = bounds[i], bounds[i + 1]
        first = min(high - low, slots.shape[1])
        for k in range(low, high):
            out[k] = 0
            for at in range(first):
                if slots[i, at] == truths[k]:
                    out[k] = 1
