"""The mixture: shared expert weights by online Newton, corrections by AdaGrad, decisions.

logit p = Σ_e (A_e + A_{partition,e} + A_{label,e})·z_e + b_label.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel, kernel
from stream.learn import decide
from stream.learn.newton import solve
from stream.learn.odds import sigmoids
from stream.learn.small.state import LANES, STIFFNESS, Mixture

DECAY = 0.9995
_RATE = np.float32(0.005)


@fast_kernel
def mix(
    mixture: Mixture, z: Any, leaf_of: Any, labels: int, local: bool, total: Any, out: Any
) -> None:
    """Log odds and probabilities of the first labels from expert logits z (labels, LANES)."""
    shared = mixture.shared.astype(np.float32)
    for label in range(labels):
        leaf = leaf_of[label]
        amount = np.float32(0.0)
        for e in range(LANES):
            amount += (shared[e] + mixture.label[label, e]) * z[label, e]
        if local and leaf >= 0:
            for e in range(LANES):
                amount += mixture.leaf[leaf, e] * z[label, e]
        total[label] = amount + mixture.bias[label]
    sigmoids(total, labels, out)


@fast_kernel
def _sums(logits: Any, y: Any, p: Any, labels: int, gradient: Any, h: Any) -> None:
    """Σ_l (p - y)·z into `gradient`, and Σ_l max(p(1-p), 0.002)·z zᵀ onto h."""
    residual, curve = np.empty(labels, np.float32), np.empty(labels, np.float32)
    for label in range(labels):
        residual[label] = p[label] - y[label]
        curve[label] = max(p[label] * (1 - p[label]), np.float32(0.002))
    weighed = np.empty(labels, np.float32)
    for i in range(LANES):
        slope = np.float32(0.0)
        for label in range(labels):
            slope += residual[label] * logits[i, label]
        gradient[i] = slope
        for label in range(labels):
            weighed[label] = curve[label] * logits[i, label]
        for j in range(i + 1):
            total = np.float32(0.0)
            for label in range(labels):
                total += weighed[label] * logits[j, label]
            h[i, j] += total
            h[j, i] = h[i, j]


@fast_kernel
def _correct(
    mixture: Mixture, z: Any, y: Any, p: Any, leaf_of: Any, labels: int, local: bool
) -> None:
    """One AdaGrad step of the weights of each label, and of its partition."""
    own, own_g = mixture.label, mixture.label_g
    theirs, theirs_g = mixture.leaf, mixture.leaf_g
    for label in range(labels):
        residual = p[label] - y[label]
        rate = mixture.boost[label] * _RATE
        for e in range(LANES):
            step = residual * z[label, e]
            own_g[label, e] += step * step
            own[label, e] -= rate * step / np.sqrt(own_g[label, e])
        leaf = leaf_of[label]
        if local and leaf >= 0:
            for e in range(LANES):
                step = residual * z[label, e]
                theirs_g[leaf, e] += step * step
                theirs[leaf, e] -= _RATE * step / np.sqrt(theirs_g[leaf, e])


@kernel
def learn(
    mixture: Mixture, logits: Any, z: Any, y: Any, p: Any, leaf_of: Any, labels: int, local: bool
) -> None:
    """One step on the logistic loss of every label; z is `logits` (LANES, labels) turned."""
    for i in range(LANES):
        for j in range(LANES):
            mixture.h[i, j] *= DECAY
        mixture.h[i, i] += (1.0 - DECAY) * STIFFNESS
    gradient = np.empty(LANES)
    _sums(logits, y, p, labels, gradient, mixture.h)
    mixture.shared[:] -= solve(mixture.h, gradient)
    _correct(mixture, z, y, p, leaf_of, labels, local)
    for label in range(labels):
        residual = p[label] - y[label]
        boost = mixture.boost[label]
        mixture.bias_g[label] += residual * residual
        mixture.bias[label] -= boost * 0.05 * residual / np.sqrt(mixture.bias_g[label])
        mixture.boost[label] = 1.0 + (boost - 1.0) * (0.995 if y[label] == 1 else 0.9999)


@kernel
def hide(logits: Any, z: Any, y: Any, p: Any, known: Any, labels: int, target: Any) -> None:
    """Into `target` what `learn` takes for y, so that a label not looked for teaches nothing."""
    for label in range(labels):
        if known[label] > 0:
            target[label] = y[label]
            continue
        target[label] = p[label]
        z[label] = 0
        logits[:, label] = 0


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
