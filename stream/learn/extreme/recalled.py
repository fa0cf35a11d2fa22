"""Exemplars read back as rows with their labels, newest first."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.extreme import former
from stream.learn.extreme.state import INSERT, STORED, Extreme


def recalled(s: Extreme, wanted: Any, each: int, most: int) -> former.Rows:
    """The newest exemplars of labels, by the terms that they are still posted under.

    Takes time in proportion to the memory.

    Parameters
    ----------
    s
        The learner's state.
    wanted
        (labels,) bool.
    each
        Exemplars that are enough for a label.
    most
        Exemplars in all.

    Returns
    -------
    Rows
        Their `state` is 0; of dense rows `n` is 0 throughout: the vectors are at `place`.
    """
    dense = s.exemplars.vector.shape[1] > 1
    room = len(s.exemplars.vector) if dense else len(s.exemplars.n)
    place = np.zeros(min(room, most), np.int64)
    place = place[: _choose(s, room, wanted, each, place)]
    k = 0 if dense else len(place)
    rows = former.Rows(
        place, np.zeros(len(place), np.int64), np.zeros(len(place), np.int64),
        np.zeros((k, INSERT), np.int64), np.zeros((k, INSERT), np.float32),
    )  # fmt: skip
    if k:
        former.read(s, rows, room)
    return rows


@kernel
def _choose(s: Extreme, room: int, wanted: Any, each: int, place: Any) -> int:
    """Places of exemplars in force that have a label of which there are not enough yet."""
    stored, found = s.sizes[STORED], 0
    seen = np.zeros(len(wanted), np.int64)
    for back in range(min(stored, room)):
        at = (stored - 1 - back) % room
        needed = False
        for label in s.exemplars.label[at, : s.exemplars.n[at]]:
            if label < 0 or label >= len(wanted) or not wanted[label] or seen[label] >= each:
                continue
            if stored - 1 - back >= s.labels.forget[label]:
                seen[label] += 1
                needed = True
        if needed:
            place[found] = at
            found += 1
            if found == len(place):
                break
    return found
