"""Words that look like words, and Zipf's law."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_ONSETS = "b c d f g h j k l m n p r s t v w z br cr dr fl gr pl pr sk st tr".split()
_VOWELS = "a e i o u ai ea io ou".split()


def label_name(label: int) -> str:
    """The name of a label: a readable word and its number."""
    return f"{word('label', label, 0)}-{label}"


def word(kind: str, owner: int, number: int) -> str:
    """A pronounceable word, the same for equal arguments."""
    seed = {"label": 11, "group": 23, "common": 37, "shared": 53}[kind]
    state = (seed * 1_000_003 + owner) * 1_000_003 + number * 7_919 + 12_345
    parts = []
    for _ in range(3):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        parts.append(_ONSETS[(state >> 33) % len(_ONSETS)] + _VOWELS[(state >> 50) % len(_VOWELS)])
    return "".join(parts)


def zipf(n: int) -> Float64:
    """Cumulative probabilities of ranks 1 to n."""
    weights = 1.0 / np.arange(1, n + 1)
    return np.asarray(np.cumsum(weights) / weights.sum())
