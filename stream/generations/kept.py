"""Generations as arrays and plain JSON, for snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from indexes.prototypes import Prototypes
from stream.config import Index
from stream.generations.resting import Resting
from stream.learn.encoder.encoders import Encoder, revived
from stream.retrieval import Retrieval
from stream.types import DriftEvent


class Kept(NamedTuple):
    """What a snapshot has of the generations.

    Parameters
    ----------
    current, before
        In use, and the one before it.
    newest
        The highest number that was given.
    held
        Whether training is not to go on.
    verdicts
        What came of the last challengers.
    """

    current: Retrieval
    before: Resting | None
    newest: int
    held: bool
    verdicts: Sequence[DriftEvent]


def parts(
    current: Retrieval, before: Resting | None, copied: bool = True
) -> Iterator[tuple[str, Any]]:
    """The arrays by name, piece by piece; see `Retrieval.parts`."""
    yield from current.parts(copied)
    yield from _under("encoder.", current.encoder.arrays())
    if before is not None:
        yield from _under("before.encoder.", before.encoder.arrays())
        yield from _under("before.prototypes.", before.prototypes.snapshot(copied=copied))


def state(kept: Kept) -> dict[str, Any]:
    """Plain JSON beside `parts`."""
    now, before = kept.current, kept.before
    return {
        "current": _about(now.encoder, now.number),
        "before": None if before is None else _about_resting(before),
        "newest": kept.newest,
        "held": kept.held,
        "verdicts": [[one.kind, one.scope, one.position, one.evidence] for one in kept.verdicts],
    }


def encoder(arrays: Mapping[str, Any], given: Mapping[str, Any]) -> Encoder:
    """The encoder in use, of what `parts` and `state` gave."""
    now = given["current"]
    return revived(now["kind"], now["dimension"], _named(arrays, "encoder."))


def load(
    settings: Index, arrays: dict[str, Any], kind: str, given: Mapping[str, Any]
) -> Kept:  # fmt: skip
    """What `parts` and `state` gave; `kind` is the index's."""
    now, then = given["current"], given["before"]
    current = Retrieval(settings, encoder(arrays, given), now["number"])
    current.load(arrays, kind)
    before = None
    if then is not None:
        prototypes = Prototypes(then["dimension"], capacity_bytes=settings.prototype_bytes)
        prototypes.restore(_named(arrays, "before.prototypes."))
        old = revived(then["kind"], then["dimension"], _named(arrays, "before.encoder."))
        brought = tuple(then.get("brought", (0.0, 0.0)))  # not kept from the beginning
        before = Resting(old, then["number"], prototypes, brought)
    told = [DriftEvent(*one) for one in given["verdicts"]]
    return Kept(current, before, given["newest"], given["held"], told)


def _about(encoder: Encoder, number: int) -> dict[str, Any]:
    return {"kind": encoder.kind, "dimension": encoder.dimension, "number": number}


def _about_resting(one: Resting) -> dict[str, Any]:
    return _about(one.encoder, one.number) | {"brought": list(one.brought)}


def _under(prefix: str, arrays: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, array in arrays.items():
        yield prefix + name, array


def _named(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): part for name, part in arrays.items() if name.startswith(prefix)
    }
