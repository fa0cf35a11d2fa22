"""What a score is made of: the parts of its log odds, and the exemplars that spoke for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_CLIP = 1e-6


@dataclass(frozen=True)
class LabelWhy:
    """One label's score.

    Parameters
    ----------
    slot
        The label.
    leaf
        Its partition, -1 for none.
    log_odds
        Of its score; the sum of all parts.
    parts
        By expert, the partition's own correction under `partition`.
    by_index
        Whether only the prototype index made it a candidate.
    """

    slot: int
    leaf: int
    log_odds: float
    parts: dict[str, float]
    by_index: bool = False


@dataclass(frozen=True)
class Why:
    """Of one event: the labels that were asked for, and the exemplars that voted, nearest first.

    An exemplar is its similarity, how many exemplars ago it was kept, and its label slots.
    """

    labels: list[LabelWhy]
    exemplars: list[tuple[float, int, list[int]]]


def log_odds(p: float) -> float:
    """Of a probability, bounded as those of the learners are."""
    bounded = min(max(p, _CLIP), 1.0 - _CLIP)
    return float(np.log(bounded / (1.0 - bounded)))


def shown(slots: Any) -> list[int]:
    """Label slots without the empty places."""
    return [int(slot) for slot in slots if slot >= 0]
