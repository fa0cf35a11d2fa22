"""Which index, and why; faiss and torch are imported only for the kinds that need them."""

from __future__ import annotations

from typing import NamedTuple

from indexes.base import LabelIndex
from indexes.extras import DeviceMissing, ExtraNeeded
from indexes.extras import device_present as look

__all__ = ["KINDS", "Choice", "DeviceMissing", "ExtraNeeded", "choose", "make"]

KINDS = ("flat", "faiss_cpu", "faiss_gpu")


class Choice(NamedTuple):
    """An index `kind`, and the `reason` in one sentence."""

    kind: str
    reason: str


def choose(
    kind: str, labels: int, dimension: int, flat_limit: int, device_present: bool | None = None
) -> Choice:
    """The kind of index to use.

    Parameters
    ----------
    kind : str
        `auto`, or one of `KINDS`, which then stands.
    labels : int
        Labels that are expected.
    dimension : int
        Width of the vectors, in floats.
    flat_limit : int
        Labels up to which `auto` searches exactly.
    device_present : bool or None
        Whether the GPU index can run here; None looks, which imports torch where it is installed,
        and is done only when the answer depends on it.

    Examples
    --------
    >>> choose("auto", 500, 256, 8192, device_present=False).kind
    'flat'
    """
    if kind in KINDS:
        return Choice(kind, f"The settings ask for {kind}.")
    if kind != "auto":
        raise ValueError(f"unknown index kind {kind!r}: use auto or one of {', '.join(KINDS)}")
    size = f"{labels:,} labels of {dimension} floats"
    if labels <= flat_limit:
        return Choice("flat", f"{size} are within the {flat_limit:,} that are searched exactly.")
    if look() if device_present is None else device_present:
        return Choice(
            "faiss_gpu", f"{size} are over the limit of {flat_limit:,}, and a CUDA device is there."
        )
    return Choice(
        "faiss_cpu", f"{size} are over the limit of {flat_limit:,}, and no CUDA device is usable."
    )


def make(
    kind: str,
    dimension: int,
    *,
    train_at: int = 8_192,
    threads: int = 1,
    seed: int = 7,
    background: bool = False,
) -> LabelIndex:
    """An empty index.

    Parameters
    ----------
    kind : str
        One of `KINDS`; `Choice.kind`.
    dimension : int
        Width of the vectors, in floats.
    train_at, threads, seed : int
        For `faiss_cpu`: vectors up to which it is exact, threads of a call, seed of training.
    background : bool
        For `faiss_cpu`: build beside the caller rather than inside its calls.

    Raises
    ------
    ExtraNeeded
        A package of an extra is missing.
    DeviceMissing
        `faiss_gpu` without a usable CUDA device.
    DeviceLost
        `faiss_gpu` on a device that fails, or has no memory left.
    ValueError
        An unknown kind.
    """
    if kind == "flat":
        from indexes.flat import Flat

        return Flat(dimension)
    if kind == "faiss_cpu":
        from indexes.faiss_cpu import FaissCpu

        return FaissCpu(
            dimension, train_at=train_at, threads=threads, seed=seed, background=background
        )
    if kind == "faiss_gpu":
        from indexes.faiss_gpu import FaissGpu

        return FaissGpu(dimension)
    raise ValueError(f"unknown index kind {kind!r}: use one of {', '.join(KINDS)}")
