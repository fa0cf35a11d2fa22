"""A line in the log about dead letters, now and then: their topic holds them all."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stream import logs
from stream.clock import Clock
from stream.types import DeadLetter

log = logging.getLogger(__name__)

_EVERY_S = 1.0


class LetterLog:
    """Logs the newest of many dead letters, and how many there were since the last line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = float("-inf")
        self._untold = 0

    def note(self, letters: Sequence[DeadLetter]) -> None:
        """Count letters; a line where the last one is a while ago."""
        self._untold += len(letters)
        if not letters or self._clock.monotonic() < self._due:
            return
        self._due = self._clock.monotonic() + _EVERY_S
        last = letters[-1]
        log.warning(
            "%d dead letters, the last: %s: %s", self._untold, last.reason, last.detail,
            extra=logs.at(last.record),
        )  # fmt: skip
        self._untold = 0
