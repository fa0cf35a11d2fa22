"""Exemplars of sparse rows, found through an exact inverted index of bounded posting rings.

Rings live in one pool. A ring that is full doubles until RING; its old room goes to a free list.
When the pool is spent, rings stay as they are and their oldest postings are overwritten.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel, kernel
from stream.learn.extreme.state import (
    CLASSES,
    COVER,
    FREE,
    INSERT,
    QUERY,
    RING,
    STORED,
    TITLES,
    Exemplars,
    Terms,
)
from stream.tokens import TITLE


@kernel
def weigh(
    df: Any, events: int, hashes: Any, terms: Any, slot: Any, weight: Any, titled: Any
) -> int:
    """Slots and unit-length idf weights of a row, strongest first; returns how many.

    `titled` tells which are a title's.
    """
    n = min(len(hashes), len(slot))
    mask = np.uint64(len(df) - 1)
    norm = 0.0
    value = np.zeros(n, np.float32)
    for j in range(n):
        at = np.int64(hashes[j] & mask)
        idf = np.log((1.0 + events) / (1.0 + min(np.float64(df[at]), np.float64(events)))) + 1.0
        value[j] = terms[j] * idf
        norm += np.float64(value[j]) * value[j]  # the square of a tiny one leaves float32
    scale = 1.0 / np.sqrt(norm) if norm > 0 else 0.0
    order = np.argsort(-np.abs(value), kind="mergesort")
    for k in range(n):
        j = order[k]
        slot[k] = np.int64(hashes[j] & mask)
        weight[k] = value[j] * scale
        titled[k] = hashes[j] >= TITLE
    return n


@kernel
def _take(sizes: Any, terms: Terms, size: int) -> int:
    """Room for a ring of `size`, -1 when there is none."""
    level = 0
    while (4 << level) < size:
        level += 1
    head = terms.free[level]
    if head >= 0:
        terms.free[level] = np.int64(terms.seq[head]) - 1
        return head
    if sizes[FREE] + size > len(terms.seq):
        return -1
    at = sizes[FREE]
    sizes[FREE] += size
    return at


@kernel
def _give(terms: Terms, at: int, size: int) -> None:
    level = 0
    while (4 << level) < size:
        level += 1
    if level < CLASSES:
        terms.seq[at] = np.uint32(terms.free[level] + 1)
        terms.free[level] = at


@kernel
def _widen(sizes: Any, terms: Terms, term: int) -> None:
    """Double a ring that is full, its postings in order of age."""
    size = terms.size[term]
    wide = max(4, 2 * size)
    at = _take(sizes, terms, wide)
    if at < 0:
        return
    old = terms.at[term]
    first = terms.written[term] % np.uint32(max(size, 1))
    for k in range(size):
        source = old + (first + k) % size
        terms.seq[at + k] = terms.seq[source]
        terms.weight[at + k] = terms.weight[source]
    if size > 0:
        _give(terms, old, size)
    terms.at[term] = at
    terms.size[term] = wide
    terms.written[term] = size


@kernel
def insert(sizes: Any, terms: Terms, slot: Any, weight: Any, titled: Any, n: int) -> float:
    """Post exemplar number sizes[STORED] under its strongest terms and those of its title.

    Returns the length of the title's part.
    """
    seq = np.uint32(sizes[STORED] & 0xFFFFFFFF)
    titles, square = 0, 0.0
    for j in range(n):
        if titled[j] and titles < 2 * TITLES:
            titles += 1
            square += weight[j] * weight[j]
        elif j >= INSERT:
            continue
        term = slot[j]
        if terms.written[term] >= terms.size[term] and terms.size[term] < RING:
            _widen(sizes, terms, term)
        if terms.size[term] == 0:
            continue
        at = terms.at[term] + terms.written[term] % np.uint32(terms.size[term])
        terms.seq[at] = seq
        terms.weight[at] = weight[j]
        terms.written[term] += np.uint32(1)
        if terms.written[term] > 0x7FFFFFFF:
            terms.written[term] -= np.uint32(0x40000000)  # a multiple of every ring size
    return np.sqrt(square)


@kernel
def nearest_sparse(
    sizes: Any, terms: Terms, exemplars: Exemplars, slot: Any, weight: Any, titled: Any, n: int,
    sums: Any, touched: Any, best: Any, who: Any, alike: Any, alike_who: Any, found: Any,
) -> None:  # fmt: skip
    """The nearest exemplars by cosine over the strongest terms, and those by title alone.

    `found` takes how many there are of either.
    """
    room = len(exemplars.n)
    now = np.uint32(sizes[STORED] & 0xFFFFFFFF)
    kept = np.uint32(min(room, sizes[STORED]))
    following = sizes[STORED] % room
    seen, titles, square, mass = 0, 0, 0.0, 0.0
    for j in range(n):
        part = 0
        if titled[j] and titles < TITLES:
            titles += 1
            part = 1
        elif j >= QUERY or mass >= COVER:
            continue
        term = slot[j]
        value = weight[j]
        mass += value * value
        square += part * value * value
        start = terms.at[term]
        for at in range(start, start + min(terms.written[term], np.uint32(terms.size[term]))):
            age = np.uint32(now - terms.seq[at])
            if age <= kept:
                place = following - np.int64(age)  # a remainder would cost more than the rest
                if place < 0:
                    place += room
                if sums[place, 0] == 0 and seen < len(touched):
                    touched[seen] = place
                    seen += 1
                product = value * terms.weight[at]
                sums[place, 0] += product
                if part > 0:
                    sums[place, 1] += product
    found[1] = 0
    if titles > 0:
        for k in range(seen):
            place = touched[k]
            if sums[place, 1] > 0:
                sums[place, 1] /= np.sqrt(square) * max(exemplars.title[place], np.float32(1e-3))
        found[1] = _select(sums[:, 1], touched, seen, alike, alike_who)
    found[0] = _select(sums[:, 0], touched, seen, best, who)
    if seen == len(touched):  # sums that came back to zero were listed twice: some are not
        sums[:] = 0


@kernel
def _select(sums: Any, touched: Any, n: int, best: Any, who: Any) -> int:
    most = len(best)
    found = 0
    for k in range(n):
        place = touched[k]
        score = sums[place]
        sums[place] = 0
        if score <= 0 or (found == most and score <= best[most - 1]):
            continue
        at = found if found < most else most - 1
        while at > 0 and best[at - 1] < score:
            best[at] = best[at - 1]
            who[at] = who[at - 1]
            at -= 1
        best[at] = score
        who[at] = place
        found = min(found + 1, most)
    return found


@fast_kernel
def _products(rows: Any, x: Any, n: int, out: Any) -> None:
    for i in range(n):
        row = rows[i]
        dot = np.float32(0)
        for j in range(len(x)):
            dot += row[j] * x[j]
        out[i] = dot


@kernel
def nearest_dense(
    sizes: Any, exemplars: Exemplars, x: Any, pairs: Any, touched: Any, best: Any, who: Any
) -> int:
    """The nearest exemplars of a dense unit row by cosine; returns how many."""
    n = min(sizes[STORED], len(exemplars.vector))
    sums = pairs[:, 0]
    _products(exemplars.vector, x, n, sums)
    for k in range(n):
        touched[k] = k
    return _select(sums, touched, n, best, who)
