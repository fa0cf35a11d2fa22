"""One event through the small learner: forward, and learn."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from stream.config import EXPERTS as NAMES
from stream.learn.jit import kernel
from stream.learn.odds import CLIP, logit, sigmoid
from stream.learn.small import linear, mixture, neighbours, sets, squares
from stream.learn.small import rows as rowing
from stream.learn.small.rows import Active
from stream.learn.small.state import (
    EVENTS,
    EXPERTS,
    LABELS,
    LAST_SET,
    MARKOV,
    STORED,
    WINDOW,
    Small,
)
from stream.learn.tree import hoeffding
from stream.learn.tree.state import Room, room

# rate and initial accumulator of the four logistics, for sparse and for dense rows
_RATES = ((1.0, 1.0, 0.5, 1.0), (0.2, 0.2, 0.3, 0.2))
_EMA = (0.2, 0.05)  # rates of the decayed means
_NOTHING = 1e-8  # a mean below it is zero
TREE = 15  # place of the tree among the experts
_STARTS = ((1e-3, 1e-3, 0.05, 1e-3), (1e-3, 1e-3, 1e-3, 1e-3))


class Scratch(NamedTuple):
    """Room for one event; whoever computes has their own."""

    active: Active
    phi: Any  # (4, width)
    gain: Any
    z: Any  # (EXPERTS, labels) clipped logits
    raw: Any  # (8, labels) outputs of the four logistics and the four least squares
    prior: Any
    p: Any
    y: Any
    known: Any  # (labels,) 1 where it was looked for, else 0
    error: Any
    sums: Any
    touched: Any
    best: Any
    who: Any
    near: Any  # (1,) neighbours found
    c: sets.Candidates
    on: Any  # (EXPERTS,) 1, or 0 for an expert that is left out
    use: Any  # (2,) whether sets are re-ranked, and partitions correct the mixture
    tree: Room


def scratch(small: Small, dense: bool, off: Collection[str] = ()) -> Scratch:
    """Room that fits `small`; `off` are the parts left out, see `stream.config.PARTS`."""
    labels = len(small.memory.count)
    width = len(small.squares.r2)
    return Scratch(
        rowing.active(len(small.columns.df), dense),
        np.zeros((4, width), np.float32),
        np.zeros(width, np.float32),
        np.zeros((EXPERTS, labels), np.float32),
        np.zeros((8, labels), np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(WINDOW, np.float32),
        np.zeros(WINDOW, np.int32),
        np.zeros(neighbours.MOST, np.float32),
        np.zeros(neighbours.MOST, np.int32),
        np.zeros(1, np.int64),
        sets.candidates(labels, neighbours.MOST),
        np.array([name not in off for name in NAMES], np.float32),
        np.array([name not in off for name in ("sets", "partition_weights")]),
        room(small.tree),
    )


@kernel
def forward(s: Small, t: Scratch, leaf_of: Any, is_dense: bool) -> None:
    """Probabilities of every label, into t.p, from the row in t.active."""
    labels = s.sizes[LABELS] + 1  # with the one that never occurs
    act = t.active
    m = act.m[0]
    linear.scores(s.linear.w0, act.column, act.a, m, labels, t.raw[0])
    linear.scores(s.linear.w1, act.column, act.b, m, labels, t.raw[1])
    linear.scores(s.linear.w2, act.c_column, act.c, m, labels, t.raw[2])
    linear.scores(s.linear.w3, act.column, act.b, m, labels, t.raw[3])
    linear.history_scores(s.linear.wh, s.memory.last, s.memory.ema[0], labels, t.raw[3])
    _squares(s, t, m, labels, is_dense)
    n = s.sizes[EVENTS]
    for label in range(labels):
        t.prior[label] = (s.memory.count[label] + 0.3) / (n - s.memory.missed[label] + 2.0)
    _votes(s, t, m, labels, is_dense)
    scale = np.sqrt(m) if is_dense else 1.0
    hoeffding.score(
        s.tree, t.tree, act.column, act.b, m, scale, is_dense, labels, t.prior, t.z[TREE]
    )
    markov = _markov_row(s.sizes[LAST_SET])
    known = s.memory.mkeys[markov] == np.uint64(s.sizes[LAST_SET]) and n > 0
    for label in range(labels):
        for e in range(4):
            t.z[e, label] = min(CLIP, max(-CLIP, t.raw[e, label]))
        for e in range(4):
            t.z[11 + e, label] = logit(min(0.99, max(0.01, t.raw[4 + e, label])))
        t.z[7, label] = logit(s.memory.last[label])
        t.z[8, label] = logit(s.memory.ema[1, label])
        t.z[9, label] = logit(t.prior[label])
        t.z[TREE, label] = logit(t.z[TREE, label]) - t.z[9, label]  # 0 without a split
        chain = t.prior[label]
        if known:
            chain = (s.memory.mcount[markov, label] + chain) / (s.memory.mtotal[markov] + 1.0)
        t.z[10, label] = logit(chain)
    for e in range(EXPERTS):
        if t.on[e] == 0:
            t.z[e, :labels] = 0
    mixture.mix(s.mixture, t.z, leaf_of, labels, t.use[1], t.c.own)
    t.p[:labels] = t.c.own[:labels]
    if t.use[0]:
        beta = 4.0 if is_dense else 8.0
        sets.gather(s.sizes, s.sets, t.c, t.p, labels - 1, t.near[0], beta)
        sets.rank(s.sizes, s.sets, t.c, t.c.own, labels - 1)
        sets.mix(s.sets, t.c, labels - 1, t.p)


@kernel
def _squares(s: Small, t: Scratch, m: int, labels: int, is_dense: bool) -> None:
    q, act = s.squares, t.active
    squares.project(
        q.omega[0], q.phase[0], squares.SPREAD[0], act.column, act.b, m, is_dense, t.phi[0]
    )
    squares.project(
        q.omega[1], q.phase[1], squares.SPREAD[1], act.column, act.b, m, is_dense, t.phi[1]
    )
    base = len(q.r0)
    t.phi[2, :base] = t.phi[1, :base]
    wide = squares.append_history(s.memory.last, s.memory.ema[0], labels, t.phi[2])
    squares.predict(q.r0, t.phi[0], base, labels, t.raw[4])
    squares.predict(q.r1, t.phi[1], base, labels, t.raw[5])
    squares.predict(q.r2, t.phi[2], wide, labels, t.raw[6])
    if is_dense:  # there a fourth one did not pay
        t.raw[7, :labels] = 0.5
        return
    squares.project(q.omega[1], q.phase[1], 1.0, act.column, act.a, m, False, t.phi[3])
    squares.predict(q.r3, t.phi[3], base, labels, t.raw[7])


@kernel
def _votes(s: Small, t: Scratch, m: int, labels: int, is_dense: bool) -> None:
    act = t.active
    if is_dense:
        found = neighbours.nearest_dense(s.sizes, s.memory, act.b, m, t.sums, t.best, t.who)
        beta = 4.0
    else:
        found = neighbours.nearest_sparse(
            s.sizes, s.memory, act.column, act.b, m, t.sums, t.touched, t.best, t.who
        )
        beta = 8.0
    t.near[0] = found
    t.c.who[:found] = t.who[:found]
    t.c.best[:found] = t.best[:found]
    ten = min(found, 10)
    neighbours.votes(s.sizes, s.memory, t.best, t.who, ten, beta, 1.0, labels, t.prior, t.z[4])
    neighbours.votes(s.sizes, s.memory, t.best, t.who, found, beta, 1.0, labels, t.prior, t.z[5])
    if is_dense:
        ten = neighbours.nearest_binned(s.sizes, s.memory, act.bins, m, t.sums, t.best, t.who)
        neighbours.votes(s.sizes, s.memory, t.best, t.who, ten, 4.0, 1.0, labels, t.prior, t.z[6])
    else:
        neighbours.votes(s.sizes, s.memory, t.best, t.who, ten, 16.0, 0.5, labels, t.prior, t.z[6])
    for label in range(labels):
        for e in range(4, 7):
            t.z[e, label] = logit(t.z[e, label])


@kernel
def _markov_row(key: int) -> Any:
    return np.int64(np.uint64(key) % np.uint64(MARKOV))


@kernel
def learn(
    s: Small, t: Scratch, leaf_of: Any, truth: Any, looked: Any, partial: bool, is_dense: bool
) -> None:
    """Learn one event that `forward` has just seen; `truth` is (c,) int32 label slots.

    Where it is `partial`, nothing is learnt of labels in neither `looked` nor `truth`.
    """
    labels = s.sizes[LABELS] + 1
    t.y[:labels] = 0
    for label in truth:
        t.y[label] = 1
    real = labels - 1
    target = t.y
    t.known[:labels] = 1
    if partial:
        t.known[:real] = 0  # the label that never occurs is looked for in every event
        for label in looked:
            t.known[label] = 1
        for label in truth:
            t.known[label] = 1
        mixture.hide(t.z, t.y, t.c.own, t.known, real, t.error)
        target = t.error
    mixture.count(s.mixture, t.y, t.p, t.known, real)
    mixture.learn(s.mixture, t.z, target, t.c.own, leaf_of, real, t.use[1])
    if t.use[0]:
        if not partial:
            sets.learn(s.sets, t.c, truth)
        sets.learn_mix(s.sets, t.c, t.y, t.p, t.known, real)
    if t.on[TREE] > 0 and not partial:
        m, scale = t.active.m[0], np.sqrt(t.active.m[0]) if is_dense else 1.0
        hoeffding.learn(
            s.tree, t.tree, t.active.column, t.active.b, m, scale, is_dense, truth, real, t.prior,
            True,
        )  # fmt: skip
    _learn_linear(s, t, labels, is_dense)
    base = len(s.squares.r0)
    wide = squares.append_history(s.memory.last, s.memory.ema[0], labels, t.phi[2])
    _learn_square(s, s.squares.p0, s.squares.r0, t, 0, base, labels)
    _learn_square(s, s.squares.p1, s.squares.r1, t, 1, base, labels)
    _learn_square(s, s.squares.p2, s.squares.r2, t, 2, wide, labels)
    if not is_dense:
        _learn_square(s, s.squares.p3, s.squares.r3, t, 3, base, labels)
    remember(s, t, truth, partial, is_dense)
    if is_dense:
        rowing.count_dense(s.sizes, s.columns, t.active)
    else:
        rowing.count_sparse(s.columns, t.active)
    _learn_sequence(s, t, truth, partial, real)
    s.sizes[EVENTS] += 1


@kernel
def _learn_linear(s: Small, t: Scratch, labels: int, is_dense: bool) -> None:
    act = t.active
    m = act.m[0]
    rates = _RATES[1] if is_dense else _RATES[0]
    starts = _STARTS[1] if is_dense else _STARTS[0]
    for e in range(4):
        for label in range(labels):
            residual = sigmoid(t.raw[e, label]) - t.y[label]
            t.error[label] = residual * s.mixture.boost[label] * t.known[label]
        if e == 0:
            linear.descend(
                s.linear.w0, s.linear.g0, act.column, act.a, m, labels, t.error, rates[0], starts[0]
            )
        elif e == 1:
            linear.descend(
                s.linear.w1, s.linear.g1, act.column, act.b, m, labels, t.error, rates[1], starts[1]
            )
        elif e == 2:
            linear.descend(
                s.linear.w2,
                s.linear.g2,
                act.c_column,
                act.c,
                m,
                labels,
                t.error,
                rates[2],
                starts[2],
            )
        else:
            linear.descend(
                s.linear.w3, s.linear.g3, act.column, act.b, m, labels, t.error, rates[3], starts[3]
            )
            linear.history_descend(
                s.linear.wh,
                s.linear.gh,
                s.memory.last,
                s.memory.ema[0],
                labels,
                t.error,
                rates[3],
                starts[3],
            )


@kernel
def _learn_square(
    s: Small, p: Any, r: Any, t: Scratch, which: int, width: int, labels: int
) -> None:
    for label in range(labels):
        t.error[label] = (t.y[label] - t.raw[4 + which, label]) * t.known[label]
    lag, boost = s.squares.lag[which], s.mixture.boost
    squares.learn(p, r, lag, t.phi[which], t.gain, width, labels, t.error, boost)


@kernel
def remember(s: Small, t: Scratch, truth: Any, partial: bool, is_dense: bool) -> None:
    """Keep the event as an exemplar; where it is `partial`, t.known says what was looked for."""
    act = t.active
    if is_dense:
        neighbours.remember_dense(s.sizes, s.memory, act.b, act.bins, act.m[0])
    else:
        neighbours.remember_sparse(s.sizes, s.memory, act.column, act.b, act.m[0])
    neighbours.remember_labels(s.sizes, s.memory, truth, t.known, partial)
    sets.remember(s.sizes, s.sets, truth, partial)
    s.sizes[STORED] += 1


@kernel
def _learn_sequence(s: Small, t: Scratch, truth: Any, partial: bool, real: int) -> None:
    """The previous label set and what follows it, the decayed means, the counts."""
    memory = s.memory
    key = np.uint64(s.sizes[LAST_SET])
    row = _markov_row(s.sizes[LAST_SET])
    if memory.mkeys[row] != key:
        memory.mkeys[row] = key
        memory.mcount[row, :] = 0
        memory.mtotal[row] = 0
    before = memory.mtotal[row]
    memory.mtotal[row] = 0.98 * before + 1
    for label in range(real):
        if t.known[label] == 0:  # all that is known of it stays, its rate in this row too
            rate = memory.mcount[row, label] / before if before > 0 else t.prior[label]
            memory.mcount[row, label] = rate * memory.mtotal[row]
            memory.missed[label] += 1
            continue
        memory.mcount[row, label] = 0.98 * memory.mcount[row, label] + t.y[label]
        memory.last[label] = t.y[label]
        for e in range(2):
            rate = _EMA[e]
            mean = (1 - rate) * memory.ema[e, label] + rate * t.y[label]
            # Denormal numbers would slow down all that is multiplied by them.
            memory.ema[e, label] = mean if mean > _NOTHING else 0.0
        memory.count[label] += t.y[label]
    if not partial:
        sets.count(s.sizes, s.sets, truth)
    s.sizes[LAST_SET] = np.int64(sets.key_of(truth))


@kernel
def spawn(s: Small) -> None:
    """Give the never-occurring label's slot to a new label, and copy it to the next slot."""
    old = s.sizes[LABELS]
    new = old + 1
    for w in (s.linear.w0, s.linear.w1, s.linear.w3, s.linear.g0, s.linear.g1, s.linear.g3):
        w[:, new] = w[:, old]
    for w in (s.linear.w2, s.linear.g2):
        w[:, new] = w[:, old]
    for which in range(2):
        s.linear.wh[which, :, new] = s.linear.wh[which, :, old]
        s.linear.gh[which, :, new] = s.linear.gh[which, :, old]
    s.sizes[LABELS] = new
