"""One event through the small learner: forward, and learn."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from stream.config import EXPERTS as NAMES
from stream.jit import fast_kernel, kernel
from stream.learn.odds import CLIP, logits, sigmoids
from stream.learn.small import complete, linear, mixture, neighbours, sets, squares
from stream.learn.small import rows as rowing
from stream.learn.small.nearest import MOST
from stream.learn.small.rows import Active
from stream.learn.small.state import (
    CARRIED,
    CONTEXT,
    EVENTS,
    LABELS,
    LAG,
    LANES,
    LAST_SET,
    LOGISTICS,
    MARKOV,
    STORED,
    WINDOW,
    Small,
)
from stream.learn.tree import hoeffding
from stream.learn.tree.state import Room, room

_EMA = (0.2, 0.05)  # rates of the decayed means
_NOTHING = 1e-8  # a mean below it is zero
# places among the experts; from FIRST_SHARE on they give probabilities, before it logits
FIRST_SHARE = FIRST_VOTE = LOGISTICS
RECENT, PRIOR, CHAIN, FIRST_SQUARE, TREE = 7, 8, 9, 10, 14


class Scratch(NamedTuple):
    """Room for one event; whoever computes has their own."""

    active: Active
    phi: Any  # (4, width)
    close: Any  # (4, LAG) products of phi with the last gains
    raw: Any  # (LANES, labels) outputs of the experts: logits of logistics, else probabilities
    logits: Any  # (LANES, labels) clipped
    z: Any  # (labels, LANES) the same, as the mixture takes them
    odds: Any  # (labels,) log odds of the mixture
    residual: Any  # (LOGISTICS, labels)
    prior: Any
    p: Any
    y: Any
    known: Any  # (labels,) 1 where it was looked for, else 0
    error: Any
    asked: Any
    bytes: Any
    ratio: Any  # (labels,) events over those that looked for it
    sums: Any
    best: Any
    who: Any
    near: Any  # (1,) neighbours found
    c: sets.Candidates
    on: Any  # (LANES,) 1, or 0 for an expert that is left out
    use: Any  # (2,) whether sets are re-ranked, and partitions correct the mixture
    tree: Room
    d: sets.Candidates  # the sets that the known cells of a partial event allow


def scratch(small: Small, dense: bool, off: Collection[str] = ()) -> Scratch:
    """Room that fits `small`; `off` are the parts left out, see `stream.config.PARTS`."""
    labels = len(small.memory.count)
    width = len(small.squares.p2)
    return Scratch(
        rowing.active(len(small.columns.df), dense),
        np.zeros((4, width), np.float32),
        np.zeros((4, LAG), np.float32),
        np.zeros((LANES, labels), np.float32),
        np.zeros((LANES, labels), np.float32),
        np.zeros((labels, LANES), np.float32),
        np.zeros(labels, np.float32),
        np.zeros((LOGISTICS, labels), np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(labels, np.float32),
        np.zeros(small.memory.codes.shape[0] + 7, np.float32),
        np.zeros(WINDOW, np.uint8),
        np.zeros(labels, np.float32),
        np.zeros(WINDOW, np.float32),
        np.zeros(MOST, np.float32),
        np.zeros(MOST, np.int32),
        np.zeros(1, np.int64),
        sets.candidates(labels, MOST),
        np.array([name not in off for name in NAMES] + [False] * (LANES - len(NAMES)), np.float32),
        np.array([name not in off for name in ("sets", "partition_weights")]),
        room(small.tree),
        sets.candidates(labels, MOST, 2 * sets.MOST),
    )


@kernel
def forward(s: Small, t: Scratch, leaf_of: Any, is_dense: bool) -> None:
    """Probabilities of every label, into t.p, from the row in t.active."""
    labels = s.sizes[LABELS] + 1  # with the one that never occurs
    act, raw = t.active, t.raw
    m = act.m[0]
    linear.scores(s.linear.w, act.column, act.a, act.b, m, labels, raw)
    if is_dense:
        linear.binned_scores(
            s.linear.binned, act.c_column, act.c, m, labels, raw[linear.BINNED]
        )  # fmt: skip
    linear.history_scores(s.linear.wh, s.memory.last, s.memory.ema[0], labels, raw[3])
    _squares(s, t, m, labels, is_dense)
    n = s.sizes[EVENTS]
    for label in range(labels):
        t.prior[label] = (s.memory.count[label] + 0.3) / (n - s.memory.missed[label] + 2.0)
    _votes(s, t, m, labels, is_dense)
    scale = np.sqrt(m) if is_dense else 1.0
    hoeffding.score(
        s.tree, t.tree, act.column, act.b, m, scale, is_dense, labels, t.prior, raw[TREE]
    )
    markov = _markov_row(s.sizes[LAST_SET])
    raw[RECENT, :labels] = s.memory.ema[1, :labels]
    raw[PRIOR, :labels] = t.prior[:labels]
    raw[CHAIN, :labels] = t.prior[:labels]
    if s.memory.mkeys[markov] == np.uint64(s.sizes[LAST_SET]) and n > 0:
        share = 1.0 / (s.memory.mtotal[markov] + 1.0)
        for label in range(labels):
            raw[CHAIN, label] = (s.memory.mcount[markov, label] + t.prior[label]) * share
    _line_up(t, labels)
    mixture.mix(s.mixture, t.z, leaf_of, labels, t.use[1], t.odds, t.c.own)
    t.p[:labels] = t.c.own[:labels]
    if t.use[0]:
        beta = 4.0 if is_dense else 8.0
        sets.gather(s.sizes, s.sets, t.c, t.p, labels - 1, t.near[0], beta)
        sets.rank(s.sizes, s.sets, t.c, t.odds, labels - 1)
        sets.mix(s.sets, t.c, t.odds, labels - 1, t.p)


@fast_kernel
def _line_up(t: Scratch, labels: int) -> None:
    """The experts' outputs as clipped logits, label by label."""
    clip = np.float32(CLIP)
    for e in range(FIRST_SHARE):
        for label in range(labels):
            t.logits[e, label] = min(clip, max(-clip, t.raw[e, label]))
    for e in range(FIRST_SHARE, LANES):
        logits(t.raw[e], labels, t.logits[e])
    for label in range(labels):
        t.logits[TREE, label] -= t.logits[PRIOR, label]  # 0 without a split
    for e in range(LANES):
        for label in range(labels):
            t.logits[e, label] *= t.on[e]
            t.z[label, e] = t.logits[e, label]


