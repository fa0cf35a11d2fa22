"""Work beside the caller's: one thread at the lowest priority, there only while it has work."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_log = logging.getLogger(__name__)
_LOWEST = 19


def lower_priority(nice: int = _LOWEST) -> None:
    """Let others run before the calling thread, the more so the nicer, where that can be said."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


class Worker:
    """Calls `step` in a thread until it returns False; `wake` begins anew.

    Parameters
    ----------
    step : callable
        Does some work; whether there may be more.
    name : str
        Of the thread.
    """

    def __init__(self, step: Callable[[], bool], name: str) -> None:
        self._step, self._name = step, name
        self._state = threading.Condition(threading.Lock())
        self._running = self._again = self._closed = False
        self._held = 0
        self._failure: Exception | None = None

    def wake(self) -> None:
        """Have `step` called, soon, at least once from now on."""
        with self._state:
            self._again = True
            self._start()

    def wait(self) -> None:
        """Until there is nothing to do. `RuntimeError` when a step failed since the last time."""
        with self._state:
            while self._running or (self._again and not self._closed and not self._held):
                self._state.wait()
            failure, self._failure = self._failure, None
        if failure is not None:
            raise RuntimeError(f"{self._name} failed: {failure}") from failure

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No step runs inside."""
        with self._state:
            self._held += 1
            while self._running:
                self._state.wait()
        try:
            yield
        finally:
            with self._state:
                self._held -= 1
                if self._again:
                    self._start()

    def close(self) -> None:
        """Begin no step any more; one that is under way ends by itself, which is not waited for."""
        with self._state:
            self._closed = True

    def _start(self) -> None:
        if not (self._running or self._closed or self._held):
            self._running = True
            threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        lower_priority()
        while True:
            with self._state:
                if not self._again or self._closed or self._held:
                    self._running = False
                    self._state.notify_all()
                    return
                self._again = False
            try:
                more = self._step()
            except Exception as error:
                _log.exception("%s failed; it is tried again when there is new work", self._name)
                self._failure, more = error, False
            with self._state:
                self._again = self._again or more
