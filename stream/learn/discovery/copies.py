"""Whether a text was in a cluster before: a bitmap of hashes (linear counting: Whang et al. 1990).

A text sent a thousand times counts once. Some others count as seen that were not, the more the
fuller the bitmap is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.discovery.state import WORDS

_HALF = 32  # bits of a word that stands for all


@kernel
def seen(marks: Any, mark: Any) -> bool:
    """Whether a text may have been seen; all is forgotten where half of the bits are set."""
    word, bit = (
        marks[np.int64(mark >> np.uint64(6)) % WORDS],
        np.uint64(1) << (mark & np.uint64(63)),
    )
    if word & bit != 0:
        return True
    bits = 0
    while word > 0:
        word &= word - np.uint64(1)
        bits += 1
    if bits >= _HALF:
        marks[:] = 0
    return False


@kernel
def note(marks: Any, mark: Any) -> None:
    """Remember a text."""
    marks[np.int64(mark >> np.uint64(6)) % WORDS] |= np.uint64(1) << (mark & np.uint64(63))
