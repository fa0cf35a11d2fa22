"""A bank of ADWIN detectors as arrays, one row each.

Bifet, Gavaldà, "Learning from time-changing data with adaptive windowing" (SDM 2007), with the
normal-approximated cut, checked every CLOCK values, as in river's `drift.ADWIN`; the tests hold
the two together. A bank is used because partitions come and go by the thousand and their
detectors must be in every snapshot.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.arrays import Spec, Specs

LEVELS = 24
BUCKETS = 5
CLOCK = 32
_SHORTEST = 5
_GRACE = 10


class Bank(NamedTuple):
    """Exponential histograms; `total` and `spread` of a bucket are sum and squared deviations."""

    used: Any  # (detectors, LEVELS) int32 buckets of each level
    total: Any  # (detectors, LEVELS, BUCKETS + 1)
    spread: Any
    width: Any  # (detectors,) int64
    sum: Any  # (detectors,) float64
    variance: Any  # (detectors,) float64, squared deviations of the window
    ticks: Any  # (detectors,) int64
    quiet: Any  # (detectors,) int64 values of warm-up left; below 0 since an alarm, see `drift`


SPECS: Specs = {
    "used": Spec(("detectors", LEVELS), np.int32),
    "total": Spec(("detectors", LEVELS, BUCKETS + 1)),
    "spread": Spec(("detectors", LEVELS, BUCKETS + 1)),
    "width": Spec(("detectors",), np.int64),
    "sum": Spec(("detectors",), np.float64),
    "variance": Spec(("detectors",), np.float64),
    "ticks": Spec(("detectors",), np.int64),
    "quiet": Spec(("detectors",), np.int64),
}


@kernel
def reset(bank: Bank, d: int, quiet: int) -> None:
    """Start detector d anew; it stays silent for `quiet` values."""
    bank.used[d, :] = 0
    bank.width[d] = 0
    bank.sum[d] = 0
    bank.variance[d] = 0
    bank.ticks[d] = 0
    bank.quiet[d] = quiet


@kernel
def update(bank: Bank, d: int, value: float, delta: float, means: Any, clock: int = CLOCK) -> bool:
    """Add a value to detector d, and look for a change every `clock` values.

    Returns
    -------
    bool
        Whether the window was cut; `means` (2,) then holds the mean before and after.
    """
    bank.ticks[d] += 1
    bank.width[d] += 1
    width = bank.width[d]
    if width > 1:
        away = value - bank.sum[d] / (width - 1)
        bank.variance[d] += (width - 1) * away * away / width
    bank.sum[d] += value
    _append(bank, d, 0, value, 0.0)
    _compress(bank, d)
    if bank.ticks[d] % clock != 0 or width <= _GRACE:
        return False
    means[0] = bank.sum[d] / bank.width[d]
    cut = False
    while bank.width[d] > _GRACE and _cut_once(bank, d, delta):
        cut = True
    means[1] = bank.sum[d] / bank.width[d]
    return cut


@kernel
def _append(bank: Bank, d: int, level: int, total: float, spread: float) -> None:
    at = bank.used[d, level]
    bank.total[d, level, at] = total
    bank.spread[d, level, at] = spread
    bank.used[d, level] = at + 1


@kernel
def _drop(bank: Bank, d: int, level: int, count: int) -> None:
    left = bank.used[d, level] - count
    for k in range(left):
        bank.total[d, level, k] = bank.total[d, level, k + count]
        bank.spread[d, level, k] = bank.spread[d, level, k + count]
    bank.used[d, level] = left


@kernel
def _compress(bank: Bank, d: int) -> None:
    """Where a level holds one bucket too many, its two oldest become one of the next level."""
    for level in range(LEVELS):
        if bank.used[d, level] <= BUCKETS:
            return
        if level == LEVELS - 1:
            _forget(bank, d)
            return
        size = 2.0**level
        a, b = bank.total[d, level, 0], bank.total[d, level, 1]
        away = (a - b) / size
        spread = bank.spread[d, level, 0] + bank.spread[d, level, 1] + size * away * away / 2
        _append(bank, d, level + 1, a + b, spread)
        _drop(bank, d, level, 2)


@kernel
def _forget(bank: Bank, d: int) -> None:
    """Drop the oldest bucket from the window."""
    level = LEVELS - 1
    while bank.used[d, level] == 0:
        level -= 1
    size = np.int64(1) << level
    total, spread = bank.total[d, level, 0], bank.spread[d, level, 0]
    bank.width[d] -= size
    bank.sum[d] -= total
    if bank.width[d] > 0:
        away = total / size - bank.sum[d] / bank.width[d]
        between = size * bank.width[d] * away * away / (size + bank.width[d])
        bank.variance[d] = max(0.0, bank.variance[d] - spread - between)
    else:
        bank.variance[d] = 0.0
    _drop(bank, d, level, 1)


@kernel
def _cut_once(bank: Bank, d: int, delta: float) -> bool:
    """Drop the oldest bucket where some split of the window has two different means."""
    width = bank.width[d]
    log = np.log(2.0 * np.log(width) / delta)
    variance = bank.variance[d] / width
    n0, u0 = 0.0, 0.0
    for back in range(LEVELS):
        level = LEVELS - 1 - back
        size = 2.0**level
        for k in range(bank.used[d, level]):
            n0 += size
            u0 += bank.total[d, level, k]
            n1 = width - n0
            if n1 < _SHORTEST + 1:
                return False
            if n0 < _SHORTEST + 1:
                continue
            m = 1.0 / (n0 - _SHORTEST + 1) + 1.0 / (n1 - _SHORTEST + 1)
            bound = np.sqrt(2.0 * m * variance * log) + 2.0 / 3.0 * log * m
            if abs(u0 / n0 - (bank.sum[d] - u0) / n1) > bound:
                _forget(bank, d)
                return True
    return False


@kernel
def narrow(bank: Bank, d: int) -> None:
    """Drop from the window of detector d what came before the likeliest moment of a rise.

    A cut drops no more than what it must, so that values from before the change stay; the
    likeliest moment is where the sum of squares between both sides is largest.
    """
    width, whole = bank.width[d], bank.sum[d]
    n0, u0 = 0.0, 0.0
    most, since = 0.0, width
    for back in range(LEVELS):
        level = LEVELS - 1 - back
        for k in range(bank.used[d, level]):
            n0 += 2.0**level
            u0 += bank.total[d, level, k]
            n1 = width - n0
            if n1 < 1:
                break
            away = (whole - u0) / n1 - u0 / n0
            between = n0 * n1 / width * away * away
            if away > 0 and between > most:
                most = between
                since = np.int64(n1)
    while bank.width[d] > since:
        _forget(bank, d)
