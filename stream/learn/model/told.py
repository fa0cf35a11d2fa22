"""What the model tells of a suspicious label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream.learn.suspicion import Suspect
from stream.types import DriftEvent

_LIKELIER = 3  # labels named beside it


def suspicious(
    one: Suspect, slots: Any, p: Any, names: Sequence[str], leaf_of: Any, position: int,
    ids: Sequence[str] | None,
) -> DriftEvent:  # fmt: skip
    """Where a cell stood among the event's candidates, and what was likelier.

    Parameters
    ----------
    slots, p
        (k,) candidates of its event, best first, and their probabilities.
    names, leaf_of
        By slot: the label, and its partition.
    position
        Of the first event of the batch.
    ids
        Of the events of the batch, None where they have none.
    """
    above = range(min(_LIKELIER, len(slots) if one.rank < 0 else one.rank))
    evidence = {
        "event": None if ids is None else ids[one.at],
        "given": one.given,
        "probability": float(p[one.rank]) if one.rank >= 0 else 0.0,
        "rank": one.rank + 1 if one.rank >= 0 else None,
        "likelier": [[names[slots[at]], float(p[at])] for at in above if slots[at] >= 0],
        "partition": int(leaf_of[one.slot]),
        "score": one.score,
        "bar": one.bar,
    }
    return DriftEvent("suspicious_label", f"label/{names[one.slot]}", position + one.at, evidence)
