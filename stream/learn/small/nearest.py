"""The highest of many scores: a bounded heap behind a bar that is guessed from a sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel, kernel

MOST = 50
_BLOCK = 32  # scores looked at together
_SAMPLE = 8  # of so many scores one is sampled, for a bar that twice as many as wanted pass


@fast_kernel
def _above(scores: Any, low: int, bar: float) -> Any:
    """How many of a block are above the bar."""
    total = np.int32(0)
    for k in range(_BLOCK):
        total += np.int32(scores[low + k] > bar)
    return total


@kernel
def _sink(best: Any, who: Any, n: int, score: float, slot: int) -> None:
    """Put an entry in the place of the lowest of n, and down to where it belongs."""
    at = 0
    while 2 * at + 1 < n:
        child = 2 * at + 1
        if child + 1 < n and best[child + 1] < best[child]:
            child += 1
        if best[child] >= score:
            break
        best[at] = best[child]
        who[at] = who[child]
        at = child
    best[at] = score
    who[at] = slot


@kernel
def _push(best: Any, who: Any, found: int, most: int, score: float, slot: int) -> int:
    """Add an entry to the heap, for its lowest where it is full; returns its length."""
    if found == most:
        _sink(best, who, most, score, slot)
        return found
    at = found
    while at > 0 and best[(at - 1) >> 1] > score:
        best[at] = best[(at - 1) >> 1]
        who[at] = who[(at - 1) >> 1]
        at = (at - 1) >> 1
    best[at] = score
    who[at] = slot
    return found + 1


@kernel
def _collect(
    scores: Any, n: int, step: int, most: int, bar: float, best: Any, who: Any
) -> int:  # fmt: skip
    """A heap of the highest scores above the bar; `step` 1 takes all, else every step-th."""
    found = 0
    for low in range(0, n, _BLOCK):
        if step == 1 and _above(scores, low, bar) == 0:
            continue
        for slot in range(low, min(low + _BLOCK, n), step):
            if scores[slot] > bar:
                found = _push(best, who, found, most, scores[slot], slot)
                if found == most:
                    bar = best[0]
    return found


@kernel
def select(scores: Any, n: int, most: int, floor: float, best: Any, who: Any) -> int:
    """The places of the `most` highest of the first n scores above `floor`, best first.

    `scores` has room for n rounded up to a full block. Returns how many were found.
    """
    bar, few = floor, max(most // 4, 1)
    if n >= 2 * _SAMPLE * most and _collect(scores, n, _SAMPLE, few, floor, best, who) == few:
        bar = np.float64(best[0])
    found = _collect(scores, n, 1, most, bar, best, who)
    if found < most and bar > floor:
        found = _collect(scores, n, 1, most, floor, best, who)
    for end in range(found - 1, 0, -1):
        score, slot = best[end], who[end]
        best[end], who[end] = best[0], who[0]
        _sink(best, who, end, score, slot)
    return found
