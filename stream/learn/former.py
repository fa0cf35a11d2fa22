"""States that a partition was in, and which of them explains what came since an alarm.

An alarm does not delete what was learnt before it: exemplars, and what else a learner keeps, are
put aside under the number of a state, and return when the state does. State NEW is what came
since the change, FORCE what was in force before it, and those from ASIDE on were put aside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stream.jit import kernel

NEW, FORCE, ASIDE = 0, 1, 2
STATES = 4  # put aside at a time
ASKED = 64  # newest exemplars that states are judged by
CLEARLY = 0.1  # share of labels, the least rise that alarms


def explained(given: Any, state: Any, asked: Any, weigh: Callable[[int], Any]) -> Any:
    """How well each state's exemplars find the labels of new ones by their votes.

    Parameters
    ----------
    given
        (n, labels) bool, the partition's labels that exemplars have or had.
    state
        (n,) int64 the state of each, below 0 for none.
    asked
        (k,) int64 the exemplars asked; none votes for itself.
    weigh
        The weights (n,) that all have in the vote for one of them.

    Returns
    -------
    (ASIDE + STATES,) float64
        The share of labels among as many first ones, mean over the exemplars asked.
    """
    voters = [np.flatnonzero(state == k) for k in range(ASIDE + STATES)]
    shares = np.zeros(len(voters))
    for at in asked:
        weight = weigh(at)
        truth = np.flatnonzero(given[at])
        for k, who in enumerate(voters):
            near = who[who != at]
            votes = weight[near] @ given[near]
            first = np.argsort(-votes, kind="stable")[: len(truth)]
            found = np.isin(first, truth) & (votes[first] > 0)
            shares[k] += found.sum() / (len(truth) * len(asked))
    return shares


def choose(state: Any, shares: Any, age: Any, look: bool) -> tuple[int, int]:
    """Which state is back, 0 for none, and under which number the one in force is put aside.

    Parameters
    ----------
    state, age
        (n,) of exemplars; where all numbers are taken, that of the oldest is.
    shares
        What `explained` gave. After an alarm a state is back where it is nearer to what came
        since than to what was in force; that something has changed is known.
    look
        Whether nothing has alarmed: then a state has to be clearly better than the one in force.
    """
    best = ASIDE + int(np.argmax(shares[ASIDE:]))
    bar = shares[FORCE] + CLEARLY if look else (shares[NEW] + shares[FORCE]) / 2
    if shares[best] > bar:
        return best, best
    newest = [age[state == k].min(initial=np.inf) for k in range(ASIDE, ASIDE + STATES)]
    return 0, ASIDE + int(np.argmax(newest))


@kernel
def cosines(n: Any, column: Any, weight: Any, at: int, buffer: Any, out: Any) -> None:
    """The products of all sparse rows with one of them; `buffer` is zero, and is left so.

    Row k has n[k] entries: `weight` (rows, most) in `column` (rows, most).
    """
    for j in range(n[at]):
        buffer[column[at, j]] = weight[at, j]
    for k in range(len(out)):
        total = 0.0
        for j in range(n[k]):
            total += buffer[column[k, j]] * weight[k, j]
        out[k] = total
    for j in range(n[at]):
        buffer[column[at, j]] = 0
