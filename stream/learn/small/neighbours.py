"""Nearest labelled events of the window, and their similarity-weighted votes."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.jit import fast_kernel, kernel
from stream.learn.small.state import LABELS, POSTINGS, STORED, WINDOW, Memory

MOST = 50


@kernel
def _offer(best: Any, who: Any, found: int, most: int, score: float, slot: int) -> int:
    """Insert into the sorted best list; returns its length."""
    if found == most and score <= best[most - 1]:
        return found
    at = found if found < most else most - 1
    while at > 0 and best[at - 1] < score:
        best[at] = best[at - 1]
        who[at] = who[at - 1]
        at -= 1
    best[at] = score
    who[at] = slot
    return min(found + 1, most)


@kernel
def nearest_sparse(
    sizes: Any,
    memory: Memory,
    column: Any,
    x: Any,
    m: int,
    sums: Any,
    touched: Any,
    best: Any,
    who: Any,
) -> int:
    """The most similar events by cosine, through the postings; returns how many."""
    oldest = sizes[STORED] - WINDOW
    n = 0
    for j in range(m):
        value = x[j]
        if value == 0:
            continue
        col = column[j]
        for at in range(min(memory.posted[col], POSTINGS)):
            seq = memory.seq[col, at]
            if seq >= oldest:
                slot = seq % WINDOW
                if sums[slot] == 0 and n < len(touched):
                    touched[n] = slot
                    n += 1
                sums[slot] += value * memory.weight[col, at]
    found = 0
    for at in range(n):
        slot = touched[at]
        found = _offer(best, who, found, MOST, sums[slot], slot)
        sums[slot] = 0
    if n == len(touched):  # sums that came back to zero were listed twice, so some are not listed
        sums[:] = 0
    return found


@fast_kernel
def _dots(xb: Any, x: Any, n: int, d: int, out: Any) -> None:
    for slot in range(n):
        row = xb[slot]
        dot = np.float32(0)
        for j in range(d):
            dot += row[j] * x[j]
        out[slot] = dot


@kernel
def nearest_dense(
    sizes: Any, memory: Memory, x: Any, d: int, sums: Any, best: Any, who: Any
) -> int:
    """The nearest events by Euclidean distance; scores are minus the distance."""
    n = min(sizes[STORED], WINDOW)
    _dots(memory.xb, x, n, d, sums)
    own = np.float32(0)
    for j in range(d):
        own += x[j] * x[j]
    found = 0
    for slot in range(n):
        square = own + memory.norm[slot] - 2 * sums[slot]
        sums[slot] = 0
        found = _offer(best, who, found, MOST, -max(square, 0.0), slot)
    for at in range(found):
        best[at] = -np.sqrt(-best[at])
    return found


@fast_kernel
def _differences(bins: Any, own: Any, n: int, d: int, out: Any) -> None:
    for slot in range(n):
        row = bins[slot]
        count = 0
        for j in range(d):
            count += row[j] != own[j]
        out[slot] = count


@kernel
def nearest_binned(
    sizes: Any, memory: Memory, own: Any, d: int, sums: Any, best: Any, who: Any
) -> int:
    """The nearest events by distance between one-hot bins."""
    n = min(sizes[STORED], WINDOW)
    _differences(memory.bins, own, n, d, sums)
    found = 0
    for slot in range(n):
        found = _offer(best, who, found, 10, -sums[slot], slot)
        sums[slot] = 0
    for at in range(found):
        best[at] = -np.sqrt(-2.0 * best[at] / max(d, 1))
    return found


@kernel
def votes(
    sizes: Any,
    memory: Memory,
    best: Any,
    who: Any,
    found: int,
    beta: float,
    prior_weight: float,
    labels: int,
    prior: Any,
    out: Any,
) -> None:
    """Shrunk votes: (Σ w·y + c·prior)/(Σ w + c) with w = exp(β(s − s_max)).

    Events that a label was not looked for in count in neither sum.
    """
    total = prior_weight
    for label in range(labels):
        out[label] = prior_weight * prior[label]
    newest = sizes[STORED] - 1
    for at in range(found):
        slot = who[at]
        weight = np.exp(beta * (best[at] - best[0]))
        total += weight
        seq = newest - (newest - slot) % WINDOW
        row = memory.y[slot]
        for label in range(labels):
            if row[label] == 1 and seq >= memory.forget[label]:
                out[label] += weight
    for at in range(found):
        if memory.partial[who[at]]:
            _divide_known(memory, best, who, found, beta, total, labels, out)
            return
    for label in range(labels):
        out[label] /= total


@kernel
def _divide_known(
    memory: Memory, best: Any, who: Any, found: int, beta: float, total: float, labels: int,
    out: Any,
) -> None:  # fmt: skip
    """Divide each label's votes by the weight of those events alone that it was looked for in."""
    mass = np.full(labels, total)
    for at in range(found):
        if memory.partial[who[at]]:
            weight = np.exp(beta * (best[at] - best[0]))
            row = memory.y[who[at]]
            for label in range(labels):
                if row[label] == 2:
                    mass[label] -= weight
    for label in range(labels):
        out[label] /= mass[label]


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
    for j in range(d):
        memory.xb[slot, j] = x[j]
        memory.bins[slot, j] = bins[j]
        norm += x[j] * x[j]
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
