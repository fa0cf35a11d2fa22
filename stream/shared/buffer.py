"""Named arrays and a little JSON in a file that two processes map."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

_ALIGN = 64
_SLACK = 1.25  # room that an array may grow into before the file is laid out anew
Place = tuple[str, tuple[int, ...], int]
"""dtype, shape and offset of an array."""


class Writer:
    """Writes over one file again and again, whose memory stays where it is.

    Nobody may read it meanwhile: see `stream.shared.board`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._memory: Any = None
        self._rooms: dict[str, tuple[int, int]] = {}
        """Offset and bytes kept for each array."""
        self._granted: dict[str, int] = {}
        """Bytes of each that are there for certain: to write where there is no more memory for
        files would end the process."""

    def put(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Replace what the file holds. `OSError` when there is no room for it."""
        sized = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        if self._memory is None or any(
            array.nbytes > self._rooms.get(name, (0, 0))[1] for name, array in sized.items()
        ):
            self._lay_out(sized)
        places: dict[str, Place] = {}
        for name, array in sized.items():
            at = self._rooms[name][0]
            if array.nbytes > self._granted.get(name, 0):
                os.posix_fallocate(self._file, at, array.nbytes)
                self._granted[name] = array.nbytes
            room = self._memory[at : at + array.nbytes].view(array.dtype).reshape(array.shape)
            np.copyto(room, array)
            places[name] = (array.dtype.str, array.shape, at)
        body = {"arrays": places, "bytes": len(self._memory), "meta": meta}
        text = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        self._path.with_suffix(".json").write_bytes(text)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lay_out(self, arrays: Mapping[str, Any]) -> None:
        at, rooms = 0, {}
        for name, array in arrays.items():
            room = int(array.nbytes * _SLACK) + _ALIGN
            rooms[name] = at, room
            at += -(-room // _ALIGN) * _ALIGN
        if self._file < 0:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, max(at, mmap.PAGESIZE))
        self._memory = np.frombuffer(mmap.mmap(self._file, 0), np.uint8)
        self._rooms, self._granted = rooms, {}


class Reader:
    """Reads what a `Writer` of another process has put; its arrays are not copied.

    The mapping is private: a kernel takes its arrays for its own, though nothing writes to them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory = np.zeros(0, np.uint8)

    def get(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arrays by name, valid until the buffer is left, and the JSON."""
        body = orjson.loads(self._path.with_suffix(".json").read_bytes())
        if len(self._memory) != body["bytes"]:  # laid out anew; else the pages stay as they are
            with self._path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), body["bytes"], access=mmap.ACCESS_COPY)
            self._memory = np.frombuffer(mapped, np.uint8)
        arrays = {}
        for name, (dtype, shape, at) in body["arrays"].items():
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            arrays[name] = self._memory[at : at + size].view(dtype).reshape(shape)
        return arrays, body["meta"]
