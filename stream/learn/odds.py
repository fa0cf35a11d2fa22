"""Probabilities and their logits, in kernels.

Where many are wanted at once, logarithms, exponentials and cosines are polynomials of float32,
which compile to vector instructions; the coefficients of the first two are those of Cephes
(Moshier 1989), whose relative error is about 1e-7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel, kernel

CLIP = 3.5
_LEAST = np.float32(0.001)  # of a probability, well outside of what CLIP lets pass
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)


@kernel
def sigmoid(z: float) -> float:
    """1/(1 + e^-z) without overflow."""
    if z >= 0:
        return 1.0 / (1.0 + np.exp(-z))
    e = np.exp(z)
    return e / (1.0 + e)


@fast_kernel
def _log(x: float) -> Any:
    """The logarithm of a normal positive float32."""
    bits = np.float32(x).view(np.int32)
    power = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    f = np.int32(bits - (power << np.int32(23))).view(np.float32) - _ONE
    y = np.float32(7.0376836292e-2) * f - np.float32(1.1514610310e-1)
    y = y * f + np.float32(1.1676998740e-1)
    y = y * f - np.float32(1.2420140846e-1)
    y = y * f + np.float32(1.4249322787e-1)
    y = y * f - np.float32(1.6668057665e-1)
    y = y * f + np.float32(2.0000714765e-1)
    y = y * f - np.float32(2.4999993993e-1)
    y = y * f + np.float32(3.3333331174e-1)
    y = (y * f - _HALF) * f * f + f
    return np.float32(y + np.float32(0.69314718) * np.float32(power))


@fast_kernel
def logs(x: Any, n: int) -> None:
    """Take the logarithms of the first n positive float32 values, in place."""
    for i in range(n):
        x[i] = _log(x[i])


@fast_kernel
def logits(p: Any, n: int, out: Any) -> None:
    """Clipped logits of the first n float32 probabilities; `out` may be `p`."""
    for i in range(n):
        one = min(_ONE - _LEAST, max(_LEAST, np.float32(p[i])))
        out[i] = min(np.float32(CLIP), max(np.float32(-CLIP), _log(one / (_ONE - one))))


@fast_kernel
def sigmoids(z: Any, n: int, out: Any) -> None:
    """1/(1 + e^-z) of the first n values, as float32; beyond ±30 as at 30."""
    for i in range(n):
        x = min(np.float32(30.0), max(np.float32(-30.0), np.float32(-z[i])))
        whole = np.float32(np.floor(x * np.float32(1.44269504) + _HALF))
        x = (x - whole * np.float32(0.693359375)) + whole * np.float32(2.12194440e-4)
        y = np.float32(1.9875691500e-4) * x + np.float32(1.3981999507e-3)
        y = y * x + np.float32(8.3334519073e-3)
        y = y * x + np.float32(4.1665795894e-2)
        y = y * x + np.float32(1.6666665459e-1)
        y = y * x + np.float32(5.0000001201e-1)
        y = y * x * x + x + _ONE
        power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
        out[i] = _ONE / (_ONE + y * power)


@fast_kernel
def cosines(x: Any, n: int, scale: float, out: Any) -> None:
    """scale·cos of the first n values, to about 1e-6; `out` may be `x`."""
    for i in range(n):
        turns = np.float32(x[i]) * np.float32(0.15915494)
        turns -= np.float32(np.floor(turns + _HALF))
        u = np.float32(0.25) - abs(turns)  # cos 2πt = sin 2π(1/4 - |t|)
        s = u * u
        y = np.float32(39.534723) * s - np.float32(76.549520)
        y = y * s + np.float32(81.600993)
        y = y * s - np.float32(41.341655)
        y = y * s + np.float32(6.2831852)
        out[i] = np.float32(scale) * y * u
