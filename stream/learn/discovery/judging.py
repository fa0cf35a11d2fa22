"""Whether an event is explained: how probable its labels are, and below what that is little."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel

UNSURE = 0.2  # quantile of the best probability of labelled events; below, nothing is probable


@kernel
def probable(slots: Any, p: Any, truth: Any) -> tuple[float, float]:
    """The highest probability of an event, and that of its own labels."""
    best = own = 0.0
    for at in range(len(slots)):
        best = max(best, np.float64(p[at]))
        for label in truth:
            if slots[at] == label:
                own = max(own, np.float64(p[at]))
    return best, own


@kernel
def bar_of(passed: Any, share: float) -> float:
    """The probability below which the best label of a share of the labelled events is."""
    left = share * passed.sum()
    for at in range(len(passed)):
        if passed[at] > left:
            return (at + left / passed[at]) / len(passed)
        left -= passed[at]
    return 0.0
