"""The mixture: shared expert weights by online Newton, corrections by AdaGrad, decisions.

logit p = Σ_e (A_e + A_{partition,e} + A_{label,e})·z_e + b_label.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn import decide
from stream.learn.jit import fast_kernel, kernel
from stream.learn.newton import solve
from stream.learn.odds import sigmoid
from stream.learn.small.state import EXPERTS, STIFFNESS, Mixture

DECAY = 0.9995


@fast_kernel
def mix(mixture: Mixture, z: Any, leaf_of: Any, labels: int, local: bool, out: Any) -> None:
    """Probabilities of the first `labels` labels from expert logits z (EXPERTS, labels)."""
    for label in range(labels):
        total = np.float64(mixture.bias[label])
        leaf = leaf_of[label]
        for e in range(EXPERTS):
            weight = mixture.shared[e] + mixture.label[label, e]
            if local and leaf >= 0:
                weight += mixture.leaf[leaf, e]
            total += weight * z[e, label]
        out[label] = sigmoid(total)


@fast_kernel
def _curvature(h: Any, z: Any, p: Any, labels: int) -> None:
    """h += Σ_l max(p(1-p), 0.002)·z zᵀ, the lower half, then mirrored."""
    curve = np.empty(labels, np.float32)
    for label in range(labels):
        curve[label] = max(p[label] * (1 - p[label]), np.float32(0.002))
    weighed = np.empty(labels, np.float32)
    for i in range(EXPERTS):
        for label in range(labels):
            weighed[label] = curve[label] * z[i, label]
        for j in range(i + 1):
            total = 0.0
            for label in range(labels):
                total += weighed[label] * z[j, label]
            h[i, j] += total
            h[j, i] = h[i, j]


@kernel
def learn(mixture: Mixture, z: Any, y: Any, p: Any, leaf_of: Any, labels: int, local: bool) -> None:
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
    mixture.shared[:] -= solve(mixture.h, gradient)
    for label in range(labels):
        residual = p[label] - y[label]
        boost = mixture.boost[label]
        leaf = leaf_of[label]
        for e in range(EXPERTS):
            step = residual * z[e, label]
            mixture.label_g[label, e] += step * step
            mixture.label[label, e] -= boost * 0.005 * step / np.sqrt(mixture.label_g[label, e])
            if local and leaf >= 0:
                mixture.leaf_g[leaf, e] += step * step
                mixture.leaf[leaf, e] -= 0.005 * step / np.sqrt(mixture.leaf_g[leaf, e])
        mixture.bias_g[label] += residual * residual
        mixture.bias[label] -= boost * 0.05 * residual / np.sqrt(mixture.bias_g[label])
        mixture.boost[label] = 1.0 + (boost - 1.0) * (0.995 if y[label] == 1 else 0.9999)


@kernel
def hide(z: Any, y: Any, p: Any, known: Any, labels: int, target: Any) -> None:
    """Into `target` what `learn` takes for y, so that a label not looked for teaches nothing."""
    for label in range(labels):
        if known[label] > 0:
            target[label] = y[label]
            continue
        target[label] = p[label]
        for e in range(EXPERTS):
            z[e, label] = 0


@kernel
def count(mixture: Mixture, y: Any, p: Any, known: Any, labels: int) -> None:
    """Count what the thresholds decided, where it was looked for."""
    theta = decide.threshold(mixture.counts)
    for label in range(labels):
        if known[label] == 0:
            continue
        own = mixture.decided[label]
        true = y[label] > 0
        decide.tell(own, p[label] > decide.label_threshold(own, theta), true)
        decide.tell(mixture.counts, p[label] > theta, true)


@kernel
def choose(mixture: Mixture, p: Any, labels: int, objective: int, out: Any) -> None:
    """Whether each label is chosen, into `out` (labels,) uint8."""
    for label in range(labels):
        bar = decide.bar(objective, mixture.counts, mixture.decided[label])
        out[label] = p[label] > bar
