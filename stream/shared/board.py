"""Which buffer holds the newest view, and which are being read: one page that both sides map.

The writer bumps the sequence to an odd number, changes the current buffer, and bumps it again, so
that a reader who finds an even number that has not moved knows that nothing has changed; that is
all a request costs. To take up a buffer or to leave it is rare, and goes under a file lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

BUFFERS = 6
_WORDS = 64
_SEQUENCE, _CURRENT, _HELD = 0, 1, 8


class Board:
    """The page, as the writer (`make`) or a reader sees it. Safe for threads.

    Parameters
    ----------
    path
        The file.
    make
        Whether to make it anew.
    """

    def __init__(self, path: Path, make: bool = False) -> None:
        flags = os.O_RDWR | (os.O_CREAT | os.O_TRUNC if make else 0)
        self._file = os.open(path, flags, 0o600)
        if make:
            os.ftruncate(self._file, 8 * _WORDS)
        self._words = np.frombuffer(mmap.mmap(self._file, 8 * _WORDS), np.uint64)
        self._turn = threading.Lock()

    @property
    def sequence(self) -> int:
        """Even, and another one than before where there is a newer view; 0 before the first."""
        return int(self._words[_SEQUENCE])

    def spare(self) -> int | None:
        """A buffer that is neither current nor read by anyone; None when there is none."""
        with self._locked():
            current = int(self._words[_CURRENT]) - 1
            for buffer in range(BUFFERS):
                if buffer != current and self._words[_HELD + buffer] == 0:
                    return buffer
        return None

    def publish(self, buffer: int) -> None:
        """Make a buffer the current one."""
        with self._locked():
            self._words[_SEQUENCE] += np.uint64(1)
            self._words[_CURRENT] = buffer + 1
            self._words[_SEQUENCE] += np.uint64(1)

    def take(self) -> tuple[int, int] | None:
        """The sequence and the current buffer, held until `leave`; None before the first view."""
        with self._locked():
            current = int(self._words[_CURRENT]) - 1
            if current < 0:
                return None
            self._words[_HELD + current] += np.uint64(1)
            return int(self._words[_SEQUENCE]), current

    def leave(self, buffer: int) -> None:
        """Hold a buffer no more."""
        with suppress(OSError, ValueError), self._locked():  # closed by now
            self._words[_HELD + buffer] -= np.uint64(1)

    def forget_readers(self) -> None:
        """Nobody reads: the reader's process has ended."""
        with self._locked():
            self._words[_HELD : _HELD + BUFFERS] = 0

    def close(self) -> None:
        """Close the file; what is held stays held, and is left without a word."""
        with self._turn:
            os.close(self._file)
            self._file = -1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._turn:  # a file lock is the process's, not the thread's
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
