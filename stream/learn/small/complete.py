"""Label sets of events of which only some labels are known.

The re-ranker learns from such an event by the probability of what is known, that of all candidate
sets which agree with it (expectation and maximisation: Dempster, Laird, Rubin 1977). Where one
whole set is needed, it is the likeliest that agrees: drawn by its probability instead, the sets
stay vague, since sets drawn wrong are counted and become candidates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.newton import solve
from stream.learn.small import sets
from stream.learn.small.sets import Candidates
from stream.learn.small.state import CARRIED, SET_FEATURES, SET_STIFFNESS, Sets

_LEAST = 1e-9  # probability of what is known below which its candidates say nothing


@kernel
def _agrees(c: Candidates, at: int, y: Any, known: Any, given: int) -> bool:
    """Whether a candidate says of every known label what is known; `given` are known positive."""
    for k in range(c.n[at]):
        label = c.label[at, k]
        if known[label] > 0:
            if y[label] == 0:
                return False
            given -= 1
    return given == 0


@kernel
def learn(s: Sets, c: Candidates, y: Any, known: Any, given: int) -> None:
    """One Newton step of the set weights on the probability of what is known.

    Its curvature is the outer product of the gradient, since the spread of the candidates would
    count an event that says little for as much as a whole one.
    """
    mass = 0.0
    mean, right = np.zeros(SET_FEATURES), np.zeros(SET_FEATURES)
    for at in range(c.m[0]):
        agrees = _agrees(c, at, y, known, given)
        if agrees:
            mass += c.q[at]
        for f in range(SET_FEATURES):
            mean[f] += c.q[at] * c.x[at, f]
            if agrees:
                right[f] += c.q[at] * c.x[at, f]
    if mass <= _LEAST:
        return
    slope = mean - right / mass
    for i in range(SET_FEATURES):
        for j in range(SET_FEATURES):
            s.h[i, j] = sets.DECAY * s.h[i, j] + slope[i] * slope[j]
        s.h[i, i] += (1 - sets.DECAY) * SET_STIFFNESS
    s.weight[:] -= solve(s.h, slope)


@kernel
def likeliest(
    sizes: Any, s: Sets, c: Candidates, d: Candidates, odds: Any, p: Any, y: Any, known: Any,
    truth: Any, labels: int,
) -> Any:  # fmt: skip
    """The likeliest label set, (n,) int32, that agrees with what is known.

    Parameters
    ----------
    c
        The event's candidates and their probabilities, before its labels came.
    d
        Room for twice as many: `truth` and the likeliest unknown labels, and each of c with its
        known labels set right.
    odds, p, y, known
        (labels,) log odds of each label alone, probabilities, what is given, and 1 where a label
        was looked for.
    truth
        The given labels, at most CARRIED.
    """
    given, own, order = len(truth), d.likely, d.likely[1]
    own[0, :given] = truth
    n = sets.likeliest(p, known, labels, order)
    d.m[0] = 0
    d.seats[:] = -1
    for size in range(min(n, CARRIED - given) + 1):
        if size > 0:
            own[0, given + size - 1] = order[size - 1]
        at = sets.offer(d, own, 0, given + size, sets.key_of(own[0, : given + size]))
        if size == 0 or p[order[size - 1]] > 0.5:
            d.m[1] = at
    for at in range(c.m[0]):
        size = given
        for k in range(c.n[at]):
            if known[c.label[at, k]] == 0:
                if size < CARRIED:
                    own[0, size] = c.label[at, k]
                size += 1
        if size > CARRIED:
            continue
        to = sets.offer(d, own, 0, size, sets.key_of(own[0, :size]))
        if to >= 0 and _agrees(c, at, y, known, given):
            d.votes[to] = c.votes[at]
    sets.rank(sizes, s, d, odds, labels)
    best = np.argmax(d.q[: d.m[0]])
    return d.label[best, : d.n[best]].astype(np.int32)
