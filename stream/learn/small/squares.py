"""Recursive least squares on random projections, without forgetting.

Sparse input is projected by a Gaussian matrix; dense input by random Fourier features
(Rahimi, Recht 2007). All labels share the inverse covariance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.jit import fast_kernel
from stream.learn.small.state import CONTEXT, PROJECTED

BIAS = 0.3
SPREAD = (0.7, 1.0)


@fast_kernel
def project(
    omega: Any, phase: Any, spread: float, column: Any, x: Any, m: int, fourier: bool, out: Any
) -> None:
    """The projected features, and the bias feature behind them."""
    for k in range(PROJECTED):
        out[k] = 0.0
    for j in range(m):
        row = omega[column[j]]
        value = x[j]
        for k in range(PROJECTED):
            out[k] += value * row[k]
    if fourier:
        scale = np.float32(np.sqrt(2.0 / PROJECTED))
        for k in range(PROJECTED):
            out[k] = scale * np.cos(np.float32(spread) * out[k] + phase[k])
    else:
        scale = np.float32(1.0 / np.sqrt(PROJECTED))
        for k in range(PROJECTED):
            out[k] *= scale
    out[PROJECTED] = BIAS


@fast_kernel
def append_history(last: Any, ema: Any, labels: int, out: Any) -> int:
    """Behind the bias, the last label set and its decayed mean; returns the whole width."""
    for label in range(min(labels, CONTEXT)):
        out[PROJECTED + 1 + 2 * label] = 0.5 * last[label]
        out[PROJECTED + 2 + 2 * label] = 0.5 * ema[label]
    return PROJECTED + 1 + 2 * min(labels, CONTEXT)


@fast_kernel
def predict(r: Any, phi: Any, width: int, labels: int, out: Any) -> None:
    """out[l] = φ·r[:, l]."""
    for label in range(labels):
        out[label] = 0.0
    for k in range(width):
        value = phi[k]
        if value != 0:
            row = r[k]
            for label in range(labels):
                out[label] += value * row[label]


@fast_kernel
def learn(p: Any, r: Any, lag: Any, phi: Any, gain: Any, width: int, labels: int,
          error: Any, boost: Any) -> None:  # fmt: skip
    """One recursive step; `error` is target minus prediction, (labels,).

    The step of p is applied with the next event's product, in one pass over memory: `lag` holds
    its gain, and its scale at the end. A label with a boost above 1 takes so much longer a step,
    as if it had seen fewer events, but never more than half of the way to its target.
    """
    before = lag[-1]
    total = np.float32(1.0)
    for i in range(width):
        row = p[i]
        value = lag[i] * before
        dot = np.float32(0.0)
        for k in range(width):
            row[k] -= value * lag[k]
            dot += row[k] * phi[k]
        gain[i] = dot
        total += dot * phi[i]
    lag[-1] = 0.0
    if not total >= 1.0:  # rounding has cost positive definiteness: leave this event out
        return
    scale = np.float32(1.0) / total
    lag[:width] = gain[:width]
    lag[-1] = scale
    most = max(np.float32(1.0), np.float32(0.5) * total / max(total - 1, np.float32(1e-6)))
    for label in range(labels):
        error[label] *= min(boost[label], most)
    for i in range(width):
        value = gain[i] * scale
        if value != 0:
            weights = r[i]
            for label in range(labels):
                weights[label] += value * error[label]
