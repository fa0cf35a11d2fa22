"""A generation: vectors in lists around centres, as plain arrays that never change once made."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes._jit import kernel
from indexes.base import Int64
from indexes.coarse import Centres
from indexes.sketch import by_word, sketch, words


class Lists(NamedTuple):
    """Rows `start[i]` … `start[i + 1]` - 1 belong to list i.

    `start` (m + 1,) int64, `ids` (n,) int64, `high` and `low` (n, d) int8 and `scale` (n,)
    float32 as in `indexes.codes`, `bits` (n · w,) uint64 and `factor` and `spread` (n,) float32 as
    in `indexes.sketch`; of each list's bits the first words of all rows come first.
    """

    start: Any
    ids: Any
    high: Any
    low: Any
    scale: Any
    bits: Any
    factor: Any
    spread: Any


class Delta(NamedTuple):
    """What changed since a generation was made.

    Rows as in `Lists`, but for `bits` (n, w) and `facts` (n, 2), factor and spread. They are in
    the order in which they came, and only ever added to; list i begins at row `head[i]` and goes
    on at `following[row]`, to -1. `dead` (n,) uint8 marks rows that a later one replaced;
    `hidden` has a bit for each row of the generation that was replaced or removed.
    """

    ids: Any
    high: Any
    low: Any
    scale: Any
    bits: Any
    facts: Any
    lists: Any
    following: Any
    head: Any
    dead: Any
    hidden: Any


class View(NamedTuple):
    """What a search reads."""

    centres: Centres
    rows: Lists
    delta: Delta


def nothing(lists: int, width: int) -> Lists:
    """A generation without rows."""
    return _room(lists, 0, width)


def _room(lists: int, count: int, width: int) -> Lists:
    return Lists(
        start=np.zeros(lists + 1, np.int64), ids=np.empty(count, np.int64),
        high=np.empty((count, width), np.int8), low=np.empty((count, width), np.int8),
        scale=np.empty(count, np.float32), bits=np.empty(count * words(width), np.uint64),
        factor=np.empty(count, np.float32), spread=np.empty(count, np.float32),
    )  # fmt: skip


@kernel
def is_hidden(hidden: Any, row: Any) -> Any:
    """Whether a row's bit is set."""
    return (hidden[row >> 3] >> np.uint8(row & 7)) & np.uint8(1)


@kernel
def _live(rows: Any, delta: Any, used: Any, from_: Any) -> Any:
    """Rows that are live, generation first, then the delta's, into `from_`; their number."""
    count = 0
    for row in range(len(rows.ids)):
        if not is_hidden(delta.hidden, row):
            from_[count] = row
            count += 1
    for row in range(used):
        if not delta.dead[row]:
            from_[count] = len(rows.ids) + row
            count += 1
    return count


@kernel
def _lists(rows: Any, delta: Any, from_: Any, out: Any) -> None:
    """The list of each live row; `from_` rises, so one pass over the generation does."""
    at, before = 0, len(rows.ids)
    for i in range(len(from_)):
        row = from_[i]
        if row >= before:
            out[i] = delta.lists[row - before]
        else:
            while rows.start[at + 1] <= row:
                at += 1
            out[i] = at


@kernel
def _fill(rows: Any, delta: Any, from_: Any, lists: Any, out: Any) -> None:
    """Write the live rows in the order of their lists; `out.start` is filled too."""
    for i in range(len(lists)):
        out.start[lists[i] + 1] += 1
    for i in range(len(out.start) - 1):
        out.start[i + 1] += out.start[i]
    cursor = out.start[:-1].copy()
    before = len(rows.ids)
    ids, high, low, scale = out.ids, out.high, out.low, out.scale
    ids1, high1, low1, scale1 = rows.ids, rows.high, rows.low, rows.scale
    ids2, high2, low2, scale2 = delta.ids, delta.high, delta.low, delta.scale
    for i in range(len(from_)):
        to = cursor[lists[i]]
        cursor[lists[i]] += 1
        row = from_[i]
        if row < before:
            ids[to], scale[to], high[to], low[to] = ids1[row], scale1[row], high1[row], low1[row]
        else:
            row -= before
            ids[to], scale[to], high[to], low[to] = ids2[row], scale2[row], high2[row], low2[row]


def live(view: View) -> Int64:
    """(n,) int64: the live rows; those of the delta are numbered after the generation's."""
    used = len(view.delta.ids)
    out = np.empty(len(view.rows.ids) + used, np.int64)
    return out[: _live(view.rows, view.delta, used, out)]


def lists_of_live(view: View, rows: Int64) -> NDArray[np.int32]:
    """(n,) int32: the lists that `rows`, from `live`, are in."""
    out = np.empty(len(rows), np.int32)
    _lists(view.rows, view.delta, rows, out)
    return out


def packed(view: View, rows: Int64, lists: NDArray[np.int32], centres: Centres) -> Lists:
    """A new generation: `rows`, from `live`, each in its list."""
    out = _room(len(centres.centres), len(rows), view.rows.high.shape[1])
    _fill(view.rows, view.delta, rows, lists, out)
    owner = np.repeat(np.arange(len(out.start) - 1, dtype=np.int32), np.diff(out.start))
    bits = np.empty((len(rows), words(out.high.shape[1])), np.uint64)
    facts = np.empty((len(rows), 2), np.float32)
    sketch(out.high, out.low, out.scale, owner, centres.centres, bits, facts)
    out.factor[:], out.spread[:] = facts[:, 0], facts[:, 1]
    by_word(out.start, bits, out.bits)
    return out
