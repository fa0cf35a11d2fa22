"""The mixture: shared expert weights by online Newton, corrections by AdaGrad, decisions.

logit p = Σ_e (A_e + A_{partition,e} + A_{label,e})·z_e + b_label.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.jit import fast_kernel, kernel
from stream.learn.small.state import EXPERTS, STIFFNESS, Mixture

CLIP = 3.5
DECAY = 0.9995


@kernel
def logit(p: float) -> float:
    """The clipped logit of a probability."""
    if p <= 0.0:
        return -CLIP
    if p >= 1.0:
        return CLIP
    return min(CLIP, max(-CLIP, np.log(p / (1.0 - p))))


@kernel
def sigmoid(z: float) -> float:
    """1/(1 + e^-z) without overflow."""
    if z >= 0:
        return 1.0 / (1.0 + np.exp(-z))
    e = np.exp(z)
    return e / (1.0 + e)


@fast_kernel
def mix(mixture: Mixture, z: Any, leaf_of: Any, labels: int, out: Any) -> None:
    """Probabilities of the first `labels` labels from expert logits z (EXPERTS, labels)."""
    for label in range(labels):
        total = np.float64(mixture.bias[label])
        leaf = leaf_of[label]
        for e in range(EXPERTS):
            weight = mixture.shared[e] + mixture.label[label, e]
            if leaf >= 0:
                weight += mixture.leaf[leaf, e]
            total += weight * z[e, label]
        out[label] = sigmoid(total)


@kernel
def _solve(h: Any, g: Any) -> Any:
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


@fast_kernel
def _curvature(h: Any, z: Any, p: Any, labels: int) -> None:
    """h += Σ_l max(p(1-p), 0.002)·z zᵀ, the lower half, then mirrored."""
    for i in range(EXPERTS):
        for j in range(i + 1):
            total = 0.0
            for label in range(labels):
                total += (
                    max(p[label] * (1 - p[label]), np.float32(0.002)) * z[i, label] * z[j, label]
                )
            h[i, j] += total
            h[j, i] = h[i, j]


@kernel
def learn(mixture: Mixture, z: Any, y: Any, p: Any, leaf_of: Any, labels: int) -> None:
    """One step on the logistic loss of every label."""
    gradient = np.zeros(EXPERTS)
    for e in range(EXPERTS):
        for label in range(labels):
            gradient[e] += (p[label] - y[label]) * z[e, label]
    for i in range(EXPERTS):
        for j in range(EXPERTS):
            mixture.h[i, j] *= DECAY
        mixture.h[i, i] += (1.0 - DECAY) * STIFFNESS
    _curvature(mixture.h, z, p, labels)
    mixture.shared[:] -= _solve(mixture.h, gradient)
    for label in range(labels):
        residual = p[label] - y[label]
        boost = mixture.boost[label]
        leaf = leaf_of[label]
        for e in range(EXPERTS):
            step = residual * z[e, label]
            mixture.label_g[label, e] += step * step
            mixture.label[label, e] -= boost * 0.005 * step / np.sqrt(mixture.label_g[label, e])
            if leaf >= 0:
                mixture.leaf_g[leaf, e] += step * step
                mixture.leaf[leaf, e] -= 0.005 * step / np.sqrt(mixture.leaf_g[leaf, e])
        mixture.bias_g[label] += residual * residual
        mixture.bias[label] -= boost * 0.05 * residual / np.sqrt(mixture.bias_g[label])
        mixture.boost[label] = 1.0 + (boost - 1.0) * (0.995 if y[label] > 0 else 0.9999)


@kernel
def threshold(counts: Any) -> float:
    """The F1-optimal threshold, half the F1 reached, shrunk to 0.35 while little is known.

    At the optimum the threshold is half of the best F1 (Lipton, Elkan, Naryanaswamy 2014).
    """
    tp, fp, fn = counts[0], counts[1], counts[2]
    return 0.5 * (2 * tp + 28) / (2 * tp + fp + fn + 40)


@kernel
def count(mixture: Mixture, y: Any, p: Any, labels: int) -> None:
    """Count what the threshold decided."""
    theta = threshold(mixture.counts)
    for label in range(labels):
        if p[label] > theta:
            mixture.counts[0 if y[label] > 0 else 1] += 1
        elif y[label] > 0:
            mixture.counts[2] += 1
