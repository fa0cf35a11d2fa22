"""An array that only grows, in a file that another process maps."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

_LEAST = 1 << 16  # bytes


class GrowingWriter:
    """Appends entries; what was written stays where it is.

    Parameters
    ----------
    path
        The file, made anew.
    dtype
        Of its entries.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._dtype = np.dtype(dtype)
        self._bytes = self._room = 0
        self._make_room(_LEAST)

    def __len__(self) -> int:
        return self._bytes // self._dtype.itemsize

    def append(self, entries: Any, at: int | None = None) -> None:
        """Write (n,) entries behind the last, or behind the first `at`, where nobody has been told
        of more. `OSError` when there is no room for them.
        """
        body = np.ascontiguousarray(entries, self._dtype).tobytes()
        start = self._bytes if at is None else at * self._dtype.itemsize
        if start + len(body) > self._room:
            self._make_room(max(2 * self._room, start + len(body)))
        done = 0
        while done < len(body):
            done += os.pwrite(self._file, body[done:], start + done)
        self._bytes = start + len(body)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _make_room(self, size: int) -> None:
        os.ftruncate(self._file, size)  # costs nothing where nothing is written
        self._room = size


class GrowingReader:
    """The entries that are known to be there, not copied."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._whole = np.zeros(0, self._dtype)

    def first(self, count: int) -> Any:
        """The first `count` entries, which the writer has said are written."""
        if count > len(self._whole):
            with self._path.open("rb") as file:
                # private, so that its type is that of an array of our own; see `Reader`
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            usable = len(mapped) // self._dtype.itemsize
            self._whole = np.frombuffer(mapped, self._dtype, usable)
        return self._whole[:count]
