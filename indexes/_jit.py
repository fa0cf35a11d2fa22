"""The one way in which this package compiles its kernels: cached on disk, without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])

# Sums may be reordered, which is what makes an inner product fast; NaN and infinity keep their
# meaning, because guards rely on them.
_SUMS = {"reassoc", "contract"}


def kernel(function: F) -> F:
    """Compile `function`; the result is the same however often and wherever it is called."""
    return cast(
        F, numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_SUMS)(function)
    )
