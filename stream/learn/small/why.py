"""What a score of the small learner is made of, read from the room that it was computed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.config import EXPERTS
from stream.learn.small.state import STORED, WINDOW, Small
from stream.learn.small.step import Scratch
from stream.learn.why import LabelWhy, Why, log_odds


def why(s: Small, t: Scratch, leaf_of: Any, slots: Sequence[int], most: int, dense: bool) -> Why:
    """Explain labels of the row that `forward` has just seen.

    The parts of the mixture are exact, since it is linear in them; `label_sets` is what the
    re-ranking of whole label sets moved.
    """
    return Why([_label(s, t, leaf_of, slot) for slot in slots], _exemplars(s, t, most, dense))


def _label(s: Small, t: Scratch, leaf_of: Any, slot: int) -> LabelWhy:
    z, leaf = t.z[slot].astype(np.float64), int(leaf_of[slot])
    weighed = (s.mixture.shared + s.mixture.label[slot]) * z
    parts = {name: float(weighed[e]) for e, name in enumerate(EXPERTS) if weighed[e]}
    parts["label_bias"] = float(s.mixture.bias[slot])
    if leaf >= 0 and t.use[1]:
        parts["partition"] = float(s.mixture.leaf[leaf] @ z)
    total = log_odds(float(t.p[slot]))
    parts["label_sets"] = total - sum(parts.values())
    return LabelWhy(slot, leaf, total, parts)


def _exemplars(
    s: Small, t: Scratch, most: int, dense: bool
) -> list[tuple[float, int, list[int]]]:  # fmt: skip
    newest = int(s.sizes[STORED]) - 1
    found = []
    for place, close in zip(t.c.who[: t.near[0]].tolist(), t.c.best.tolist(), strict=False):
        similarity = 1.0 / (1.0 - close) if dense else close  # distances are negative there
        labels = np.flatnonzero(s.memory.y[place] == 1).tolist()
        found.append((similarity, (newest - place) % WINDOW + 1, labels))
        if len(found) == most:
            break
    return found
