"""Probabilities and their logits, in kernels."""

from __future__ import annotations

import numpy as np

from stream.learn.jit import kernel

CLIP = 3.5


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
