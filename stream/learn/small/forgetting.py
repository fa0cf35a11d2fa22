"""What the small learner forgets of labels whose meaning has changed, and takes back."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.former import ASIDE, ASKED, FORCE, NEW, choose, explained
from stream.learn.small import former, kept
from stream.learn.small.former import FORMER, GIVEN
from stream.learn.small.kept import Kept
from stream.learn.small.state import STORED, Small

BOOST = 15.0  # step size factor of a forgotten label, for experts that cannot start anew


def forget(s: Small, aside: Kept, slots: Any, values: int, dense: bool, look: bool = False) -> bool:
    """Forget labels as they were before their newest `values` exemplars.

    Older exemplars do not vote for them; those that have no other label are no neighbours any
    more, and the others are no neighbours by columns that are mostly the partition's. Such
    columns count as new ones: what they say has changed, and little is known of it. The labels'
    logistics start anew. The least squares share their covariance with all labels: they keep
    their weights and take longer steps, as after few events.

    All of it is put aside, and where an earlier state explains the newest exemplars, that one is
    taken back instead. Takes time in proportion to the window.

    Parameters
    ----------
    s
        The learner's state, changed in place.
    aside
        The weights put aside, changed in place, with room for as many as labels.
    slots
        (n,) int, the labels.
    values
        Exemplars to keep, at least 1.
    dense
        Whether rows are dense.
    look
        Whether to forget only where an earlier state is back.

    Returns
    -------
    bool
        Whether anything was changed.
    """
    slots = np.asarray(slots, np.int64)
    if look and not (s.memory.y[:, slots] >= FORMER).any():
        return False
    rows = former.read(s, dense)
    codes = s.memory.y[np.ix_(rows.ring, slots)]
    given = (codes == GIVEN) | (codes >= FORMER)
    own = given.any(axis=1)
    state = np.full(len(own), -1)
    state[own] = FORCE
    highest = np.where(codes >= FORMER, codes.astype(np.int64), 0).max(axis=1, initial=0)
    state[highest > 0] = highest[highest > 0] - FORMER + ASIDE
    new = np.flatnonzero(state == FORCE)[-values:]
    asked = new[-ASKED:]
    if not look:
        state[new] = NEW
    shares = explained(given, state, asked, former.weigher(s, rows, dense))
    back, put = choose(state, shares, -rows.number.astype(np.float64), look)
    if look and not back:
        return False
    state[new] = NEW
    code = put - ASIDE + FORMER
    living, there = np.flatnonzero(state == FORCE), np.flatnonzero(state == put)
    former.rewrite(s, rows.ring[there], slots, code, GIVEN if back else 0)
    former.rewrite(s, rows.ring[living], slots, GIVEN, code)
    if not dense:
        columns = former.theirs(rows, own, len(s.columns.df))
        _count_anew(s, rows, new, columns)
    former.screen(s, rows, np.concatenate([living, there]), columns if not dense else None, dense)
    first = rows.number[new[0]] if len(new) == values else 0
    s.memory.forget[slots] = -1 if back else first
    kept.swap(s, aside, slots, code, back > 0, int(s.sizes[STORED]))
    s.linear.wh[:, :, slots] = 0
    s.linear.gh[:, :, slots] = 0
    if not back:
        s.mixture.boost[slots] = BOOST
    return True


def _count_anew(s: Small, rows: former.Rows, new: Any, columns: Any) -> None:
    """Count events with these columns from the exemplars `new` on."""
    fresh = np.zeros(len(columns), np.uint32)
    n, column = rows.n[new], rows.column[new]
    np.add.at(fresh, column[np.arange(column.shape[1]) < n[:, None]], 1)
    s.columns.df[columns] = np.minimum(s.columns.df[columns], fresh[columns])
