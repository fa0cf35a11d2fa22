"""What a score of the extreme learner is made of, read from the room that it was computed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.learn.extreme.scratch import FOUND, NEAREST, OFF_BIAS, OWN, Scratch
from stream.learn.extreme.state import STORED, Extreme, Rescorer
from stream.learn.why import LabelWhy, Why, shown

GROUPS = {
    "exemplars": (0, 1, 2, 3, 4, 5, 6),
    "exemplars_by_title": (24, 25),
    "prior": (7, 8),
    "recency": (9, 10, 11),
    "hit_rate": (12,),
    "linear": (13,),
    "centroid": (14,),
    "index": (16, 17),
    "names": (22, 26, 27, 28, 29, 30, 31),
    "name_parts": (23, 32, 33),
}
"""The re-scorer's features by what they come of, as `stream.learn.extreme.inputs` writes them."""
_ABSENT = {0: float(np.log(0.01 / 1.01)), 26: -2.0}
"""Features that are not 0 where there is nothing: odds of no votes, and no name."""


def why(s: Extreme, t: Scratch, leaf_of: Any, slots: Sequence[int], most: int) -> Why:
    """Explain labels of the row that `forward` has just seen; those not scored are left out.

    A part is what the log odds lose where its features are as of a candidate that it says nothing
    of. The re-scorer is not linear, so `together` holds
    what the parts do only together, and the constant.
    """
    seats = {int(label): at for at, label in enumerate(t.candidate[: t.n[FOUND]])}
    labels = [_label(s, t, leaf_of, slot, seats[slot]) for slot in slots if slot in seats]
    return Why(labels, _exemplars(s, t, most))


def _label(s: Extreme, t: Scratch, leaf_of: Any, slot: int, at: int) -> LabelWhy:
    x, leaf = t.x[at], int(leaf_of[slot])
    whole = _logit(s.rescorer, x)
    parts = {}
    for name, places in GROUPS.items():
        without = x.copy()
        for place in places:
            without[place] = _ABSENT.get(place, 0.0)
        if (part := whole - _logit(s.rescorer, without)) != 0:
            parts[name] = part
    if leaf >= 0 and not t.off[OFF_BIAS]:
        parts["partition"] = float(s.rescorer.leaf[leaf])
    total = float(t.z[at])
    parts["together"] = total - sum(parts.values())
    return LabelWhy(slot, leaf, total, parts, by_index=bool(at >= t.n[OWN]))


def _logit(net: Rescorer, x: Any) -> float:
    return float(net.skip @ x + net.out @ np.maximum(net.w1 @ x, 0))


def _exemplars(s: Extreme, t: Scratch, most: int) -> list[tuple[float, int, list[int]]]:
    newest = int(s.sizes[STORED]) - 1
    room = len(s.exemplars.n)
    if s.exemplars.vector.shape[1] > 1:
        room = len(s.exemplars.vector)
    found = []
    for k in range(min(int(t.n[NEAREST]), most)):
        place = int(t.who[k])
        labels = shown(s.exemplars.label[place, : s.exemplars.n[place]])
        found.append((float(t.best[k]), (newest - place) % room + 1, labels))
    return found
