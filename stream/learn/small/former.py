"""Exemplars of a partition in the small learner: read, put aside and taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.former import cosines
from stream.learn.small import neighbours
from stream.learn.small.state import COLUMNS, STORED, WINDOW, Small

# what `memory.y` says of an exemplar and a label, beside 0 for not given
GIVEN, UNKNOWN = 1, 2
HIDDEN = 3  # not given, in a state that is put aside
FORMER = 4  # and the numbers above it: given in such a state
_AWAY = 1 << 40  # less by this, the number of an exemplar is nobody's neighbour
_FAR = 1e30  # squared length of such a dense row
_NOWHERE = 128  # what is added to its bins, so that no value has them
_TERMS = 256  # of an exemplar that are read


class Rows(NamedTuple):
    """Exemplars of the window as they are stored, oldest first."""

    number: Any  # (n,) int64
    ring: Any  # (n,) int64, their places
    n: Any  # (n,) terms of each, none of dense rows
    column: Any  # (n, _TERMS) int32
    weight: Any  # (n, _TERMS)


def read(s: Small, dense: bool) -> Rows:
    """All exemplars of the window."""
    stored = int(s.sizes[STORED])
    number = np.arange(max(stored - WINDOW, 0), stored)
    width = 0 if dense else _TERMS
    shape = len(number), width
    rows = Rows(
        number, number % WINDOW, np.zeros(len(number), np.int64), np.zeros(shape, np.int32),
        np.zeros(shape, np.float32),
    )  # fmt: skip
    if width and len(number):
        _gather(s.memory.seq[: s.sizes[COLUMNS]], s.memory.weight, s.memory.posted, rows)
    return rows


@kernel
def _gather(seq: Any, weight: Any, posted: Any, rows: Rows) -> None:
    oldest = rows.number[0]
    for column in range(seq.shape[0]):
        for at in range(min(posted[column], seq.shape[1])):
            number = seq[column, at]
            if number < 0:
                number += _AWAY
            k = number - oldest
            if k >= 0 and rows.n[k] < rows.column.shape[1]:
                rows.column[k, rows.n[k]] = column
                rows.weight[k, rows.n[k]] = weight[column, at]
                rows.n[k] += 1


def weigher(s: Small, rows: Rows, dense: bool) -> Callable[[int], Any]:
    """The weights that all exemplars have in the vote for one of them, as in `votes`."""
    similar = np.zeros(len(rows.number))
    buffer = np.zeros(0 if dense else len(s.memory.seq), np.float32)
    values = neighbours.rows_kept(s.sizes, s.memory, rows.ring)

    def weigh(at: int) -> Any:
        if dense:
            away = values - values[at]
            return np.exp(-4.0 * np.sqrt(np.square(away).sum(axis=1, dtype=np.float64)))
        cosines(rows.n, rows.column, rows.weight, at, buffer, similar)
        return np.exp(8.0 * similar)

    return weigh


def rewrite(s: Small, ring: Any, slots: Any, old: int, new: int) -> None:
    """Turn what was given in a state into what is given in another one."""
    where = np.ix_(ring, slots)
    codes = s.memory.y[where]
    given, rest = codes == old, (codes == 0) | (codes == HIDDEN)
    codes[given] = new
    codes[rest] = HIDDEN if new >= FORMER else 0
    s.memory.y[where] = codes


def theirs(rows: Rows, own: Any, columns: int) -> Any:
    """(columns,) bool, those that no more than half as many others have as exemplars `own`."""
    count = np.zeros((2, columns), np.int64)
    for which, some in enumerate((own, ~own)):
        n, column = rows.n[some], rows.column[some]
        np.add.at(count[which], column[np.arange(column.shape[1]) < n[:, None]], 1)
    return count[0] > 2 * count[1]


def screen(s: Small, rows: Rows, changed: Any, columns: Any, dense: bool) -> None:
    """Hide from searches what is put aside, and show what is not.

    An exemplar that has labels of others too is hidden in the partition's own columns alone. Its
    label set is no candidate any more, and its labels are as if not looked for.
    """
    if len(changed) == 0:
        return
    ring = rows.ring[changed]
    y = s.memory.y[ring]
    aside = (y >= HIDDEN).any(axis=1)
    dead = aside & ~(y == GIVEN).any(axis=1)
    s.memory.partial[ring] = (y >= UNKNOWN).any(axis=1)
    n = s.sets.n[ring]
    n = np.where(n < -1, -2 - n, n)
    s.sets.n[ring] = np.where(aside & (n >= 0), -2 - n, n)
    if dense:
        square = np.square(neighbours.rows_kept(s.sizes, s.memory, ring)).sum(axis=1)
        s.memory.norm[ring] = np.where(dead, _FAR, square)
        bins = s.memory.bins[:, ring] % _NOWHERE
        s.memory.bins[:, ring] = np.where(dead, bins + _NOWHERE, bins)
        return
    how = np.zeros(len(rows.number), np.int64)
    how[changed] = 1 + aside.astype(np.int64) + dead
    _flag(s.memory.seq[: s.sizes[COLUMNS]], s.memory.posted, rows.number[0], how, columns)


@kernel
def _flag(seq: Any, posted: Any, oldest: int, how: Any, columns: Any) -> None:
    """Hide postings of an exemplar: `how` 1 none, 2 those in `columns`, 3 all; 0 leaves them."""
    for column in range(seq.shape[0]):
        for at in range(min(posted[column], seq.shape[1])):
            number = seq[column, at]
            if number < 0:
                number += _AWAY
            if number < oldest or how[number - oldest] == 0:
                continue
            hide = how[number - oldest] == 3 or (how[number - oldest] == 2 and columns[column])
            seq[column, at] = number - _AWAY if hide else number