@kernel
def _squares(s: Small, t: Scratch, m: int, labels: int, is_dense: bool) -> None:
    q, act = s.squares, t.active
    if is_dense:
        squares.project_dense(q.omega, q.phase, act.b, m, t.phi)
    else:
        squares.project_sparse(q.omega, act.column, act.a, act.b, m, t.phi)
    base = q.r0.shape[1]
    t.phi[2, :base] = t.phi[1, :base]
    wide = squares.append_history(s.memory.last, s.memory.ema[0], labels, t.phi[2])
    out = t.raw[FIRST_SQUARE:]
    squares.predict(q, 0, q.r0, t.phi[0], base, labels, t.close[0], out[0])
    squares.predict(q, 1, q.r1, t.phi[1], base, labels, t.close[1], out[1])
    squares.predict(q, 2, q.r2, t.phi[2], wide, labels, t.close[2], out[2])
    if is_dense:  # there a fourth one did not pay
        out[3, :labels] = 0.5
        return
    squares.predict(q, 3, q.r3, t.phi[3], base, labels, t.close[3], out[3])


@kernel
def _votes(s: Small, t: Scratch, m: int, labels: int, is_dense: bool) -> None:
    act = t.active
    if is_dense:
        found = neighbours.nearest_dense(
            s.sizes, s.memory, act.b, m, t.asked, t.sums, t.best, t.who
        )
        beta = 4.0
    else:
        found = neighbours.nearest_sparse(
            s.sizes, s.memory, act.column, act.b, m, t.sums, t.best, t.who
        )
        beta = 8.0
    t.near[0] = found
    t.c.who[:found] = t.who[:found]
    t.c.best[:found] = t.best[:found]
    out, prior, n, y, lists = t.raw[FIRST_VOTE:], t.prior, s.sizes, s.memory, s.sets
    neighbours.votes(n, y, lists, t.best, t.who, found, 10, beta, 1.0, labels, prior, out[0])
    neighbours.votes(n, y, lists, t.best, t.who, found, found, beta, 1.0, labels, prior, out[1])
    if is_dense:
        most = neighbours.wanted(y, 10, labels)
        found = neighbours.nearest_binned(
            n, y, act.bins, m, most, t.bytes, t.sums, t.best, t.who
        )  # fmt: skip
        neighbours.votes(n, y, lists, t.best, t.who, found, 10, 4.0, 1.0, labels, prior, out[2])
    else:
        neighbours.votes(n, y, lists, t.best, t.who, found, 10, 16.0, 0.5, labels, prior, out[2])


@kernel
def _markov_row(key: int) -> Any:
    return np.int64(np.uint64(key) % np.uint64(MARKOV))


