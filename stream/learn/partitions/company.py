"""Rows of company: which labels have one, and who gives way when there are no more."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.errors import SettingError
from stream.jit import kernel
from stream.learn.arrays import nbytes
from stream.learn.partitions.state import (
    EVENTS,
    EVICTED,
    LABEL_SPECS,
    MAPPED,
    TAKEN,
    Partitions,
)

LEAST = 64  # rows: those of an event's labels, and as many again
_ASKED = 16  # rows of which the least useful gives way
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def rows_in(budget: int) -> int:
    """The largest power of two of rows that fits into `budget` bytes.

    Raises
    ------
    SettingError
        Fewer than LEAST fit.
    """
    each = row_bytes()
    fit = budget // each
    if fit < LEAST:
        least = LEAST * each
        raise SettingError("learn.cooccurrence_bytes", budget, f"write at least {least:_}")
    return 1 << (fit.bit_length() - 1)


def row_bytes() -> int:
    """Bytes of a row."""
    return nbytes(LABEL_SPECS, {"company": 1, "labels": 0})


@kernel
def row_of(p: Partitions, label: int) -> Any:
    """The row of a label's company, -1 for none.

    Kernels have this written out: a call copies all that `p` holds.
    """
    return p.labels.seat[label, 0] if p.sizes[MAPPED] else label


def number(state: Partitions, rows: int) -> None:
    """From now on labels have the rows that they are given; the first `rows` have their own."""
    state.labels.seat[:rows] = np.arange(rows)[:, None]
    state.sizes[TAKEN] = rows
    state.sizes[MAPPED] = 1


@kernel
def seat(p: Partitions, label: int) -> int:
    """Give a label a row: a free one, or that of a label that is met less often; -1 for none.

    The one to give way is the least of a sample, drawn by a hash of event and label, so that
    the cost does not grow with the number of rows.
    """
    state = p.labels
    rows = len(state.co)
    row: Any = -1
    if p.sizes[TAKEN] < rows:
        row = p.sizes[TAKEN]
        p.sizes[TAKEN] += 1
    else:
        key = (np.uint64(label) * np.uint64(1_000_003) ^ np.uint64(p.sizes[EVENTS])) * _GOLDEN
        rate = state.rate[label]
        for _ in range(_ASKED):
            key = (key ^ (key >> np.uint64(31))) * _GOLDEN
            at = np.int64((key >> np.uint64(11)) % np.uint64(rows))
            other = state.rate[state.seat[at, 1]]
            if other < rate:
                row, rate = at, other
        p.sizes[EVICTED] += 1
        if row < 0:
            return -1
        state.seat[state.seat[row, 1], 0] = -1
        state.co[row, :] = -1
        state.w[row, :] = 0
    state.seat[row, 1] = label
    state.seat[label, 0] = row
    state.n[label] = 0  # counted beside the row from now on
    return row
