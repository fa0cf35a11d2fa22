"""What the arrays of the extreme learner weigh, and how many entries fit into so many bytes.

Every array grows in proportion to its capacities; what an entry weighs is seen on small arrays
that are really made, so that it is never another than that of the learner.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from stream.errors import SettingError
from stream.learn.extreme.scratch import scratch
from stream.learn.extreme.state import DENSE_WINDOW, STORED, Extreme, capacities, make, naming

EXEMPLARS_LEAST = 256
TABLE_LEAST, TABLE_MOST = 10, 28  # log2 of weights
_SMALL = 64


class Costs(NamedTuple):
    """Bytes of one more exemplar, term, weight, label, named label and partition; and the rest."""

    exemplar: int
    term: int
    weight: int
    label: int
    named: int
    leaf: int
    fixed: int


@cache
def costs(width: int) -> Costs:
    """What entries weigh where dense rows are `width` long, 0 for sparse rows."""
    small = capacities(_SMALL, 6, 6, width, _SMALL, _SMALL)
    whole = _weigh(small)
    more = capacities(2 * _SMALL, 6, 6, width, _SMALL, _SMALL)
    changes = (
        {axis: more[axis] for axis in ("exemplars", "pool", "window")},
        {"terms": 2 * _SMALL},
        {"table": 2 * _SMALL},
        {"labels": 2 * _SMALL},
        naming(small["named"] + _SMALL),
        {"leaves": 2 * _SMALL},
    )
    each = [(_weigh(small | change) - whole) // _SMALL for change in changes]
    entries = (_SMALL, _SMALL, _SMALL, _SMALL, small["named"], _SMALL)
    spent = sum(cost * n for cost, n in zip(each, entries, strict=True))
    return Costs._make([*each, whole - spent])


def exemplars_in(budget: int, width: int) -> int:
    """The largest power of two of exemplars, with what finds them, that fits into `budget` bytes.

    Raises
    ------
    SettingError
        Fewer than EXEMPLARS_LEAST fit.
    """
    each = costs(width).exemplar
    fit = _power_in(budget // each)
    if fit < EXEMPLARS_LEAST:
        least = EXEMPLARS_LEAST * each
        raise SettingError("learn.exemplar_bytes", budget, f"write at least {least:_}")
    return min(fit, DENSE_WINDOW) if width else fit


def table_bits(budget: int) -> int:
    """log2 of the hashed weights that fit into `budget` bytes.

    Raises
    ------
    SettingError
        Fewer than 2^TABLE_LEAST fit.
    """
    each = costs(0).weight
    bits = _power_in(budget // each).bit_length() - 1
    if bits < TABLE_LEAST:
        least = each << TABLE_LEAST
        raise SettingError("learn.linear_bytes", budget, f"write at least {least:_}")
    return min(bits, TABLE_MOST)


def evicted(state: Extreme) -> int:
    """Exemplars that gave way to newer ones so far."""
    room = len(state.exemplars.n)
    return max(0, int(state.sizes[STORED]) - room)


def _power_in(count: int) -> int:
    """The largest power of two up to `count`, 0 for none."""
    return 1 << (count.bit_length() - 1) if count > 0 else 0


def _weigh(capacity: dict[str, int]) -> int:
    state = make(capacity, 0)
    return weigh(state) + weigh(scratch(state))


def weigh(arrays: Any) -> int:
    """Bytes of nested tuples of arrays."""
    if isinstance(arrays, tuple):
        return sum(weigh(part) for part in arrays)
    return int(arrays.nbytes)
