"""Named arrays that grow: a NamedTuple of arrays, and a table of each one's axes.

A capacity is named (`labels`, `columns`, ...), so that one call grows every array that has such
an axis, and a snapshot is the arrays under their names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

T = TypeVar("T", bound=tuple[Any, ...])
AnyArray = NDArray[Any]


class Spec(NamedTuple):
    """An array's axes (a number, or the name of a capacity), dtype and first value."""

    axes: tuple[int | str, ...]
    dtype: DTypeLike = np.float32
    fill: float = 0


Specs = Mapping[str, Spec]


def allocate(kind: type[T], specs: Specs, capacity: Mapping[str, int]) -> T:
    """A new `kind` with each array at the given capacities."""
    return kind(*(_new(specs[name], capacity) for name in _fields(kind)))


def grow(state: T, specs: Specs, capacity: Mapping[str, int]) -> T:
    """`state` at larger capacities: old values kept in the low corner, the rest filled."""
    grown = []
    for name, old in zip(_fields(type(state)), state, strict=True):
        spec = specs[name]
        if _shape(spec, capacity) == old.shape:
            grown.append(old)
            continue
        new = _new(spec, capacity)
        new[tuple(slice(0, size) for size in old.shape)] = old
        grown.append(new)
    return type(state)(*grown)


def duplicate(state: T, room: T | None = None) -> T:
    """A deep copy of nested tuples of arrays.

    `room` is an older copy that nobody uses any more; its arrays are written over where they
    fit, since fresh memory costs several times what copying does.
    """
    if room is None:
        return type(state)(
            *(duplicate(part) if isinstance(part, tuple) else part.copy() for part in state)
        )
    copied = []
    for part, old in zip(state, room, strict=True):
        if isinstance(part, tuple):
            copied.append(duplicate(part, old))
        elif part.shape == old.shape:
            np.copyto(old, part)
            copied.append(old)
        else:
            copied.append(part.copy())
    return type(state)(*copied)


def dump(state: tuple[AnyArray, ...], prefix: str) -> dict[str, AnyArray]:
    """The arrays by name, not copied."""
    names = _fields(type(state))
    return {f"{prefix}.{name}": array for name, array in zip(names, state, strict=True)}


def restore(kind: type[T], arrays: Mapping[str, AnyArray], prefix: str) -> T:
    """The reverse of `dump`; takes the arrays over where they can be written to."""
    return kind(*(own(arrays[f"{prefix}.{name}"]) for name in _fields(kind)))


def own(array: AnyArray) -> AnyArray:
    """The array itself where it is contiguous and can be written to, else a copy."""
    return np.require(array, requirements=["C", "W"])


def nbytes(specs: Specs, capacity: Mapping[str, int]) -> int:
    """Bytes of all arrays at these capacities."""
    return sum(
        math.prod(_shape(spec, capacity)) * np.dtype(spec.dtype).itemsize for spec in specs.values()
    )


def borrow(kind: type[T], arrays: Mapping[str, AnyArray], prefix: str) -> T:
    """`restore` without a copy."""
    return kind(*(arrays[f"{prefix}.{name}"] for name in _fields(kind)))


def power(need: int, least: int) -> int:
    """The smallest least·2^n that is at least `need`."""
    size = least
    while size < need:
        size *= 2
    return size


def _fields(kind: type[Any]) -> tuple[str, ...]:
    names: tuple[str, ...] = kind._fields
    return names


def _shape(spec: Spec, capacity: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(capacity[axis] if isinstance(axis, str) else axis for axis in spec.axes)


def _new(spec: Spec, capacity: Mapping[str, int]) -> AnyArray:
    shape = _shape(spec, capacity)
    if spec.fill == 0:
        return np.zeros(shape, spec.dtype)  # untouched pages cost nothing
    return np.full(shape, spec.fill, spec.dtype)
