"""The first names in order that start with a prefix, among names that are in no order.

Bytes of UTF-8 are in the order of code points, so that names are compared as they lie there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.types import Int32


def with_prefix(data: Any, bounds: Any, prefix: bytes, most: int) -> Int32:
    """Slots of at most `most` names, least first.

    Parameters
    ----------
    data
        (m,) uint8, the names in a row.
    bounds
        (n + 1,) int64: name `s` is `data[bounds[s]:bounds[s + 1]]`.
    prefix
        What they start with.
    most
        How many at most.
    """
    found = np.zeros(max(most, 0), np.int32)
    if not len(found):
        return found
    return found[: _least(data, bounds, np.frombuffer(prefix, np.uint8), found)]


@kernel
def _least(data: Any, bounds: Any, prefix: Any, found: Any) -> int:
    count = 0
    for slot in range(len(bounds) - 1):
        start, length = bounds[slot], bounds[slot + 1] - bounds[slot]
        if length < len(prefix):
            continue
        same = 0
        while same < len(prefix) and data[start + same] == prefix[same]:
            same += 1
        if same < len(prefix):
            continue
        if count == len(found) and not _before(data, bounds, slot, found[count - 1]):
            continue
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            if _before(data, bounds, slot, found[middle]):
                high = middle
            else:
                low = middle + 1
        count = min(count + 1, len(found))
        for at in range(count - 1, low, -1):
            found[at] = found[at - 1]
        found[low] = slot
    return count


@kernel
def _before(data: Any, bounds: Any, one: int, other: int) -> bool:
    a, b = bounds[one], bounds[other]
    short = min(bounds[one + 1] - a, bounds[other + 1] - b)
    for at in range(short):
        if data[a + at] != data[b + at]:
            return bool(data[a + at] < data[b + at])
    return bool(bounds[one + 1] - a < bounds[other + 1] - b)
