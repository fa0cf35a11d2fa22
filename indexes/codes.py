"""Vectors at 16 bits in two planes: the high bytes alone are an int8 code that is quick to scan.

A vector x is kept as whole numbers v = round(x / scale) with scale = max|x| / 32,512, and v as
256 · high + low with both in int8. The high plane gives an inner product to about 0.0005 (unit
vectors, 256 wide), both planes to 0.00001. Codes do not depend on any training, so moving a
vector between lists never costs precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from indexes._jit import kernel
from indexes.base import Float32

_MOST = 32_512  # 127 · 256: so that the high byte fits int8
_SUM = 2**31 - 1


@kernel
def encode(rows: Any, high: Any, low: Any, scale: Any) -> None:
    """Fill `high`, `low` (n, d) int8 and `scale` (n,) float32 from `rows` (n, d) float32."""
    width = rows.shape[1]
    for i in range(len(rows)):
        most = np.float32(0.0)
        for t in range(width):
            most = max(most, abs(rows[i, t]))
        step = most / np.float32(_MOST)
        scale[i] = step
        inverse = np.float32(_MOST) / most if most > 0 else np.float32(0.0)
        if not np.isfinite(inverse):  # too small for a float32
            inverse = np.float32(0.0)
        for t in range(width):
            value = np.int32(np.rint(rows[i, t] * inverse))
            upper = (value + np.int32(128)) >> np.int32(8)
            high[i, t] = upper
            low[i, t] = value - (upper << np.int32(8))


@kernel
def decode(high: Any, low: Any, scale: Any, out: Any) -> None:
    """The reverse of `encode`, into `out` (n, d) float32."""
    for i in range(len(out)):
        for t in range(out.shape[1]):
            value = np.int32(high[i, t]) * np.int32(256) + np.int32(low[i, t])
            out[i, t] = np.float32(value) * scale[i]


@kernel
def whole(query: Any, out: Any) -> Any:
    """A query as int16 `out` (d,) so large that sums with int8 fit; returns its scale."""
    most = np.float32(0.0)
    for t in range(len(query)):
        most = max(most, abs(query[t]))
    if most == 0:
        out[:] = 0
        return np.float32(0.0)
    top = np.float32(min(32_000, _SUM // (127 * len(query))))
    for t in range(len(query)):
        out[t] = np.int16(np.rint(query[t] / most * top))
    return most / top


def coded(rows: Float32) -> tuple[Any, Any, Any]:
    """`high`, `low` and `scale` of `rows`, as new arrays; see `encode`."""
    count, width = rows.shape
    high, low = np.empty((count, width), np.int8), np.empty((count, width), np.int8)
    scale = np.empty(count, np.float32)
    encode(rows, high, low, scale)
    return high, low, scale
