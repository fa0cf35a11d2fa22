"""A row as a short unit vector: features weighed online, then hashed with signs.

Rare features weigh by idf, and less the less often they were seen, so that a word seen once does
not outweigh the rest of a text. What is there in more than half of the events (the columns of
tables, the coordinates of vectors) is centred and scaled instead. The sketch is the sparse random
projection of Weinberger et al., "Feature hashing for large scale multitask learning" (2009): at
2,048 coordinates its noise is a third of a dense projection's to 256, and it costs one addition a
feature. Of its coordinates those are kept that are at least the root of their mean square: a third
of them, with most of the length.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.discovery.state import TERMS, WIDTH

MOST = 1_024  # features taken of a row, about; the same ones of all long rows
_RARE = 8.0  # events with a feature at which it has half of its weight
_COMMON = 0.5  # share of events from which a feature is centred and scaled
_HALVED = 1 << 17  # events after which the table's counts are halved
_KEPT = 10_000.0  # events that means and variances look back
_LIMIT = np.float32(1e6)
_FAR = 4.0  # standard deviations
_LN2 = 0.6931471805599453
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


class Room(NamedTuple):
    """What an event needs while it is looked at."""

    dense: Any  # (WIDTH,) float32, zero between events
    at: Any  # (WIDTH,) int32 the coordinates that are not zero
    value: Any  # (WIDTH,) float32
    dots: Any  # (CLUSTERS,) float32


def keys(width: int) -> Any:
    """(width,) uint64, what stands for the hashes of a dense row's coordinates."""
    places = np.arange(width, dtype=np.uint64)
    return places | places << np.uint64(20)


@kernel
def weigh(table: Any, total: float, key: Any, term: float) -> float:
    """The weight of a feature of this value, by the events before."""
    count, mean, spread = table[np.int64(key & np.uint64(TERMS - 1))]
    if count <= _COMMON * total:
        return term * np.log((total + 1.0) / (count + 1.0)) ** 2 * count / (count + _RARE)
    if spread <= 1e-12 + 1e-8 * mean * mean:
        return 0.0
    return _LN2 * _LN2 * min(max((term - mean) / np.sqrt(spread), -_FAR), _FAR)


@kernel
def weights(table: Any, total: float, keys: Any, terms: Any) -> Any:
    """(n,) float32, the weights of a row's features."""
    out = np.empty(len(keys), np.float32)
    for j in range(len(keys)):
        out[j] = weigh(table, total, keys[j], terms[j])
    return out


@kernel
def sketch(table: Any, total: float, keys: Any, terms: Any, t: Room) -> int:
    """The unit vector of a row into `t.at` and `t.value`; returns how many coordinates it has."""
    n = 0
    size = 0.0
    for j in range(len(keys)):
        if skipped(keys[j], len(keys)):
            continue
        value = weigh(table, total, keys[j], min(max(terms[j], -_LIMIT), _LIMIT))
        if value == 0.0:
            continue
        place = np.int64((keys[j] >> np.uint64(20)) & np.uint64(WIDTH - 1))
        if (keys[j] >> np.uint64(50)) & np.uint64(1) > 0:
            value = -value
        if t.dense[place] == 0.0:
            t.at[n] = place
            n += 1
        t.dense[place] += np.float32(value)
        if t.dense[place] == 0.0:  # so that no coordinate is listed twice
            t.dense[place] = np.float32(1e-9)
    for j in range(n):
        value = np.float64(t.dense[t.at[j]])
        size += value * value
    least, kept, left = np.sqrt(size / max(n, 1)), 0, 0.0
    for j in range(n):
        place, value = t.at[j], t.dense[t.at[j]]
        t.dense[place] = 0.0
        if abs(value) >= least:
            t.at[kept], t.value[kept] = place, value
            kept += 1
            left += np.float64(value) * np.float64(value)
    for j in range(kept):
        t.value[j] = np.float32(t.value[j] / np.sqrt(left))
    return kept


@kernel
def count(table: Any, total: Any, keys: Any, terms: Any, times: Any) -> None:
    """Add a row to the table, so many times."""
    for j in range(len(keys)):
        if skipped(keys[j], len(keys)):
            continue
        slot = np.int64(keys[j] & np.uint64(TERMS - 1))
        value = np.float64(min(max(terms[j], -_LIMIT), _LIMIT))
        table[slot, 0] += times
        pace = 1.0 / min(np.float64(table[slot, 0]), _KEPT)
        apart = value - table[slot, 1]
        table[slot, 1] += np.float32(pace * apart)
        change = apart * (value - table[slot, 1]) - table[slot, 2]
        table[slot, 2] += np.float32(pace * change)
    total[0] += times
    if total[0] >= _HALVED:
        total[0] /= 2
        for place in range(TERMS):
            table[place, 0] *= np.float32(0.5)


@kernel
def skipped(key: Any, n: int) -> bool:
    """Whether a feature is left out of a row of n: the same ones of any rows as long."""
    if n <= MOST:
        return False
    spread = ((key ^ (key >> np.uint64(29))) * _SPREAD) >> np.uint64(48)
    return bool(np.int64(spread) * n >= MOST << 16)


@kernel
def fingerprint(keys: Any, bits: Any) -> Any:
    """A hash of a row, equal for equal rows; `bits` are its values as uint32."""
    found = np.uint64(len(keys)) * _SPREAD
    for j in range(len(keys)):
        found = (found ^ keys[j] ^ (np.uint64(bits[j]) << np.uint64(17))) * _SPREAD
        found ^= found >> np.uint64(32)
    return found
