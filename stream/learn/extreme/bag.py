"""A row as a bag of learnt feature vectors, and the weighed rows that those are learnt from."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.extreme.embedding import project
from stream.learn.extreme.postings import weigh
from stream.learn.extreme.scratch import ROW

MOST = 128
"""Terms of a row that make its embedding, the strongest first."""


@kernel
def weighed(
    df: Any, events: int, indptr: Any, hashes: Any, terms: Any, slot: Any, weight: Any, n: Any
) -> None:
    """Slots (n, MOST) and unit idf weights of rows, and how many each has."""
    slots = np.empty(ROW, np.int64)
    weights = np.empty(ROW, np.float32)
    titled = np.empty(ROW, np.bool_)
    for i in range(len(n)):
        low, high = indptr[i], indptr[i + 1]
        found = weigh(df, events, hashes[low:high], terms[low:high], slots, weights, titled)
        n[i] = min(found, MOST)
        for j in range(n[i]):
            slot[i, j] = slots[j]
            weight[i, j] = weights[j]


@kernel
def embed(slot: Any, weight: Any, n: Any, table: Any, scale: Any, out: Any) -> None:
    """Unit embeddings (n, d) of weighed rows, by a table (rows, d) int8 and what each row's
    numbers are multiplied by."""
    mask = len(table) - 1
    bits = 0
    while (1 << bits) < len(table):
        bits += 1
    width = out.shape[1]
    for i in range(len(out)):
        out[i] = 0
        for j in range(n[i]):
            at = folded(slot[i, j], bits, mask)
            value = weight[i, j] * scale[at]
            for k in range(width):
                out[i, k] += value * table[at, k]
        norm = np.float32(0)
        for k in range(width):
            norm += out[i, k] * out[i, k]
        if norm > 0:
            by = np.float32(1) / np.sqrt(norm)
            for k in range(width):
                out[i, k] *= by


@kernel
def projected(slot: Any, weight: Any, n: Any, out: Any) -> None:
    """The fixed projection (n, d) of weighed rows."""
    for i in range(len(out)):
        slots = slot[i].astype(np.int64)
        project(slots, weight[i], n[i], out[i])


@kernel
def folded(slot: int, bits: int, mask: int) -> int:
    """The row of a smaller table that a slot shares with a few others."""
    return (slot ^ (slot >> bits)) & mask
