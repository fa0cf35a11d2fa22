"""Work that begins now, in a thread of its own, and is asked for later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def beside(work: Callable[[], T], name: str) -> Future[T]:
    """Begin `work` in a thread of this name; what it raises comes with the result.

    A process that ends does not wait for it.

    Examples
    --------
    >>> beside(lambda: 6 * 7, "sum").result()
    42
    """
    begun: Future[T] = Future()

    def run() -> None:
        try:
            begun.set_result(work())
        except BaseException as error:
            begun.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return begun
