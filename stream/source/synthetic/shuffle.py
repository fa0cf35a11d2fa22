"""A seeded permutation of 0 … n-1 that is computed where it is asked for, never stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.types import Int64

UInt64 = NDArray[np.uint64]
_ROUNDS = 4


def scatter(values: UInt64 | Int64, seed: int) -> UInt64:
    """Pseudo-random bits of values and a seed (two rounds of splitmix64's finaliser)."""
    x = np.asarray(values).astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    for _ in range(2):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x


def shuffled(places: Int64, n: int, seed: int) -> Int64:
    """Where a permutation of 0 … n-1 sends `places`.

    A Feistel network permutes the next power of four; what falls beyond n walks on until it is
    inside (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).

    Examples
    --------
    >>> sorted(shuffled(np.arange(10), 10, seed=3).tolist()) == list(range(10))
    True
    """
    half = np.uint64(max(1, (max(n - 1, 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    out = np.asarray(places).astype(np.uint64)
    walking = np.ones(out.shape, np.bool_)
    while walking.any():
        left, right = out[walking] >> half, out[walking] & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (scatter(right, seed * _ROUNDS + turn) & mask)
        out[walking] = (left << half) | right
        walking = out >= n
    return out.astype(np.int64)
