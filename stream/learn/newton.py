"""Small positive definite systems, for online Newton steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel


@kernel
def solve(h: Any, g: Any) -> Any:
    """h⁻¹g by Cholesky; h is positive definite by its decay towards the identity."""
    n = len(g)
    low = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = h[i, j]
            for k in range(j):
                total -= low[i, k] * low[j, k]
            low[i, j] = np.sqrt(max(total, 1e-9)) if i == j else total / low[j, j]
    y = g.copy()
    for i in range(n):
        for k in range(i):
            y[i] -= low[i, k] * y[k]
        y[i] /= low[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            y[i] -= low[k, i] * y[k]
        y[i] /= low[i, i]
    return y
