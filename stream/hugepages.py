"""Put arrays back on huge pages after a fork.

Writing to memory that a child shares splits huge pages into small ones, of which the next fork
copies the tables (25 ms for each GB, against 1), and which cost every access more. The kernel
would join them in its own time, over many minutes.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

_COLLAPSE = 25  # MADV_COLLAPSE, Linux 6.1 and later; older ones refuse it and nothing is lost
_PAGE = 1 << 21
_LEAST = 2 * _PAGE  # bytes of an array that is worth it; numpy asks for huge pages from there on
_STEP = 16 * _PAGE  # bytes of a call


@cache
def _madvise() -> Any:
    if sys.platform != "linux":
        return None
    try:
        call = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return call


def join(arrays: Iterable[Any]) -> int:
    """Join the pages of large arrays, which may be in use; bytes on huge pages now."""
    madvise, done = _madvise(), 0
    for array in arrays if madvise is not None else ():
        if array.nbytes < _LEAST or not array.flags.c_contiguous:
            continue
        start = -(-array.ctypes.data // _PAGE) * _PAGE
        stop = (array.ctypes.data + array.nbytes) // _PAGE * _PAGE
        for at in range(start, stop, _STEP):
            size = min(_STEP, stop - at)
            if madvise(at, size, _COLLAPSE) == 0:
                done += size
    return done
