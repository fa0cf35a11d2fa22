"""A lock that many readers share and a writer holds alone: searches run beside each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Shared by readers, exclusive for a writer; a waiting writer goes before new readers.

    Not reentrant: a thread that holds it must not ask again.
    """

    def __init__(self) -> None:
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
