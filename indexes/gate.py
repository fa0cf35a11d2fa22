"""A lock that many readers share and a writer holds alone: searches run beside each other.

A forked child has one thread and finds every lock as it was, some held by threads that it does
not have; so all are made anew there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet


class Mutex:
    """A lock for one thread at a time, which may take it again; free in a forked child."""

    def __init__(self) -> None:
        self.renew()
        _ALL.add(self)

    def renew(self) -> None:
        """Forget who holds it."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


class Gate:
    """Shared by readers, exclusive for a writer; a waiting writer goes before new readers.

    Not reentrant: a thread that holds it must not ask again.
    """

    def __init__(self) -> None:
        self.renew()
        _ALL.add(self)

    def renew(self) -> None:
        """Forget who holds it and who waits."""
        self._turn = threading.Condition(threading.Lock())
        self._readers = 0
        self._waiting = 0
        self._writing = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it together with other readers."""
        with self._turn:
            while self._writing or self._waiting:
                self._turn.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._turn:
                self._readers -= 1
                if self._readers == 0:
                    self._turn.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it with nobody else inside."""
        with self._turn:
            self._waiting += 1
            try:
                while self._writing or self._readers:
                    self._turn.wait()
                self._writing = True
            finally:
                self._waiting -= 1
                # A writer that gave up (an interrupt) must not leave readers asleep.
                if not self._writing:
                    self._turn.notify_all()
        try:
            yield
        finally:
            with self._turn:
                self._writing = False
                self._turn.notify_all()


_ALL: WeakSet[Gate | Mutex] = WeakSet()


def _renew() -> None:
    for lock in list(_ALL):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
