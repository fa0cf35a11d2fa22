"""AdaGrad logistic experts (Duchi, Hazan, Singer 2011), all labels at once.

The weights and accumulators that a column has in all four experts lie side by side, since an
event reads and writes all of them: 2e is the row of expert e's weights, 2e + 1 of its squares.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel
from stream.learn.small.state import LOGISTICS

BINNED = 2  # the expert that dense rows give bins to, with a table of its own
# rate and initial accumulator of each expert, for sparse and for dense rows
_RATES = np.array([[1.0, 1.0, 0.5, 1.0], [0.2, 0.2, 0.3, 0.2]], np.float32)
_STARTS = np.array([[1e-3, 1e-3, 0.05, 1e-3], [1e-3, 1e-3, 1e-3, 1e-3]], np.float32)


@fast_kernel
def scores(w: Any, column: Any, a: Any, b: Any, m: int, labels: int, out: Any) -> None:
    """out[e, l] = Σ_j x_j·w[column_j, 2e, l]; the first expert sees a, the others b."""
    for e in range(LOGISTICS):
        for label in range(labels):
            out[e, label] = 0.0
    for j in range(m):
        row = w[column[j]]
        x, y = a[j], b[j]
        for label in range(labels):
            out[0, label] += x * row[0, label]
            out[1, label] += y * row[2, label]
            out[2, label] += y * row[4, label]
            out[3, label] += y * row[6, label]


@fast_kernel
def binned_scores(w: Any, place: Any, x: Any, m: int, labels: int, out: Any) -> None:
    """out[l] = Σ_j x_j·w[place_j, 0, l]."""
    for label in range(labels):
        out[label] = 0.0
    for j in range(m):
        row = w[place[j]]
        for label in range(labels):
            out[label] += x[j] * row[0, label]


@fast_kernel
def descend(
    w: Any, column: Any, a: Any, b: Any, m: int, labels: int, residual: Any, is_dense: bool
) -> None:
    """One AdaGrad step on residual ⊗ x; `residual` (4, labels) holds each label's step factor."""
    rates, starts = _RATES[int(is_dense)], _STARTS[int(is_dense)]
    for j in range(m):
        row = w[column[j]]
        for e in range(LOGISTICS):
            if is_dense and e == BINNED:
                continue
            x = a[j] if e == 0 else b[j]
            rate, start = rates[e], starts[e]
            for label in range(labels):
                step = residual[e, label] * x
                row[2 * e + 1, label] += step * step
                row[2 * e, label] -= rate * step / np.sqrt(row[2 * e + 1, label] + start)


@fast_kernel
def binned_descend(w: Any, place: Any, x: Any, m: int, labels: int, residual: Any) -> None:
    """The step of the expert on bins."""
    rate, start = _RATES[1, BINNED], _STARTS[1, BINNED]
    for j in range(m):
        row = w[place[j]]
        for label in range(labels):
            step = residual[label] * x[j]
            row[1, label] += step * step
            row[0, label] -= rate * step / np.sqrt(row[1, label] + start)


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
    wh: Any, gh: Any, last: Any, ema: Any, labels: int, residual: Any, is_dense: bool
) -> None:
    """The AdaGrad step of the same part, in the last expert."""
    rate, start = _RATES[int(is_dense), 3], _STARTS[int(is_dense), 3]
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
                row[label] -= rate * step / np.sqrt(acc[label] + start)
