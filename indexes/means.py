"""The kernels of `Prototypes`: decayed means at float16, and how far each has turned."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes._jit import kernel
from indexes.base import DimensionMismatch
from indexes.half import from_half, to_half

_BLOCK = 8  # a power of two
_ANYWHERE = np.float32(np.pi)


class Means(NamedTuple):
    """A row a label.

    `means` (n, d) uint16, the bits of float16; `weights` (n,) float32; `touched` (n,) uint32,
    when it was last taught, in blocks of 256 positives; `turned` (n,) float32, the angle, in
    radians, that its
    mean has turned since it was last drained, at most; `dirty` (n,) uint8.
    """

    means: Any
    weights: Any
    touched: Any
    turned: Any
    dirty: Any


@kernel
def learn(
    m: Any, slots: Any, ids: Any, rows: Any, window: Any, taught: Any, least: Any, order: Any
) -> Any:
    """Move each slot's mean by 1 / its weight, one after another; one row may serve all slots.

    Ids whose mean has turned by `least` radians by now, and that were not dirty, go to `order`;
    returns how many they are.
    """
    means, weights, touched, turned, dirty = m.means, m.weights, m.touched, m.turned, m.dirty
    many, width, count = len(rows) > 1, means.shape[1], 0
    for i in range(len(slots)):
        slot = slots[i]
        row = i if many else 0
        weight = min(weights[slot] + np.float32(1.0), window)
        step = np.float32(1.0) / np.float32(weight)
        along, own, given = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for t in range(width):
            old = from_half(means[slot, t])
            along += rows[row, t] * old
            own += old * old
            given += rows[row, t] * rows[row, t]
            means[slot, t] = to_half(old + step * (rows[row, t] - old))
        turned[slot] += _angle(along, own, given, step)
        weights[slot] = weight
        touched[slot] = (taught + i) >> _BLOCK
        if not dirty[slot] and turned[slot] >= least:
            dirty[slot] = 1
            order[count] = ids[i]
            count += 1
    return count


@kernel
def _angle(along: Any, own: Any, given: Any, step: Any) -> Any:
    """By how much a mean turns; `own` and `given` are squared lengths, `along` the product."""
    if not own > 0:
        return _ANYWHERE
    side = max(np.float32(0.0), given - along * along / own)
    ahead = own + step * (along - own)  # times the length of the mean
    return np.arctan2(step * np.sqrt(side) * np.sqrt(own), ahead)


@kernel
def unit(means: Any, slots: Any, out: Any) -> None:
    """Copy rows at length 1; a slot of -1, or a mean of zero, gives zeros."""
    for i in range(len(slots)):
        slot = slots[i]
        if slot < 0:
            continue
        square = np.float32(0.0)
        for t in range(means.shape[1]):
            value = from_half(means[slot, t])
            square += value * value
        if square > 0.0:
            scale = np.float32(1.0) / np.sqrt(square)
            for t in range(means.shape[1]):
                out[i, t] = from_half(means[slot, t]) * scale


def room(labels: int, dimension: int) -> Means:
    """So many rows, of zeros; a new one has turned anywhere."""
    return Means(
        np.zeros((labels, dimension), np.uint16), np.zeros(labels, np.float32),
        np.zeros(labels, np.uint32), np.full(labels, _ANYWHERE, np.float32),
        np.zeros(labels, np.uint8),
    )  # fmt: skip


def put(to: Means, rows: Any, from_: Means, others: Any) -> None:
    """Copy rows `others` of `from_` to `rows` of `to`."""
    for target, source in zip(to, from_, strict=True):
        target[rows] = source[others]


def row_bytes(dimension: int) -> int:
    """Bytes of a row."""
    return 2 * dimension + 13


@kernel
def _finite(bits: Any) -> Any:
    """Whether no float16 is infinite or NaN: those have every bit of the exponent."""
    worst = np.uint16(0)
    for i in range(len(bits)):
        worst = max(worst, bits[i] & np.uint16(0x7C00))
    return worst < 0x7C00


def halves(means: NDArray[np.float16], labels: int, dimension: int) -> NDArray[np.uint16]:
    """The bits of float16 numbers.

    Raises
    ------
    DimensionMismatch
        They are not (labels, dimension).
    ValueError
        One is not finite.
    """
    if means.shape != (labels, dimension):
        raise DimensionMismatch(f"vectors must be {(labels, dimension)}, not {means.shape}")
    bits = np.ascontiguousarray(means, np.float16).view(np.uint16)
    if not _finite(bits.reshape(-1)):
        raise ValueError("vectors must be finite")
    return bits
