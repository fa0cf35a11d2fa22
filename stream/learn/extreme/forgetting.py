"""What the extreme learner forgets of labels whose meaning has changed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.learn.extreme import linear
from stream.learn.extreme.state import INSERT, STORED, Exemplars, Extreme
from stream.learn.jit import kernel
from stream.learn.odds import sigmoid

BOOST = 2.0  # step size factor of a forgotten label
NOBODY, DEAD = -1, -2


class Rows(NamedTuple):
    """Exemplars as they were stored, newest first: (k,) counts, (k, INSERT) terms, weights."""

    n: Any
    slot: Any
    weight: Any


def forget(s: Extreme, slots: Any, values: int) -> None:
    """Forget labels as they were before their newest `values` exemplars.

    Older exemplars do not vote for them, and those that have no other label are no neighbours
    any more. The centroids of the labels start anew from the exemplars kept, and so does the
    linear expert where a term is mostly theirs: what it knows of others' terms keeps them out of
    others' events. Takes time in proportion to the memory.

    Parameters
    ----------
    s
        The learner's state, changed in place.
    slots
        (n,) int, the labels.
    values
        Exemplars to keep, at least 1.
    """
    alarmed = np.zeros(len(s.labels.count), np.bool_)
    alarmed[slots] = True
    slots = np.asarray(slots, np.int32)
    dense = s.exemplars.vector.shape[1] > 1
    room = len(s.exemplars.vector) if dense else len(s.exemplars.n)
    rank = np.full(room, NOBODY, np.int64)
    since = _rank(int(s.sizes[STORED]), s.exemplars, alarmed, values, rank)
    s.labels.forget[slots] = since
    kept = int(min(values, rank.max(initial=-1) + 1))
    rows = Rows(np.zeros(kept, np.int64), np.zeros((kept, INSERT), np.int64),
                np.zeros((kept, INSERT), np.float32))  # fmt: skip
    if dense:
        terms = np.arange(s.exemplars.vector.shape[1])
        own = terms
        _read_dense(s.exemplars, rank, kept, rows)
        s.exemplars.vector[rank == DEAD] = 0
    else:
        terms, own = _bury(s, rank, rows)
    _clear(s.table, slots, own, (0, 1))
    _clear(s.table, slots, terms, (2, 2))
    s.labels.norm[slots] = 0
    s.labels.shown[slots] = 0
    s.labels.hit[slots] = 0
    s.labels.boost[slots] = BOOST
    where = np.full(kept, -1, np.int64)
    for place in np.flatnonzero((rank >= 0) & (rank < kept)):
        where[rank[place]] = place
    _teach(s, slots, alarmed, where, rows)


@kernel
def _rank(stored: int, exemplars: Exemplars, alarmed: Any, values: int, rank: Any) -> int:
    """Number the exemplars of alarmed labels, newest first; the oldest one kept.

    Of the older ones, those with no other label are marked DEAD.
    """
    room = len(rank)
    since, seen = 0, 0
    for back in range(min(stored, room)):
        number = stored - 1 - back
        at = number % room
        count = 0
        for label in exemplars.label[at, : exemplars.n[at]]:
            count += alarmed[label]
        if count == 0:
            continue
        rank[at] = seen
        seen += 1
        if seen == values:
            since = number
        if seen > values and count == exemplars.n[at]:
            rank[at] = DEAD
    return since


@kernel
def _bury(s: Extreme, rank: Any, rows: Rows) -> Any:
    """Weigh dead exemplars' postings as nothing, and read the kept ones.

    Returns their terms, and those of them that no more than half as many others have.
    """
    terms = s.terms
    room = len(rank)
    now = np.uint32(s.sizes[STORED] & 0xFFFFFFFF)
    stored = np.uint32(min(room, s.sizes[STORED]))
    used = np.zeros(len(terms.size), np.bool_)
    own = np.zeros(len(terms.size), np.bool_)
    for term in range(len(terms.size)):
        start = terms.at[term]
        inside, outside = 0, 0
        for at in range(start, start + min(terms.written[term], np.uint32(terms.size[term]))):
            seq = terms.seq[at]
            if np.uint32(now - seq) > stored:
                continue
            k = rank[np.int64(seq) % room]
            if k == NOBODY:
                outside += 1
                continue
            inside += 1
            if k == DEAD:
                terms.weight[at] = 0
            elif k < len(rows.n) and rows.n[k] < INSERT:
                rows.slot[k, rows.n[k]] = term
                rows.weight[k, rows.n[k]] = terms.weight[at]
                rows.n[k] += 1
        used[term] = inside > 0
        own[term] = inside > 2 * outside
    return np.flatnonzero(used), np.flatnonzero(own)


@kernel
def _read_dense(exemplars: Exemplars, rank: Any, kept: int, rows: Rows) -> None:
    for at in range(len(rank)):
        k = rank[at]
        if 0 <= k < kept:
            order = np.argsort(-np.abs(exemplars.vector[at]), kind="mergesort")
            rows.n[k] = min(len(order), INSERT)
            for j in range(rows.n[k]):
                rows.slot[k, j] = order[j]
                rows.weight[k, j] = exemplars.vector[at, order[j]]


@kernel
def _teach(s: Extreme, slots: Any, alarmed: Any, where: Any, rows: Rows) -> None:
    """Teach the kept exemplars again, oldest first, to the linear expert and the centroids."""
    pair = np.zeros(2, np.float32)
    for back in range(len(where)):
        k = len(where) - 1 - back
        n = rows.n[k]
        if where[k] < 0 or n == 0:
            continue
        order = np.argsort(-np.abs(rows.weight[k, :n]), kind="mergesort")
        slot, weight = rows.slot[k, :n][order], rows.weight[k, :n][order]
        truth = s.exemplars.label[where[k], : s.exemplars.n[where[k]]]
        for label in slots:
            y = 0.0
            for other in truth:
                if other == label:
                    y = 1.0
            linear.score(s.table, label, slot, weight, n, pair)
            residual = sigmoid(pair[0] - 2.0) - y
            linear.descend(s.table, label, slot, weight, n, residual, BOOST)
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
