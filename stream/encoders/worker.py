"""The thread in which an encoder works, and the look at what it gives."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import numpy as np

from stream.encoders.base import TextEncoder
from stream.types import Float32


class Worker:
    """One thread that embeds, begun with the first texts; a process that ends does not wait for it.

    Parameters
    ----------
    encoder
        Called from that thread alone.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._dimension = encoder.dimension
        self._todo: SimpleQueue[tuple[list[str], Future[Any]] | None] = SimpleQueue()
        self._job: Future[Any] | None = None
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether it is still at texts that it was given."""
        return self._job is not None and not self._job.done()

    def begin(self, texts: Sequence[str]) -> Future[Any]:
        """Give it texts, while it is not busy; what will come is `unit` of their vectors."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
            self._thread.start()
        self._job = Future()
        self._todo.put((list(texts), self._job))
        return self._job

    def end(self) -> None:
        """End the thread, after what it is at."""
        self._todo.put(None)

    def _work(self) -> None:
        while (given := self._todo.get()) is not None:
            texts, job = given
            try:  # the look at the answer may take time, and break, as the encoder itself
                job.set_result(unit(self._encoder.embed(texts), len(texts), self._dimension))
            except BaseException as error:
                job.set_exception(error)
            del given, texts, job


def unit(found: Any, n: int, dimension: int) -> tuple[Float32, str]:
    """Rows (n, dimension) float32 at unit length, and what is wrong with the whole.

    Rows that are not finite, or of length 0, are NaN.

    Examples
    --------
    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]]), 2, 2)
    (array([[0.6, 0.8],
           [nan, nan]], dtype=float32), '')
    >>> unit(np.zeros((1, 3)), 2, 2)[1]
    'an answer of shape (1, 3) and type float64 instead of (2, 2) and float32'
    """
    rows = np.asarray(found)
    if rows.shape != (n, dimension) or rows.dtype.kind != "f":
        have = f"an answer of shape {rows.shape} and type {rows.dtype}"
        none = np.full((n, dimension), np.nan, np.float32)
        return none, f"{have} instead of {(n, dimension)} and float32"
    rows = rows.astype(np.float64 if rows.dtype.itemsize > 4 else np.float32)
    with np.errstate(all="ignore"):
        rows /= np.abs(rows).max(axis=1, keepdims=True)  # squares of what is left do not overflow
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows.astype(np.float32)
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    return rows, ""
