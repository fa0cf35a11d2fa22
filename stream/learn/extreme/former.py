"""Exemplars of a partition in the extreme learner: found, read, put aside and taken back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.extreme.state import INSERT, STORED, Exemplars, Extreme

_BITS = 24  # of a label's number; an exemplar's label that is put aside is ~(label + state << 24)
_LABEL = (1 << _BITS) - 1
_AWAY = np.uint32(1 << 31)  # flips the number of a posting so that it lies out of every window
FAINT = np.float32(2.0**-60)  # times a dense row: next to no vote
MOST = 4_096  # newest exemplars of a partition that are read
GONE = 63  # the state of what never comes back
_KEEP, _SHOW, _HIDE_OWN, _HIDE = 0, 1, 2, 3


class Rows(NamedTuple):
    """Exemplars of a partition, newest first, and their rows as they were stored."""

    place: Any  # (n,) int64
    state: Any  # (n,) int64, 0 in force or 1 + the number of the state put aside
    n: Any  # (k,) terms of the newest ones
    slot: Any  # (k, INSERT) int64
    weight: Any  # (k, INSERT)


def find(s: Extreme, alarmed: Any) -> Rows:
    """All exemplars that have, or had in a former state, one of the labels alarmed (bool)."""
    dense = s.exemplars.vector.shape[1] > 1
    room = len(s.exemplars.vector) if dense else len(s.exemplars.n)
    place, state = np.zeros(room, np.int64), np.zeros(room, np.int64)
    n = _find(s.exemplars, int(s.sizes[STORED]), alarmed, place, state)
    k = min(n, MOST)
    return Rows(place[:n], state[:n], np.zeros(k, np.int64), np.zeros((k, INSERT), np.int64),
                np.zeros((k, INSERT), np.float32))  # fmt: skip


@kernel
def _find(exemplars: Exemplars, stored: int, alarmed: Any, place: Any, state: Any) -> int:
    room, found = len(place), 0
    for back in range(min(stored, room)):
        at = (stored - 1 - back) % room
        own = -1
        for code in exemplars.label[at, : exemplars.n[at]]:
            if code >= 0:
                if alarmed[code]:
                    own = max(own, 0)
            elif alarmed[~code & _LABEL]:
                own = max(own, 1 + (~code >> _BITS))
        if own >= 0:
            place[found] = at
            state[found] = own
            found += 1
    return found


@kernel
def given(exemplars: Exemplars, place: Any, rank: Any, out: Any) -> None:
    """out[i, rank[label]] = True for the partition's labels, rank -1 for those of others."""
    for i in range(len(out)):
        at = place[i]
        for code in exemplars.label[at, : exemplars.n[at]]:
            label = code if code >= 0 else ~code & _LABEL
            if rank[label] >= 0:
                out[i, rank[label]] = True


@kernel
def rewrite(exemplars: Exemplars, places: Any, alarmed: Any, state: int) -> None:
    """Put the partition's labels of exemplars aside as `state`, or in force where it is -1."""
    for at in places:
        for k in range(exemplars.n[at]):
            code = exemplars.label[at, k]
            label = code if code >= 0 else ~code & _LABEL
            if alarmed[label]:
                exemplars.label[at, k] = label if state < 0 else ~(label + (state << _BITS))


@kernel
def visibility(exemplars: Exemplars, places: Any, out: Any) -> None:
    """How far each exemplar is hidden now, by which of its labels are put aside."""
    for at in places:
        aside, living = 0, 0
        for code in exemplars.label[at, : exemplars.n[at]]:
            aside += code < 0
            living += code >= 0
        out[at] = _SHOW if aside == 0 else (_HIDE_OWN if living > 0 else _HIDE)


@kernel
def read(s: Extreme, rows: Rows, room: int) -> Any:
    """Read the rows from the postings; the terms that they have, and which are mostly theirs."""
    terms = s.terms
    of = np.full(room, -1, np.int64)
    for k in range(len(rows.place)):
        of[rows.place[k]] = k
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
                seq ^= _AWAY
                if np.uint32(now - seq) > stored:
                    continue
            k = of[np.int64(seq) % room]
            if k < 0:
                outside += 1
                continue
            inside += 1
            if k < len(rows.n) and rows.n[k] < INSERT:
                rows.slot[k, rows.n[k]] = term
                rows.weight[k, rows.n[k]] = terms.weight[at]
                rows.n[k] += 1
        used[term] = inside > 0
        own[term] = inside > 2 * outside
    return np.flatnonzero(used), np.flatnonzero(own)


@kernel
def screen(s: Extreme, own: Any, used: Any, how: Any) -> None:
    """Hide postings from searches, or show them, as `visibility` has told of their exemplars."""
    terms = s.terms
    room = len(how)
    now = np.uint32(s.sizes[STORED] & 0xFFFFFFFF)
    stored = np.uint32(min(room, s.sizes[STORED]))
    theirs = np.zeros(len(terms.size), np.bool_)
    theirs[own] = True
    for term in used:
        start = terms.at[term]
        for at in range(start, start + min(terms.written[term], np.uint32(terms.size[term]))):
            seq = terms.seq[at]
            hidden = np.uint32(now - seq) > stored
            if hidden:
                seq ^= _AWAY
                if np.uint32(now - seq) > stored:
                    continue
            to = how[np.int64(seq) % room]
            if to != _KEEP:
                hide = to == _HIDE or (to == _HIDE_OWN and theirs[term])
                terms.seq[at] = seq ^ _AWAY if hide else seq


def screen_dense(s: Extreme, how: Any) -> None:
    """The same for dense rows: those hidden become faint."""
    vector = s.exemplars.vector
    faint = np.square(vector).sum(axis=1, dtype=np.float64) < 0.25
    hide, show = (how == _HIDE) & ~faint, (how != _HIDE) & (how != _KEEP) & faint
    vector[hide] *= FAINT
    vector[show] *= 1 / FAINT


def read_dense(s: Extreme, rows: Rows) -> None:
    """The strongest entries of dense rows."""
    k = len(rows.n)
    vector = s.exemplars.vector[rows.place[:k]]
    width = min(vector.shape[1], INSERT)
    faint = np.square(vector).sum(axis=1, dtype=np.float64) < 0.25
    vector[faint] *= 1 / FAINT
    order = np.argsort(-np.abs(vector), axis=1, kind="stable")[:, :width]
    rows.n[:] = width
    rows.slot[:, :width] = order
    rows.weight[:, :width] = np.take_along_axis(vector, order, axis=1)
