"""The re-scorer: a small network over a candidate's features, trained online with AdaGrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel
from stream.learn.extreme.state import FEATURES, UNITS, Rescorer

RATE = 0.12


@fast_kernel
def logits(net: Rescorer, x: Any, m: int, hidden: Any, out: Any) -> None:
    """out[i] = skip·x_i + out·relu(w1·x_i) for the first m candidates; keeps `hidden`."""
    for i in range(m):
        total = np.float32(0)
        for f in range(FEATURES):
            total += net.skip[f] * x[i, f]
        for u in range(UNITS):
            unit = np.float32(0)
            for f in range(FEATURES):
                unit += net.w1[u, f] * x[i, f]
            unit = max(unit, np.float32(0))
            hidden[i, u] = unit
            total += net.out[u] * unit
        out[i] = total


@fast_kernel
def descend(net: Rescorer, x: Any, m: int, hidden: Any, residual: Any) -> None:
    """One AdaGrad step on the gradient summed over an event's candidates."""
    skip = np.zeros(FEATURES, np.float32)
    out = np.zeros(UNITS, np.float32)
    w1 = np.zeros((UNITS, FEATURES), np.float32)
    for i in range(m):
        r = residual[i]
        if abs(r) < 1e-4:
            continue
        for f in range(FEATURES):
            skip[f] += r * x[i, f]
        for u in range(UNITS):
            if hidden[i, u] > 0:
                out[u] += r * hidden[i, u]
                back = r * net.out[u]
                for f in range(FEATURES):
                    w1[u, f] += back * x[i, f]
    rate = np.float32(RATE)
    for f in range(FEATURES):
        net.skip_g[f] += skip[f] * skip[f]
        net.skip[f] -= rate * skip[f] / np.sqrt(net.skip_g[f])
    for u in range(UNITS):
        net.out_g[u] += out[u] * out[u]
        net.out[u] -= rate * out[u] / np.sqrt(net.out_g[u])
        for f in range(FEATURES):
            net.w1_g[u, f] += w1[u, f] * w1[u, f]
            net.w1[u, f] -= rate * w1[u, f] / np.sqrt(net.w1_g[u, f])