@kernel
def learn(
    s: Small, t: Scratch, leaf_of: Any, truth: Any, looked: Any, partial: bool, is_dense: bool
) -> None:
    """Learn one event that `forward` has just seen; `truth` is (c,) int32 label slots.

    Where it is `partial`, nothing is learnt of labels in neither `looked` nor `truth` by
    themselves; what works on whole sets takes the likeliest one that the known cells allow.
    """
    labels, n = s.sizes[LABELS] + 1, s.sizes[EVENTS]
    t.y[:labels] = 0
    for label in truth:
        t.y[label] = 1
    real = labels - 1
    target, whole, in_part = t.y, truth, partial
    t.known[:labels] = 1
    if partial:
        t.known[:real] = 0  # the label that never occurs is looked for in every event
        for label in looked:
            t.known[label] = 1
        for label in truth:
            t.known[label] = 1
        mixture.hide(t.logits, t.z, t.y, t.c.own, t.known, real, t.error)
        target = t.error
    mixture.count(s.mixture, t.y, t.p, t.known, real)
    mixture.learn(s.mixture, t.logits, t.z, target, t.c.own, leaf_of, real, t.use[1])
    if t.use[0]:
        if not partial:
            sets.learn(s.sets, t.c, truth)
        elif len(truth) <= CARRIED:
            complete.learn(s.sets, t.c, t.y, t.known, len(truth))
            whole = complete.likeliest(
                s.sizes, s.sets, t.c, t.d, t.odds, t.p, t.y, t.known, truth, real
            )  # fmt: skip
            in_part = False
        sets.learn_mix(s.sets, t.c, t.odds, t.y, t.p, t.known, real)
    if t.on[TREE] > 0 and not in_part:
        m, scale = t.active.m[0], np.sqrt(t.active.m[0]) if is_dense else 1.0
        hoeffding.learn(
            s.tree, t.tree, t.active.column, t.active.b, m, scale, is_dense, whole, real, t.prior,
            True,
        )  # fmt: skip
    _learn_linear(s, t, labels, is_dense)
    for label in range(labels):
        t.ratio[label] = (n + 1.0) / (n + 1.0 - s.memory.missed[label])
    q, base = s.squares, len(s.squares.p0)
    _learn_square(s, q.p0, q.r0, t, 0, base, labels)
    _learn_square(s, q.p1, q.r1, t, 1, base, labels)
    _learn_square(s, q.p2, q.r2, t, 2, base + 2 * min(labels, CONTEXT), labels)
    if not is_dense:
        _learn_square(s, q.p3, q.r3, t, 3, base, labels)
    remember(s, t, truth, whole, partial, in_part, is_dense)
    if is_dense:
        rowing.count_dense(s.sizes, s.columns, t.active)
    else:
        rowing.count_sparse(s.columns, t.active)
    _learn_sequence(s, t, whole, in_part, real)
    s.sizes[EVENTS] += 1


@kernel
def _learn_linear(s: Small, t: Scratch, labels: int, is_dense: bool) -> None:
    act, one = t.active, s.linear
    m = act.m[0]
    for e in range(LOGISTICS):
        sigmoids(t.raw[e], labels, t.residual[e])
        for label in range(labels):
            residual = t.residual[e, label] - t.y[label]
            t.residual[e, label] = residual * s.mixture.boost[label] * t.known[label]
    linear.descend(one.w, act.column, act.a, act.b, m, labels, t.residual, is_dense)
    if is_dense:
        linear.binned_descend(
            one.binned, act.c_column, act.c, m, labels, t.residual[linear.BINNED]
        )  # fmt: skip
    linear.history_descend(
        one.wh, one.gh, s.memory.last, s.memory.ema[0], labels, t.residual[LOGISTICS - 1], is_dense
    )


@kernel
def _learn_square(
    s: Small, p: Any, r: Any, t: Scratch, which: int, width: int, labels: int
) -> None:
    out = t.raw[FIRST_SQUARE + which]
    for label in range(labels):
        t.error[label] = (t.y[label] - out[label]) * t.known[label]
    squares.learn(
        s.squares, which, p, r, t.phi[which], width, labels, t.close[which], t.error,
        s.mixture.boost, t.ratio,
    )  # fmt: skip


@kernel
def remember(
    s: Small, t: Scratch, truth: Any, whole: Any, partial: bool, in_part: bool, is_dense: bool
) -> None:
    """Keep the event as an exemplar; where it is `partial`, t.known says what was looked for.

    `whole` is its set of labels, unless that too is known `in_part`.
    """
    act = t.active
    if is_dense:
        neighbours.remember_dense(s.sizes, s.memory, act.b, act.bins, act.m[0])
    else:
        neighbours.remember_sparse(s.sizes, s.memory, act.column, act.b, act.m[0])
    neighbours.remember_labels(s.sizes, s.memory, truth, t.known, partial)
    sets.remember(s.sizes, s.sets, whole, in_part)
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
    for w in (s.linear.w, s.linear.binned):
        w[:, :, new] = w[:, :, old]
    for which in range(2):
        s.linear.wh[which, :, new] = s.linear.wh[which, :, old]
        s.linear.gh[which, :, new] = s.linear.gh[which, :, old]
    s.sizes[LABELS] = new
