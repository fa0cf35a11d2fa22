"""Recursive least squares on random projections, without forgetting.

Sparse input is projected by a Gaussian matrix; dense input by random Fourier features
(Rahimi, Recht 2007). All labels share the inverse covariance. An event reads its matrices, and
writes to them only every `LAG` events: the steps between are kept and subtracted from products,
which is the same but for rounding and moves a quarter of the memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel
from stream.learn.odds import cosines
from stream.learn.small.state import CONTEXT, LAG, PROJECTED, Squares

BIAS = 0.3
SPREAD = (0.7, 1.0)


@fast_kernel
def project_sparse(omega: Any, column: Any, a: Any, b: Any, m: int, out: Any) -> None:
    """Both projections of b, and the second of a, with the bias feature behind each."""
    first, second, values = out[0], out[1], out[3]
    for k in range(PROJECTED):
        first[k] = second[k] = values[k] = 0.0
    for j in range(m):
        row, other = omega[column[j], 0], omega[column[j], 1]
        x, y = a[j], b[j]
        for k in range(PROJECTED):
            first[k] += y * row[k]
            second[k] += y * other[k]
            values[k] += x * other[k]
    scale = np.float32(1.0 / np.sqrt(PROJECTED))
    for k in range(PROJECTED):
        first[k] *= scale
        second[k] *= scale
        values[k] *= scale
    first[PROJECTED] = second[PROJECTED] = values[PROJECTED] = BIAS


@fast_kernel
def project_dense(omega: Any, phase: Any, b: Any, m: int, out: Any) -> None:
    """Random Fourier features of b at two scales, with the bias feature behind each."""
    first, second = out[0], out[1]
    for k in range(PROJECTED):
        first[k] = second[k] = 0.0
    for j in range(m):
        row, other = omega[j, 0], omega[j, 1]
        y, z = np.float32(SPREAD[0]) * b[j], np.float32(SPREAD[1]) * b[j]
        for k in range(PROJECTED):
            first[k] += y * row[k]
            second[k] += z * other[k]
    for k in range(PROJECTED):
        first[k] += phase[0, k]
        second[k] += phase[1, k]
    for which in range(2):
        cosines(out[which], PROJECTED, np.sqrt(2.0 / PROJECTED), out[which])
        out[which, PROJECTED] = BIAS


@fast_kernel
def append_history(last: Any, ema: Any, labels: int, out: Any) -> int:
    """Behind the bias, the last label set and its decayed mean; returns the whole width."""
    for label in range(min(labels, CONTEXT)):
        out[PROJECTED + 1 + 2 * label] = 0.5 * last[label]
        out[PROJECTED + 2 + 2 * label] = 0.5 * ema[label]
    return PROJECTED + 1 + 2 * min(labels, CONTEXT)


@fast_kernel
def dot(a: Any, b: Any, n: int) -> Any:
    """Σ a·b of the first n values."""
    total = np.float32(0.0)
    for k in range(n):
        total += a[k] * b[k]
    return total


@fast_kernel
def predict(
    q: Squares, which: int, r: Any, phi: Any, width: int, labels: int, close: Any, out: Any
) -> None:
    """out[l] = r[l]·φ, and into `close` (LAG,) the products of φ with the gains not yet in r."""
    kept = q.kept[which]
    for j in range(kept):
        close[j] = dot(q.gain[which, j], phi, width)
    for label in range(labels):
        total = np.float32(0.0)
        for k in range(width):
            total += r[label, k] * phi[k]
        out[label] = total
    for j in range(kept):
        for label in range(labels):
            out[label] += close[j] * q.step[which, j, label]


@fast_kernel
def learn(
    q: Squares, which: int, p: Any, r: Any, phi: Any, width: int, labels: int, close: Any,
    error: Any, boost: Any, ratio: Any,
) -> None:  # fmt: skip
    """One recursive step, after `predict` has seen φ.

    `error` (labels,) is target minus prediction. A label with a boost above 1 takes so much
    longer a step, as if it had seen fewer events, but never more than half of the way to its
    target. A label's `ratio` is of all events to those that it was looked for in: its own
    covariance would be so many times the shared one, which gives the step that is taken here.
    """
    kept = q.kept[which]
    gain, step = q.gain[which, kept], q.step[which, kept]
    _product(p, phi, width, gain)
    for j in range(kept):
        before = q.gain[which, j]
        value = close[j] * q.scale[which, j]
        for i in range(width):
            gain[i] -= value * before[i]
    total = np.float32(1.0) + dot(gain, phi, width)
    if not total >= 1.0:  # rounding has cost positive definiteness: leave this event out
        return
    for i in range(width, len(gain)):
        gain[i] = 0.0
    scale = np.float32(1.0) / total
    q.scale[which, kept] = scale
    most = max(np.float32(1.0), np.float32(0.5) * total / max(total - 1, np.float32(1e-6)))
    for label in range(labels):
        more = ratio[label] * total / (1 + ratio[label] * (total - 1))  # 1 where ratio is
        step[label] = scale * error[label] * min(boost[label], most) * more
    for label in range(labels, len(step)):
        step[label] = 0.0
    q.kept[which] = kept + 1
    if kept + 1 == LAG:
        _settle(q, which, p, r, width, labels)


@fast_kernel
def _product(p: Any, x: Any, n: int, out: Any) -> None:
    """out = p·x, of whose symmetric p only the lower triangle is read, four rows at a time."""
    for i in range(n):
        out[i] = 0.0
    i = 0
    while i + 3 < n:
        a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
        e, f, g, h = x[i], x[i + 1], x[i + 2], x[i + 3]
        q, r, s, t = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for k in range(i):
            y = x[k]
            q += a[k] * y
            r += b[k] * y
            s += c[k] * y
            t += d[k] * y
            out[k] += (e * a[k] + f * b[k]) + (g * c[k] + h * d[k])
        out[i] += q + a[i] * e + b[i] * f + c[i] * g + d[i] * h
        out[i + 1] += r + b[i] * e + b[i + 1] * f + c[i + 1] * g + d[i + 1] * h
        out[i + 2] += s + c[i] * e + c[i + 1] * f + c[i + 2] * g + d[i + 2] * h
        out[i + 3] += t + d[i] * e + d[i + 1] * f + d[i + 2] * g + d[i + 3] * h
        i += 4
    while i < n:
        a, e = p[i], x[i]
        q = np.float32(0.0)
        for k in range(i):
            q += a[k] * x[k]
            out[k] += e * a[k]
        out[i] += q + a[i] * e
        i += 1


def settle_all(q: Squares) -> None:
    """Bring all kept steps into the matrices, before weights are read or written."""
    for which, (p, r) in enumerate(((q.p0, q.r0), (q.p1, q.r1), (q.p2, q.r2), (q.p3, q.r3))):
        kept = q.kept[which]
        if kept:
            q.gain[which, kept:] = 0
            q.scale[which, kept:] = 0
            q.step[which, kept:] = 0
            _settle(q, which, p, r, len(p), len(r))


@fast_kernel
def _settle(q: Squares, which: int, p: Any, r: Any, width: int, labels: int) -> None:
    """Bring the kept steps into the matrices, of p into its lower triangle."""
    g, scale = q.gain[which], q.scale[which]
    g0, g1, g2, g3, g4, g5, g6, g7 = g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]
    for i in range(width):
        row = p[i]
        a, b, c, d = scale[0] * g0[i], scale[1] * g1[i], scale[2] * g2[i], scale[3] * g3[i]
        e, f, h, o = scale[4] * g4[i], scale[5] * g5[i], scale[6] * g6[i], scale[7] * g7[i]
        for k in range(i + 1):
            row[k] -= (a * g0[k] + b * g1[k] + c * g2[k] + d * g3[k]) + (
                e * g4[k] + f * g5[k] + h * g6[k] + o * g7[k]
            )
    step = q.step[which]
    for label in range(labels):
        row = r[label]
        a, b, c, d = step[0, label], step[1, label], step[2, label], step[3, label]
        e, f, h, o = step[4, label], step[5, label], step[6, label], step[7, label]
        for k in range(width):
            row[k] += (a * g0[k] + b * g1[k] + c * g2[k] + d * g3[k]) + (
                e * g4[k] + f * g5[k] + h * g6[k] + o * g7[k]
            )
    q.kept[which] = 0
