"""AdaGrad logistic experts (Duchi, Hazan, Singer 2011), all labels at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.jit import fast_kernel


@fast_kernel
def scores(w: Any, column: Any, x: Any, m: int, labels: int, out: Any) -> None:
    """out[l] = Σ_j x_j·w[column_j, l] for the first `labels` labels."""
    for label in range(labels):
        out[label] = 0.0
    for j in range(m):
        row = w[column[j]]
        value = x[j]
        for label in range(labels):
            out[label] += value * row[label]


@fast_kernel
def descend(
    w: Any,
    g: Any,
    column: Any,
    x: Any,
    m: int,
    labels: int,
    residual: Any,
    rate: float,
    start: float,
) -> None:
    """One AdaGrad step on residual ⊗ x; `residual` holds the label's own step factor already."""
    for j in range(m):
        row = w[column[j]]
        acc = g[column[j]]
        value = x[j]
        for label in range(labels):
            step = residual[label] * value
            acc[label] += step * step
            row[label] -= np.float32(rate) * step / np.sqrt(acc[label] + np.float32(start))


@fast_kernel
def history_scores(wh: Any, last: Any, ema: Any, labels: int, out: Any) -> None:
    """Add the part of the previous label set and of its decayed mean, each at half weight."""
    for j in range(labels):
        if last[j] > 0:
            for label in range(labels):
                out[label] += 0.5 * wh[0, j, label]
        value = 0.5 * ema[j]
        if value > 0.005:
            for label in range(labels):
                out[label] += value * wh[1, j, label]


@fast_kernel
def history_descend(
    wh: Any, gh: Any, last: Any, ema: Any, labels: int, residual: Any, rate: float, start: float
) -> None:
    """The AdaGrad step of the same part."""
    for j in range(labels):
        for which in range(2):
            value = 0.5 * (last[j] if which == 0 else ema[j])
            if value <= 0.005:
                continue
            row = wh[which, j]
            acc = gh[which, j]
            for label in range(labels):
                step = residual[label] * np.float32(value)
                acc[label] += step * step
                row[label] -= np.float32(rate) * step / np.sqrt(acc[label] + np.float32(start))
