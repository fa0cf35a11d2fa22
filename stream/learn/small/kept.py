"""Weights of labels in states that are put aside, so that a state that returns is back at once.

They lie outside of the learner's state, which every view copies; their memory is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from stream.learn.arrays import Spec, Specs, grow, power
from stream.learn.small import squares
from stream.learn.small.state import CONTEXT, LOGISTICS, PROJECTED, Small

MOST = 1 << 26  # bytes
_WIDE = PROJECTED + 1 + 2 * CONTEXT


class Kept(NamedTuple):
    """One entry a label and state."""

    label: Any  # (kept,) int32, -1 for a free one
    state: Any  # (kept,) int32
    stamp: Any  # (kept,) int64, when it was put aside
    w: Any  # (kept, LOGISTICS, columns) of the logistics
    c: Any  # (kept, binned) of the one on bins, in dense rows
    r: Any  # (kept, 4, _WIDE) of the least squares


SPECS: Specs = {
    "label": Spec(("kept",), np.int32, -1),
    "state": Spec(("kept",), np.int32),
    "stamp": Spec(("kept",), np.int64),
    "w": Spec(("kept", LOGISTICS, "columns")),
    "c": Spec(("kept", "binned")),
    "r": Spec(("kept", 4, _WIDE)),
}


def nothing() -> Kept:
    """No entries."""
    wide = {"w": (0, LOGISTICS, 0), "c": (0, 0), "r": (0, 4, _WIDE)}
    return Kept(*(np.zeros(wide.get(name, (0,)), spec.dtype) for name, spec in SPECS.items()))


def fit(kept: Kept, capacity: Mapping[str, int], more: int) -> Kept:
    """`kept` at a learner's capacities, with room for `more` entries or what memory allows."""
    entry = 4 * (LOGISTICS * capacity["columns"] + capacity["binned"] + 4 * _WIDE)
    used = int(np.count_nonzero(kept.label >= 0))
    room = min(power(used + more, 16), power(MOST // entry // 2 + 1, 16))
    kept_room = max(room, len(kept.label))
    return grow(kept, SPECS, {**capacity, "kept": kept_room})


def swap(s: Small, kept: Kept, slots: Any, state: int, back: bool, now: int) -> None:
    """Put the weights of labels aside, and start anew or take back those of the same state."""
    one, q = s.linear, s.squares
    squares.settle_all(q)
    for label in slots:
        at = _find(kept, label, state)
        old = back and kept.label[at] == label and kept.state[at] == state
        entry = kept.w[at].copy(), kept.c[at].copy(), kept.r[at].copy()
        kept.label[at], kept.state[at], kept.stamp[at] = label, state, now
        for k in range(LOGISTICS):
            w = one.w[:, 2 * k, label]
            kept.w[at, k, : len(w)] = w
            w[:] = entry[0][k, : len(w)] if old else 0
        c = one.binned[:, 0, label]
        kept.c[at, : len(c)] = c
        c[:] = entry[1][: len(c)] if old else 0
        for k, r in enumerate((q.r0, q.r1, q.r2, q.r3)):
            kept.r[at, k, : r.shape[1]] = r[label]
            if old:  # else they take longer steps
                r[label] = entry[2][k, : r.shape[1]]
        if not old:
            one.w[:, 1::2, label] = 0
            one.binned[:, 1, label] = 0


def _find(kept: Kept, label: int, state: int) -> int:
    """The entry of a label and state, or a free one, or the one that was put aside first."""
    same = np.flatnonzero((kept.label == label) & (kept.state == state))
    if len(same):
        return int(same[0])
    return int(np.argmin(np.where(kept.label < 0, -1, kept.stamp)))
