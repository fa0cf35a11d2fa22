"""Work that begins now, in a thread of its own, and is asked for later."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def beside(work: Callable[[], T], name: str) -> Future[T]:
    """Begin `work` in a thread of this name; what it raises comes with the result.

    Examples
    --------
    >>> beside(lambda: 6 * 7, "sum").result()
    42
    """
    pool = ThreadPoolExecutor(1, name)
    begun = pool.submit(work)
    pool.shutdown(wait=False)
    return begun
