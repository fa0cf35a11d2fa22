"""The fixed random projection that carries an event to the prototype index.

Sparse rows: a sum of pseudo-random signs, drawn from a hash of the feature (Achlioptas 2003), so
that nothing is stored. Dense rows: themselves, at unit length.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0x94D049BB133111EB)


@fast_kernel
def project(slot: Any, weight: Any, n: int, out: Any) -> None:
    """The unit-length projection of a weighed row, into `out` (dimension,)."""
    out[:] = 0
    width = len(out)
    for j in range(n):
        value = weight[j]
        for block in range((width + 63) // 64):
            bits = (np.uint64(slot[j]) * np.uint64(131) + np.uint64(block + 1)) * _GOLDEN
            bits = (bits ^ (bits >> np.uint64(30))) * _MIX
            bits = (bits ^ (bits >> np.uint64(27))) * _GOLDEN
            bits ^= bits >> np.uint64(31)
            start = block * 64
            for k in range(min(64, width - start)):
                sign = np.float32(np.int64((bits >> np.uint64(k)) & np.uint64(1)) * 2 - 1)
                out[start + k] += value * sign
    norm = np.float32(0)
    for k in range(width):
        norm += out[k] * out[k]
    if norm > 0:
        scale = np.float32(1) / np.sqrt(norm)
        for k in range(width):
            out[k] *= scale
