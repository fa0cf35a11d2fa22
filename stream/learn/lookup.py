"""Slots of many label ids at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.idtable import Lookup
from stream.learn.jit import kernel


def slots_of_ids(lookup: Lookup, ids: Any) -> Any:
    """The slot of each id (any shape, int64) as int32; -1 for an id that no label has.

    Examples
    --------
    >>> from stream.idtable import IdTable
    >>> slots_of_ids(IdTable(np.array([7, 9])).lookup, np.array([[9, 8]])).tolist()
    [[1, -1]]
    """
    out = np.full(ids.shape, -1, np.int32)
    _find(lookup.table, lookup.ids, np.ascontiguousarray(ids, np.int64).ravel(), out.reshape(-1))
    return out


@kernel
def _find(table: Any, ids: Any, wanted: Any, out: Any) -> None:
    mask = len(table) - 1
    for i in range(len(wanted)):
        at = wanted[i] & mask
        while table[at] >= 0:
            if ids[table[at]] == wanted[i]:
                out[i] = table[at]
                break
            at = (at + 1) & mask
