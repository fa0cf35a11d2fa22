"""Keys of label sets, whatever their order (Zobrist 1970)."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel

MIX = np.uint64(0x9E3779B97F4A7C15)


@kernel
def mixed(label: int) -> Any:
    """A number's bits, spread over 64."""
    spread = (np.uint64(label) + np.uint64(1)) * MIX
    return (spread ^ (spread >> np.uint64(31))) * MIX


@kernel
def of_set(labels: Any) -> Any:
    """The key of a label set: its labels' keys, combined by exclusive-or."""
    key = np.uint64(0)
    for label in labels:
        key ^= mixed(label)
    return key
