"""The hashed linear expert and the label centroids, side by side in one table.

A slot of 16 bytes holds the weight of a (label, term) pair, its AdaGrad accumulator, and the
pair's part of the label's centroid sum, so that one cache line serves both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.extreme.state import TERMS

RATE = 0.3
_START = 0.1
_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xC2B2AE3D27D4EB4F)


@kernel
def place(label: int, term: int, mask: int) -> Any:
    """The slot of a pair."""
    key = (np.uint64(label) + np.uint64(1)) * _B ^ (np.uint64(term) + np.uint64(1)) * _A
    return _mixed(key, np.uint64(mask))


@kernel
def _mixed(key: Any, mask: Any) -> Any:
    key ^= key >> np.uint64(29)
    key *= _A
    key ^= key >> np.uint64(32)
    return np.int64(key & mask)


@kernel
def scores(table: Any, labels: Any, m: int, slot: Any, weight: Any, n: int, out: Any) -> None:
    """`score` of the first m of `labels`, into the rows of `out`."""
    mask = np.uint64(len(table) - 1)
    n = min(n, TERMS)
    term = np.empty(TERMS, np.uint64)
    for j in range(n):
        term[j] = (np.uint64(slot[j]) + np.uint64(1)) * _A
    for i in range(m):
        own = (np.uint64(labels[i]) + np.uint64(1)) * _B
        linear, centroid = np.float32(0), np.float32(0)
        for j in range(n):
            at = _mixed(own ^ term[j], mask)
            linear += weight[j] * table[at, 0]
            centroid += weight[j] * table[at, 2]
        out[i, 0] = linear
        out[i, 1] = centroid


@kernel
def score(table: Any, label: int, slot: Any, weight: Any, n: int, out: Any) -> None:
    """out[0] is the linear score, out[1] the product with the centroid sum."""
    mask = len(table) - 1
    linear, centroid = np.float32(0), np.float32(0)
    for j in range(min(n, TERMS)):
        at = place(label, slot[j], mask)
        linear += weight[j] * table[at, 0]
        centroid += weight[j] * table[at, 2]
    out[0] = linear
    out[1] = centroid


@kernel
def descend(
    table: Any, label: int, slot: Any, weight: Any, n: int, residual: float, boost: float
) -> None:
    """An AdaGrad step of one label; steps too small to matter are left out."""
    mask = len(table) - 1
    for j in range(min(n, TERMS)):
        step = residual * weight[j]
        if abs(step) < 1e-3:
            continue
        at = place(label, slot[j], mask)
        table[at, 1] += step * step
        table[at, 0] -= RATE * boost * step / np.sqrt(_START + table[at, 1])


@kernel
def move(table: Any, label: int, slot: Any, weight: Any, n: int) -> float:
    """Add a positive to the centroid sum; returns the change of its squared norm."""
    mask = len(table) - 1
    change = 0.0
    for j in range(min(n, TERMS)):
        at = place(label, slot[j], mask)
        step = weight[j]
        change += step * (2 * table[at, 2] + step)
        table[at, 2] += step
    return change
