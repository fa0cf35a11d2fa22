"""The generations as an operator sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stream.generations.generations import Generations


def about(generations: Generations) -> dict[str, Any]:
    """The generations, whether challengers are trained, and what came of the last; plain JSON."""
    found = []
    for one, where in ((generations.current, "in use"), (generations.before, "before")):
        if one is not None:
            encoder, labels = one.encoder, len(one.prototypes)
            found.append(_one(one.number, encoder.kind, encoder.dimension, where, labels))
    if generations.coming is not None:
        told = generations.coming.begun
        found.append(_one(told.number, told.encoder, told.dimension, "being made", told.labels))
    state, reason = generations.training.told()
    if generations.plugged and state == "waiting":
        reason = "an encoder is plugged in, beside which nothing is trained"
    return {
        "generations": found,
        "training": {"state": state, "reason": reason},
        "verdicts": [asdict(one) for one in generations.verdicts],
    }


def obey(generations: Generations, order: Mapping[str, Any]) -> bool:
    """Do what an operator asked for; whether it could be done.

    Parameters
    ----------
    order
        `what`: "rollback" or "resume"; `from`: the generation that was in use when it was asked
        for, so that one that is asked for twice is done once.
    """
    if order["what"] == "resume":
        return generations.resume()
    current = generations.current
    return current is not None and current.number == order["from"] and generations.roll_back()


def _one(number: int, encoder: str, dimension: int, state: str, labels: int) -> dict[str, Any]:
    return {
        "number": number,
        "encoder": encoder,
        "dimension": dimension,
        "state": state,
        "labels": labels,
    }
