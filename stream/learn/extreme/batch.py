"""The extreme learner over a batch of rows: one compiled call, event after event."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.features import Rows
from stream.jit import kernel
from stream.learn import decide
from stream.learn.extreme import embedding, postings, step
from stream.learn.extreme.scratch import ALIKE_N, FOUND, NEAREST, OFF_DESCRIPTIONS, TERMS_N, Scratch
from stream.learn.extreme.state import EVENTS, Extreme
from stream.learn.looked import Looked
from stream.types import Float32


class Shortlists(NamedTuple):
    """Scored candidates: `slots` (n, m) int32 best first and -1 at the end, `p` (n, m) float32,
    and `chosen` (n, m) bool."""

    slots: Any
    p: Float32
    chosen: Any


def parts(rows: Rows) -> tuple[Any, ...]:
    """The arrays of `rows` as kernels take them."""
    dense, spans = rows.dense, rows.spans
    if dense is None:
        dense = np.zeros((0, 0), np.float32)
    else:
        spans = np.zeros(len(rows) + 1, np.int64)
    return rows.indptr, rows.hashes, rows.terms, dense, rows.words, spans


@kernel
def _prepare(s: Extreme, t: Scratch, i: int, indptr: Any, hashes: Any, terms: Any,
             dense: Any) -> None:  # fmt: skip
    """Weigh row i into t: its terms; for a dense row its unit vector and entries as terms."""
    if len(dense) == 0:
        low, high = indptr[i], indptr[i + 1]
        t.n[TERMS_N] = postings.weigh(
            s.terms.df,
            s.sizes[EVENTS],
            hashes[low:high],
            terms[low:high],
            t.slot,
            t.weight,
            t.titled,
        )
        return
    width = dense.shape[1]
    norm = 0.0  # squares of huge and tiny values leave float32
    for j in range(width):
        norm += np.float64(dense[i, j]) * dense[i, j]
    scale = 1.0 / np.sqrt(norm) if norm > 0 else 0.0
    for j in range(width):
        t.dense[j] = dense[i, j] * scale
    order = np.argsort(-np.abs(t.dense[:width]), kind="mergesort")
    n = min(width, len(t.slot))
    for k in range(n):
        t.slot[k] = order[k]
        t.weight[k] = t.dense[order[k]]
    t.n[TERMS_N] = n


@kernel
def _seek(s: Extreme, t: Scratch) -> None:
    """The nearest exemplars of the row in t."""
    if s.exemplars.vector.shape[1] > 1:
        t.n[ALIKE_N] = 0
        t.n[NEAREST] = postings.nearest_dense(
            s.sizes, s.exemplars, t.dense, t.sums, t.touched, t.best, t.who
        )
    else:
        found = np.zeros(2, np.int64)
        postings.nearest_sparse(
            s.sizes, s.terms, s.exemplars, t.slot, t.weight, t.titled, t.n[TERMS_N], t.sums,
            t.touched, t.best, t.who, t.alike, t.alike_who, found,
        )  # fmt: skip
        t.n[NEAREST] = found[0]
        t.n[ALIKE_N] = found[1]


@kernel
def _report(s: Extreme, t: Scratch, objective: int, found: Shortlists, at: int) -> None:
    """The candidates of the event in t, best first, as row `at`."""
    m = t.n[FOUND]
    order = np.argsort(-t.p[:m], kind="mergesort")
    for i in range(m):
        label = t.candidate[order[i]]
        found.slots[at, i] = label
        found.p[at, i] = t.p[order[i]]
        bar = decide.bar(objective, s.rescorer.counts, s.labels.decided[label])
        found.chosen[at, i] = t.p[order[i]] > bar


@kernel
def embed(
    s: Extreme, t: Scratch, indptr: Any, hashes: Any, terms: Any, dense: Any, words: Any,
    spans: Any, out: Any,
) -> None:  # fmt: skip
    """Unit embeddings of rows into `out`."""
    for i in range(len(out)):
        _prepare(s, t, i, indptr, hashes, terms, dense)
        if len(dense) > 0:
            out[i] = t.dense
        else:
            embedding.project(t.slot, t.weight, t.n[TERMS_N], out[i])


@kernel
def predict(
    s: Extreme, t: Scratch, leaf_of: Any, indptr: Any, hashes: Any, terms: Any, dense: Any,
    words: Any, spans: Any, near: Any, similar: Any, objective: int, found: Shortlists,
) -> None:  # fmt: skip
    for i in range(len(found.slots)):
        _prepare(s, t, i, indptr, hashes, terms, dense)
        _seek(s, t)
        step.forward(s, t, leaf_of, words[spans[i] : spans[i + 1]], near[i], similar[i])
        _report(s, t, objective, found, i)


@kernel
def learn(
    s: Extreme, t: Scratch, leaf_of: Any, indptr: Any, hashes: Any, terms: Any, dense: Any,
    words: Any, spans: Any, truths: Any, bounds: Any, looked: Looked, near: Any, similar: Any,
    objective: int, found: Shortlists,
) -> None:  # fmt: skip
    for i in range(len(found.slots)):
        _prepare(s, t, i, indptr, hashes, terms, dense)
        _seek(s, t)
        step.forward(s, t, leaf_of, words[spans[i] : spans[i + 1]], near[i], similar[i])
        _report(s, t, objective, found, i)
        truth = truths[bounds[i] : bounds[i + 1]]
        named = looked.slots[looked.bounds[i] : looked.bounds[i + 1]]
        asked = near.shape[1] > 0 and near[i, 0] >= 0
        step.learn(s, t, leaf_of, truth, named, looked.partial[i], asked)
        if len(truth) > 0:
            step.remember(s, t, truth)
        if len(dense) == 0:
            for j in range(t.n[TERMS_N]):
                s.terms.df[t.slot[j]] += 1


@kernel
def describe(
    s: Extreme,
    t: Scratch,
    indptr: Any,
    hashes: Any,
    terms: Any,
    dense: Any,
    words: Any,
    spans: Any,
    truth: Any,
) -> None:
    if not t.off[OFF_DESCRIPTIONS]:
        _prepare(s, t, 0, indptr, hashes, terms, dense)
        step.remember(s, t, truth)
