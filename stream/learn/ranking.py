"""What learners hand back in common: scored labels, best first, and how the truth ranked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.types import Float32


class Scores(NamedTuple):
    """Scored labels of n events.

    Parameters
    ----------
    slots
        (n, m) int32 label slots, likeliest first, -1 at the end.
    p
        (n, m) float32 probabilities.
    chosen
        (n, m) bool, whether each is in the chosen set.
    """

    slots: Any
    p: Float32
    chosen: Any


class Judged(NamedTuple):
    """Scores of events in a row, each as it was just before the event was learnt.

    `position` is the model's at the first of them.
    """

    position: int
    scores: Scores


def only(scores: Scores, among: Sequence[int]) -> Scores:
    """The same of a few labels alone."""
    kept = np.isin(scores.slots, np.array(among, np.int32))
    order = np.argsort(~kept, axis=1, kind="stable")[:, : len(among)]
    kept, slots, p, chosen = (
        np.take_along_axis(part, order, 1) for part in (kept, *scores)
    )  # fmt: skip
    return Scores(np.where(kept, slots, -1), np.where(kept, p, 0), chosen & kept)


def ranked(p: Float32, chosen: Any, retired: Collection[int] = ()) -> Scores:
    """A whole label space, (n, labels) each, likeliest first, without retired labels."""
    gone = np.zeros(p.shape[1], np.bool_)
    if retired:
        gone[[slot for slot in retired if slot < len(gone)]] = True
    scores = Scores(np.empty(p.shape, np.int32), np.empty_like(p), np.empty_like(chosen))
    _rank(p, chosen, gone, *scores)
    return scores


@kernel
def _rank(p: Any, chosen: Any, gone: Any, slots: Any, sorted_p: Any, picked: Any) -> None:
    for i in range(len(p)):
        order = np.argsort(-p[i], kind="mergesort")
        n = 0
        for slot in order:
            if not gone[slot]:
                slots[i, n] = slot
                sorted_p[i, n] = p[i, slot]
                picked[i, n] = chosen[i, slot]
                n += 1
        slots[i, n:] = -1
        sorted_p[i, n:] = 0
        picked[i, n:] = False


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
