"""Time, injected: the service reads the system's clock, tests move their own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the service asks of a clock; both in seconds."""

    def now(self) -> float:
        """Wall time since the epoch; may jump."""
        ...

    def monotonic(self) -> float:
        """Time that never goes back; for intervals."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told.

    Examples
    --------
    >>> clock = ManualClock(10.0)
    >>> clock.advance(2.5)
    >>> clock.monotonic()
    12.5
    """

    def __init__(self, start: float = 0.0) -> None:
        self._at = start

    def now(self) -> float:
        return self._at

    def monotonic(self) -> float:
        return self._at

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`."""
        self._at += seconds
