"""Nearest labelled events of the window, and their similarity-weighted votes.

Dense rows are kept by column, so that all events' distances grow together, one column after the
other; their values as bytes, each exact to a fiftieth of its column's deviation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import fast_kernel, kernel
from stream.learn.small.nearest import MOST, select
from stream.learn.small.state import COLUMNS, LABELS, POSTINGS, STORED, WINDOW, Memory, Sets

_UNIT = 25.0  # bytes a unit of the z-score, which is at most 5


@kernel
def nearest_sparse(
    sizes: Any, memory: Memory, column: Any, x: Any, m: int, sums: Any, best: Any, who: Any
) -> int:
    """The most similar events by cosine above 0, through the postings; returns how many.

    `sums` (WINDOW,) are zero before and after.
    """
    oldest = sizes[STORED] - WINDOW
    for j in range(m):
        value = x[j]
        if value == 0:
            continue
        col = column[j]
        posted = memory.posted[col]
        for back in range(min(posted, POSTINGS)):  # newest first
            at = (posted - 1 - back) & (POSTINGS - 1)
            seq = memory.seq[col, at]
            if seq < oldest:
                if seq < 0:  # forgotten
                    continue
                break
            sums[seq & (WINDOW - 1)] += value * memory.weight[col, at]
    found = select(sums, min(sizes[STORED], WINDOW), MOST, 0.0, best, who)
    sums[:] = 0
    return found


@fast_kernel
def _products(codes: Any, x: Any, n: int, d: int, out: Any) -> None:
    """out[slot] = Σ_j x_j·codes[j, slot], eight columns at a time; x is zero behind d."""
    for slot in range(n):
        out[slot] = 0.0
    for j in range(0, d, 8):
        a, b, c, e = codes[j], codes[j + 1], codes[j + 2], codes[j + 3]
        f, g, h, i = codes[j + 4], codes[j + 5], codes[j + 6], codes[j + 7]
        p, q, r, s = x[j], x[j + 1], x[j + 2], x[j + 3]
        t, u, v, w = x[j + 4], x[j + 5], x[j + 6], x[j + 7]
        for slot in range(n):
            out[slot] += (
                (p * np.float32(a[slot]) + q * np.float32(b[slot]))
                + (r * np.float32(c[slot]) + s * np.float32(e[slot]))
            ) + (
                (t * np.float32(f[slot]) + u * np.float32(g[slot]))
                + (v * np.float32(h[slot]) + w * np.float32(i[slot]))
            )


@fast_kernel
def _far(norm: Any, own: float, n: int, out: Any) -> None:
    """From products to minus the squared distances."""
    for slot in range(n):
        out[slot] = min(np.float32(0.0), 2 * out[slot] - norm[slot] - np.float32(own))


@kernel
def nearest_dense(
    sizes: Any, memory: Memory, x: Any, d: int, asked: Any, sums: Any, best: Any, who: Any
) -> int:
    """The nearest events by Euclidean distance; scores are minus the distance.

    `asked` has room for the row, and zeros behind it.
    """
    n = min(sizes[STORED], WINDOW)
    scale = 1.0 / (_UNIT * np.sqrt(d))
    own = np.float32(0)
    for j in range(d):
        own += x[j] * x[j]
        asked[j] = scale * x[j]
    _products(memory.codes, asked, n, d, sums)
    _far(memory.norm, own, n, sums)
    found = select(sums, n, MOST, -np.inf, best, who)
    sums[:] = 0
    for at in range(found):
        best[at] = -np.sqrt(-best[at])
    return found


@fast_kernel
def _differences(bins: Any, own: Any, n: int, d: int, count: Any, out: Any) -> None:
    """Minus the columns in which an event is in another bin; sums of bytes are the fastest."""
    for slot in range(n):
        out[slot] = 0.0
    for low in range(0, d, 128):
        for slot in range(n):
            count[slot] = 0
        for j in range(low, min(low + 128, d)):
            mine, row = own[j], bins[j]
            for slot in range(n):
                count[slot] = np.uint8(count[slot] + np.uint8(row[slot] != mine))
        for slot in range(n):
            out[slot] -= np.float32(count[slot])


@kernel
def nearest_binned(
    sizes: Any, memory: Memory, own: Any, d: int, most: int, count: Any, sums: Any, best: Any,
    who: Any,
) -> int:  # fmt: skip
    """The `most` nearest events by distance between one-hot bins."""
    n = min(sizes[STORED], WINDOW)
    _differences(memory.bins, own, n, d, count, sums)
    found = select(sums, n, most, -np.inf, best, who)
    sums[:] = 0
    for at in range(found):
        best[at] = -np.sqrt(-2.0 * best[at] / max(d, 1))
    return found


@kernel
def wanted(memory: Memory, most: int, labels: int) -> int:
    """How many neighbours to find for votes of `most`: spare ones where some labels are unknown."""
    for label in range(labels):
        if memory.missed[label] > 0:
            return MOST
    return most


@kernel
def votes(
    sizes: Any, memory: Memory, sets: Sets, best: Any, who: Any, found: int, most: int,
    beta: float, prior_weight: float, labels: int, prior: Any, out: Any,
) -> None:  # fmt: skip
    """Shrunk votes of the `most` nearest: (Σ w·y + c·prior)/(Σ w + c), w = exp(β(s − s_max)).

    Events that a label was not looked for in count in neither sum; as far as `found` reaches,
    the next nearest ones take their place.
    """
    for at in range(min(found, most)):
        if memory.partial[who[at]]:
            _known_votes(
                sizes, memory, best, who, found, most, beta, prior_weight, labels, prior, out
            )
            return
    total = prior_weight
    for label in range(labels):
        out[label] = prior_weight * prior[label]
    newest = sizes[STORED] - 1
    for at in range(min(found, most)):
        slot = who[at]
        weight = np.exp(beta * (best[at] - best[0]))
        total += weight
        seq = newest - (newest - slot) % WINDOW
        n = sets.n[slot]
        for k in range(n):
            label = sets.event[slot, k]
            if seq >= memory.forget[label]:
                out[label] += weight
        if n < 0:  # too many for a list
            for label in range(labels):
                if memory.y[slot, label] == 1 and seq >= memory.forget[label]:
                    out[label] += weight
    for label in range(labels):
        out[label] /= total


@kernel
def _known_votes(
    sizes: Any, memory: Memory, best: Any, who: Any, found: int, most: int, beta: float,
    prior_weight: float, labels: int, prior: Any, out: Any,
) -> None:  # fmt: skip
    """The votes of those nearest events alone that a label was looked for in."""
    used, mass = np.zeros(labels, np.int64), np.full(labels, prior_weight)
    for label in range(labels):
        out[label] = prior_weight * prior[label]
    newest = sizes[STORED] - 1
    for at in range(found):
        slot = who[at]
        weight = np.exp(beta * (best[at] - best[0]))
        seq = newest - (newest - slot) % WINDOW
        row = memory.y[slot]
        for label in range(labels):
            if row[label] >= 2 or used[label] >= most:  # nor in what is put aside
                continue
            used[label] += 1
            mass[label] += weight
            if row[label] == 1 and seq >= memory.forget[label]:
                out[label] += weight
    for label in range(labels):
        out[label] /= mass[label]


def rows_kept(sizes: Any, memory: Memory, ring: Any) -> Any:
    """Dense rows of the window at places `ring` (n,), as (n, columns) float32."""
    d = max(int(sizes[COLUMNS]), 1)
    return memory.codes[:, ring].T.astype(np.float32) / np.float32(_UNIT * np.sqrt(d))


@kernel
def remember_sparse(sizes: Any, memory: Memory, column: Any, x: Any, m: int) -> None:
    """Post the event under its columns."""
    seq = sizes[STORED]
    for j in range(m):
        if x[j] != 0:
            col = column[j]
            at = memory.posted[col] % POSTINGS
            memory.seq[col, at] = seq
            memory.weight[col, at] = x[j]
            memory.posted[col] += 1


@kernel
def remember_dense(sizes: Any, memory: Memory, x: Any, bins: Any, d: int) -> None:
    """Keep the event's row in the window."""
    slot = sizes[STORED] % WINDOW
    norm = 0.0
    scale = _UNIT * np.sqrt(d)
    for j in range(d):
        code = np.rint(scale * x[j])
        memory.codes[j, slot] = np.int8(code)
        memory.bins[j, slot] = bins[j]
        norm += (code / scale) * (code / scale)  # of what is kept, so that no distance is below 0
    memory.norm[slot] = norm


@kernel
def remember_labels(sizes: Any, memory: Memory, truth: Any, known: Any, partial: bool) -> None:
    """Keep the event's labels in the window, and where `partial` which were not looked for."""
    slot = sizes[STORED] % WINDOW
    memory.y[slot, :] = 0
    memory.partial[slot] = partial
    if partial:
        for label in range(sizes[LABELS]):
            if known[label] == 0:
                memory.y[slot, label] = 2
    for label in truth:
        memory.y[slot, label] = 1
