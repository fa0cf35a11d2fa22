"""Rows as the small learner sees them: three representations over active columns.

A: values, unit length (sparse), or z-scores over √d (dense). B: idf-weighted unit length, or
z-scores of sign·log1p over √d. C (dense): one-hot of the exact value while a feature has few,
else of a bin of its scale.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.small.state import BINS, COLUMNS, DISTINCT, EVENTS, Columns


class Active(NamedTuple):
    """The active columns of one event; the first `m[0]` entries count."""

    m: Any
    column: Any
    a: Any
    b: Any
    c_column: Any
    c: Any
    bins: Any
    values: Any  # dense: the raw value of every column


def active(columns: int, dense: bool) -> Active:
    """Room for one event."""
    wide = columns if dense else 1
    return Active(
        np.zeros(1, np.int64),
        np.zeros(columns, np.int32),
        np.zeros(columns, np.float32),
        np.zeros(columns, np.float32),
        np.zeros(columns, np.int32),
        np.zeros(columns, np.float32),
        np.zeros(wide, np.uint8),
        np.zeros(wide, np.float32),
    )


@kernel
def intern(sizes: Any, columns: Columns, hashes: Any) -> bool:
    """Give every new feature a column; when all are taken, it shares one by its hash.

    Returns whether there was a new one.
    """
    before = sizes[COLUMNS]
    mask = len(columns.keys) - 1
    room = len(columns.df)
    for key in hashes:
        at = np.int64(key & np.uint64(mask))
        while columns.keys[at] != 0 and columns.keys[at] != key:
            at = (at + 1) & mask
        if columns.keys[at] == 0 and sizes[COLUMNS] < room:
            columns.keys[at] = key
            columns.where[at] = sizes[COLUMNS]
            sizes[COLUMNS] += 1
    return sizes[COLUMNS] > before


@kernel
def find(columns: Columns, key: Any, full: bool) -> Any:
    """The column of a feature, -1 when it has none."""
    mask = len(columns.keys) - 1
    at = np.int64(key & np.uint64(mask))
    while columns.keys[at] != 0:
        if columns.keys[at] == key:
            return np.int64(columns.where[at])
        at = (at + 1) & mask
    if full:
        return np.int64(key % np.uint64(len(columns.df)))
    return -1


@kernel
def unknown(columns: Columns, hashes: Any) -> Any:
    """Which features have no column, (n,) bool."""
    out = np.zeros(len(hashes), np.bool_)
    for j in range(len(hashes)):
        out[j] = find(columns, hashes[j], False) < 0
    return out


@kernel
def sparse(sizes: Any, columns: Columns, hashes: Any, raw: Any, terms: Any, out: Active) -> None:
    """Representations A and B of a sparse row, the idf as of now."""
    n = sizes[EVENTS]
    full = sizes[COLUMNS] >= len(columns.df)
    norm_a, norm_b = 0.0, 0.0
    m = 0
    for j in range(len(hashes)):
        col = find(columns, hashes[j], full)
        df = np.float64(columns.df[col]) if col >= 0 else 0.0
        a = np.float64(raw[j])  # squares of huge and tiny values leave float32
        b = terms[j] * (np.log((n + 2.0) / (df + 1.0)) + 0.1)
        norm_a += a * a
        norm_b += b * b
        if col >= 0 and m < len(out.column):
            out.column[m] = col
            out.c_column[m] = col
            out.a[m] = raw[j]
            out.b[m] = b
            m += 1
    scale_a = 1.0 / np.sqrt(norm_a) if norm_a > 0 else 0.0
    scale_b = 1.0 / np.sqrt(norm_b) if norm_b > 0 else 0.0
    for j in range(m):
        out.a[j] *= scale_a
        out.b[j] *= scale_b
        out.c[j] = out.b[j]
    out.m[0] = m


@kernel
def count_sparse(columns: Columns, active: Active) -> None:
    """Learn the document frequencies of a row."""
    for j in range(active.m[0]):
        columns.df[active.column[j]] += 1


@kernel
def scatter(sizes: Any, columns: Columns, hashes: Any, raw: Any, values: Any) -> None:
    """A dense row of values from named features; those without a column are left out."""
    values[:] = 0
    full = sizes[COLUMNS] >= len(columns.df)
    for j in range(len(hashes)):
        col = find(columns, hashes[j], full)
        if col >= 0:
            values[col] = raw[j]


@kernel
def damp(x: float) -> float:
    """sign·log1p of the absolute value."""
    return np.log1p(x) if x >= 0 else -np.log1p(-x)


@kernel
def dense(sizes: Any, columns: Columns, out: Active) -> None:
    """Representations A, B and C of the dense row in `out.values`, scaled as of now."""
    n = sizes[EVENTS]
    d = sizes[COLUMNS]
    root = 1.0 / np.sqrt(max(d, 1))
    for j in range(d):
        x = out.values[j]
        soft = damp(x)
        za = _score(x, columns.mean[j, 0], columns.m2[j, 0], n)
        zb = _score(soft, columns.mean[j, 1], columns.m2[j, 1], n)
        out.column[j] = j
        out.a[j] = za * root
        out.b[j] = zb * root
        place = _bin(columns, j, x, zb)
        out.bins[j] = place
        out.c_column[j] = j * BINS + place
        out.c[j] = root
    out.m[0] = d


@kernel
def _score(x: float, mean: float, m2: float, n: int) -> float:
    if n < 2 or m2 <= 0:
        return 0.0
    z = (x - mean) / np.sqrt(m2 / n)
    return min(5.0, max(-5.0, z))


@kernel
def _bin(columns: Columns, j: int, x: float, z: float) -> int:
    if columns.distinct[j] <= DISTINCT:
        for place in range(columns.distinct[j]):
            if columns.values[j, place] == x:
                return place
        if columns.distinct[j] < DISTINCT:
            return columns.distinct[j]
    if z < -0.4:
        low = 0 if z < -1.3 else (1 if z < -0.8 else 2)
        return DISTINCT + low
    if z < 0.2:
        return DISTINCT + (3 if z < -0.1 else 4)
    return DISTINCT + (5 if z < 0.6 else (6 if z < 1.2 else 7))


@kernel
def count_dense(sizes: Any, columns: Columns, active: Active) -> None:
    """Learn the scales of a row (Welford), and its exact values while they are few."""
    n = sizes[EVENTS] + 1
    for j in range(sizes[COLUMNS]):
        x = active.values[j]
        soft = damp(x)
        for which in range(2):
            value = x if which == 0 else soft
            delta = value - columns.mean[j, which]
            columns.mean[j, which] += delta / n
            columns.m2[j, which] += delta * (value - columns.mean[j, which])
        if columns.distinct[j] <= DISTINCT:
            known = False
            for place in range(min(columns.distinct[j], DISTINCT)):
                if columns.values[j, place] == x:
                    known = True
            if not known:
                if columns.distinct[j] < DISTINCT:
                    columns.values[j, columns.distinct[j]] = x
                columns.distinct[j] += 1
