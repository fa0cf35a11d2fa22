"""What the extreme learner forgets of labels whose meaning has changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.extreme import former, linear
from stream.learn.extreme.former import Rows
from stream.learn.extreme.state import STORED, Extreme
from stream.learn.former import ASIDE, ASKED, FORCE, NEW, choose, cosines, explained
from stream.learn.odds import sigmoid

BOOST = 3.0  # step size factor of a forgotten label


def forget(s: Extreme, slots: Any, values: int, look: bool = False) -> bool:
    """Forget labels as they were before their newest `values` exemplars.

    Older exemplars do not vote for them; those that have no other label are no neighbours any
    more, and the others are no neighbours by terms that are mostly the partition's. Such terms
    count as new ones: what they say has changed, and little is known of it. The centroids of the
    labels start anew from the exemplars kept, and so does the linear expert where a term is
    mostly theirs: what it knows of others' terms keeps them out of others' events.

    The exemplars are put aside, and where those of an earlier state explain the newest ones,
    they are taken back and taught as well. Takes time in proportion to the memory.

    Parameters
    ----------
    s
        The learner's state, changed in place.
    slots
        (n,) int, the labels.
    values
        Exemplars to keep, at least 1.
    look
        Whether to forget only where an earlier state is back.

    Returns
    -------
    bool
        Whether anything was changed.
    """
    slots = np.asarray(slots, np.int32)
    alarmed = np.zeros(len(s.labels.count), np.bool_)
    alarmed[slots] = True
    dense = s.exemplars.vector.shape[1] > 1
    room = len(s.exemplars.vector) if dense else len(s.exemplars.n)
    rows = former.find(s, alarmed)
    if look and not (rows.state > 0).any():
        return False
    if dense:
        former.read_dense(s, rows)
        terms = own = np.arange(s.exemplars.vector.shape[1])
    else:
        terms, own = former.read(s, rows, room)
    state = np.where(rows.state > 0, rows.state + ASIDE - 1, FORCE)
    new = np.flatnonzero(rows.state == 0)[:values]
    if not look:
        state[new] = NEW
    shares = _shares(s, rows, slots, state, new[:ASKED])
    back, put = choose(state, shares, np.arange(len(state), dtype=np.float64), look)
    if look and not back:
        return False
    state[new] = NEW
    there, living = rows.place[state == put], rows.place[state == FORCE]
    former.rewrite(s.exemplars, there, alarmed, -1 if back else former.GONE)
    former.rewrite(s.exemplars, living, alarmed, put - ASIDE)
    how = np.zeros(room, np.uint8)
    former.visibility(s.exemplars, np.concatenate((there, living)), how)
    if dense:
        former.screen_dense(s, how)
    else:
        former.screen(s, own, terms, how)
        _count_anew(s, rows, new, own)
    first = 0
    if len(new) == values:
        last = int(s.sizes[STORED]) - 1
        first = last - (last - int(rows.place[new[-1]])) % room
    s.labels.forget[slots] = -1 if back else first
    _clear(s.table, slots, own, (0, 1))
    _clear(s.table, slots, terms, (2, 2))
    s.labels.norm[slots] = 0
    s.labels.shown[slots] = 0
    s.labels.hit[slots] = 0
    boost = 2.0 if back else BOOST
    s.labels.boost[slots] = boost
    taught = np.flatnonzero((state == NEW) | ((state == put) & (back > 0)))
    _teach(s, slots, rows, taught[taught < len(rows.n)], own, boost)
    return True


def _shares(s: Extreme, rows: Rows, slots: Any, state: Any, asked: Any) -> Any:
    """How well each state explains the exemplars asked."""
    k = len(rows.n)
    rank = np.full(len(s.labels.count), -1, np.int64)
    rank[slots] = np.arange(len(slots))
    given = np.zeros((k, len(slots)), np.bool_)
    former.given(s.exemplars, rows.place, rank, given)
    buffer = np.zeros(max(len(s.terms.df), s.exemplars.vector.shape[1]), np.float32)
    similar = np.zeros(k)

    def weigh(at: int) -> Any:
        cosines(rows.n, rows.slot, rows.weight, at, buffer, similar)
        return np.maximum(similar, 0) ** 3

    return explained(given, state[:k], asked[asked < k], weigh)


def _count_anew(s: Extreme, rows: Rows, new: Any, terms: Any) -> None:
    """Count events with these terms from the exemplars `new` on."""
    fresh = np.zeros(len(s.terms.df), np.uint32)
    for k in new[new < len(rows.n)]:
        fresh[rows.slot[k, : rows.n[k]]] += np.uint32(1)
    s.terms.df[terms] = np.minimum(s.terms.df[terms], fresh[terms])


@kernel
def _teach(s: Extreme, slots: Any, rows: Rows, order: Any, own: Any, boost: float) -> None:
    """Teach exemplars again, oldest first, to the centroids and of `own` terms the linear expert.

    Of others' terms these exemplars alone would teach it that they speak for the partition.
    """
    theirs = np.zeros(max(len(s.terms.df), s.exemplars.vector.shape[1]), np.bool_)
    theirs[own] = True
    pair = np.zeros(2, np.float32)
    for back in range(len(order)):
        k = order[len(order) - 1 - back]
        n = rows.n[k]
        strongest = np.argsort(-np.abs(rows.weight[k, :n]), kind="mergesort")
        slot, weight = rows.slot[k, :n][strongest], rows.weight[k, :n][strongest]
        mine = theirs[slot]
        own_slot, own_weight = slot[mine], weight[mine]
        at = rows.place[k]
        truth = s.exemplars.label[at, : s.exemplars.n[at]]
        for label in slots:
            y = 0.0
            for other in truth:
                if other == label:
                    y = 1.0
            m = len(own_slot)
            linear.score(s.table, label, own_slot, own_weight, m, pair)
            residual = sigmoid(pair[0] - 2.0) - y
            linear.descend(s.table, label, own_slot, own_weight, m, residual, boost)
            if y > 0:
                s.labels.norm[label] += linear.move(s.table, label, slot, weight, n)


@kernel
def _clear(table: Any, slots: Any, terms: Any, columns: Any) -> None:
    """Zero two columns of all pairs."""
    mask = len(table) - 1
    for label in slots:
        for term in terms:
            at = linear.place(label, term, mask)
            table[at, columns[0]] = 0
            table[at, columns[1]] = 0
