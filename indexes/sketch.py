"""One bit a number: what a scan reads first, to pass over rows that cannot be among the best.

A row x of the list around c is sketched by the signs b of its residual r = x - c. With
f = |r|² / Σ|r_t|, <q, c> + f · Σ q_t b_t estimates <q, x> without bias if the directions are
spread evenly, and its error is spread like |r| · √(1 / γ² - 1) / √(d - 1), where
γ = Σ|r_t| / (|r| √d): Gao and Long, "RaBitQ" (SIGMOD 2024), without the rotation, since γ is each
row's own and a row that is sketched badly is only looked at more often. The query is rounded to
four bits, so that the sum is a few bit counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from indexes._jit import kernel

_LEAST_WIDTH = 64  # narrower vectors are not sketched: the error is not spread like that
_PLANES = 4
_TOP = np.float32(2**_PLANES - 1)
# Beside the sketch's own error: rounding of the query, of rows and of centres, by their lengths.
_ROUNDING = np.float32(0.008)


@intrinsic  # type: ignore[untyped-decorator]
def count_ones(typing: Any, word: Any) -> Any:
    """How many bits of a uint64 are set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64)])
        return builder.call(builder.module.declare_intrinsic("llvm.ctpop", (), kind), args)

    return types.uint64(types.uint64), generate


def words(width: int) -> int:
    """uint64s of a sketch."""
    return -(-width // 64) if width >= _LEAST_WIDTH else 0


@kernel
def sketch(
    high: Any, low: Any, scale: Any, lists: Any, centres: Any, bits: Any, facts: Any
) -> None:
    """Fill `bits` (n, w) uint64, and `facts` (n, 2) float32: f and the spread of the error."""
    width = high.shape[1]
    for i in range(len(bits)):
        bits[i] = 0
        square, total, length = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for t in range(width):
            value = np.int32(high[i, t]) * np.int32(256) + np.int32(low[i, t])
            number = np.float32(value) * scale[i]
            rest = number - centres[lists[i], t]
            length += number * number
            square += rest * rest
            total += abs(rest)
        if bits.shape[1] > 0:
            for t in range(width):
                value = np.int32(high[i, t]) * np.int32(256) + np.int32(low[i, t])
                if np.float32(value) * scale[i] > centres[lists[i], t]:
                    bits[i, t >> 6] |= np.uint64(1) << np.uint64(t & 63)
        if total > 0:
            facts[i, 0] = square / total
            spread = max(np.float32(0.0), square * square * width / (total * total) - square)
            facts[i, 1] = np.sqrt(spread / np.float32(width - 1)) if width > 1 else 0.0
        else:
            facts[i] = 0
        facts[i, 1] += _ROUNDING * np.sqrt(length)


@kernel
def planes_of(query: Any, planes: Any, sums: Any) -> None:
    """A query (d,) float32 as `planes` (4, w) uint64 of its rounded numbers.

    `sums` (4,) float32 gets what turns bit counts into Σ q_t b_t: the least number, the step, the
    sum of all as rounded; and the query's length.
    """
    least, most, square = query[0], query[0], np.float32(0.0)
    for t in range(len(query)):
        least, most = min(least, query[t]), max(most, query[t])
        square += query[t] * query[t]
    step = (most - least) / _TOP
    planes[:] = 0
    total = np.float32(0.0)
    for t in range(len(query)):
        level = np.uint64(0)
        if step > 0:
            level = np.uint64(min(_TOP, max(np.float32(0.0), np.rint((query[t] - least) / step))))
        total += least + step * np.float32(level)
        for plane in range(_PLANES):
            one = (level >> np.uint64(plane)) & np.uint64(1)
            planes[plane, t >> 6] |= one << np.uint64(t & 63)
    sums[0], sums[1], sums[2], sums[3] = least, step, total, np.sqrt(square)


@kernel
def by_word(start: Any, bits: Any, out: Any) -> None:
    """Sketches `bits` (n, w) in the order of `indexes.generation.Lists`, into `out` (n · w,)."""
    width = bits.shape[1]
    for i in range(len(start) - 1):
        first, count = start[i], start[i + 1] - start[i]
        for w in range(width):
            for row in range(count):
                out[first * width + w * count + row] = bits[first + row, w]


@kernel
def bounds(
    bits: Any, factor: Any, spread: Any, first: Any, count: Any, planes: Any, sums: Any,
    slack: Any, sets: Any, out: Any,
) -> None:  # fmt: skip
    """By how much a list's rows may score above its centre, into `out`; `sets` is scratch.

    Rows are `first` … `first + count` - 1. The loops run over rows, so that they are vectorised.
    """
    width = planes.shape[1]
    sets[:count] = 0
    for w in range(width):
        base = first * width + w * count
        plane0, plane1, plane2, plane3 = planes[0, w], planes[1, w], planes[2, w], planes[3, w]
        for i in range(count):
            word = bits[base + i]
            levels = (
                count_ones(word & plane0)
                + (count_ones(word & plane1) << np.uint64(1))
                + (count_ones(word & plane2) << np.uint64(2))
                + (count_ones(word & plane3) << np.uint64(3))
            )
            sets[i] += count_ones(word) + (levels << np.uint64(32))
    least, step, total = np.float32(2.0) * sums[0], np.float32(2.0) * sums[1], sums[2]
    for i in range(count):
        ones = np.float32(np.int32(sets[i] & np.uint64(0xFFFFFFFF)))
        levels_ = np.float32(np.int32(sets[i] >> np.uint64(32)))
        inside = least * ones + step * levels_ - total
        out[i] = factor[first + i] * inside + slack * spread[first + i]


@kernel
def signed_sum(bits: Any, row: Any, planes: Any, sums: Any) -> Any:
    """Σ q_t b_t over a row's sketch."""
    ones, levels = np.uint64(0), np.uint64(0)
    for w in range(bits.shape[1]):
        word = bits[row, w]
        ones += count_ones(word)
        levels += (
            count_ones(word & planes[0, w])
            + (count_ones(word & planes[1, w]) << np.uint64(1))
            + (count_ones(word & planes[2, w]) << np.uint64(2))
            + (count_ones(word & planes[3, w]) << np.uint64(3))
        )
    inside = sums[0] * np.float32(ones) + sums[1] * np.float32(levels)
    return np.float32(2.0) * inside - sums[2]
