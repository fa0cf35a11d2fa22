"""What the small learner forgets of labels whose meaning has changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.jit import kernel
from stream.learn.small.state import COLUMNS, STORED, WINDOW, Small

GONE = -(1 << 40)  # the number of an exemplar that is nobody's neighbour
FAR = 1e30  # squared length of such a dense row
NOWHERE = 255  # a bin that no value has


BOOST = 15.0  # step size factor of a forgotten label, for experts that cannot start anew


def forget(s: Small, slots: Any, values: int, dense: bool) -> None:
    """Forget labels as they were before their newest `values` exemplars.

    Older exemplars do not vote for them, and those that have no other label are no neighbours
    any more. Their logistics start anew. The least squares share their covariance with all
    labels: they keep their weights and take longer steps, as after few events. Takes time in
    proportion to the window.

    Parameters
    ----------
    s
        The learner's state, changed in place.
    slots
        (n,) int, the labels.
    values
        Exemplars to keep, at least 1.
    dense
        Whether rows are dense.
    """
    stored = int(s.sizes[STORED])
    numbers = np.arange(max(stored - WINDOW, 0), stored)
    ring = numbers % WINDOW
    own = (s.memory.y[np.ix_(ring, slots)] == 1).any(axis=1)  # 2 is not looked for
    theirs = numbers[own]
    since = int(theirs[-values]) if len(theirs) >= values else 0
    s.memory.forget[slots] = since
    old = ring[own & (numbers < since)]
    cells = np.ix_(old, slots)
    s.memory.y[cells] = np.where(s.memory.y[cells] == 2, 2, 0)
    dead = np.zeros(WINDOW, np.bool_)
    dead[old] = ~s.memory.y[old].any(axis=1)
    if dense:
        s.memory.norm[dead] = FAR
        s.memory.bins[:, dead] = NOWHERE
    else:
        _bury(s.memory.seq[: s.sizes[COLUMNS]], dead, max(stored - WINDOW, 0))
    one = s.linear
    one.w[:, :, slots] = 0
    one.binned[:, :, slots] = 0
    one.wh[:, :, slots] = 0
    one.gh[:, :, slots] = 0
    s.mixture.boost[slots] = BOOST


@kernel
def _bury(seq: Any, dead: Any, oldest: int) -> None:
    """Take exemplars out of the postings."""
    for column in range(seq.shape[0]):
        for at in range(seq.shape[1]):
            number = seq[column, at]
            if number >= oldest and dead[number % WINDOW]:
                seq[column, at] = GONE
