"""Messages between the stream and training: a kind, a little JSON, and named arrays."""

from __future__ import annotations

import fcntl
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

import numpy as np
import orjson

_HEAD = struct.Struct("<I")
_WIDE = 1 << 20  # what anybody may ask for


def widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, where that can be had.

    Each time that a thread comes to read it waits for its turn with the interpreter: an encoder of
    134 MB took half a minute to cross a pipe of the usual 64 kB beside a busy stream.
    """
    with suppress(OSError, AttributeError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _WIDE)


def write(file: IO[bytes], kind: str, arrays: Mapping[str, Any] = {}, **meta: Any) -> None:
    """Write a message, whole."""
    sound: dict[str, Any] = {n: np.ascontiguousarray(array) for n, array in arrays.items()}
    places = {name: (array.dtype.str, array.shape) for name, array in sound.items()}
    head = orjson.dumps({"kind": kind, "arrays": places, "meta": meta})
    file.write(_HEAD.pack(len(head)) + head)
    for array in sound.values():
        if array.size:  # what is empty cannot be cast
            file.write(memoryview(array).cast("B"))
    file.flush()


def read(file: IO[bytes]) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    """The next message: kind, arrays and JSON; None at the end."""
    size = file.read(_HEAD.size)
    if len(size) < _HEAD.size:
        return None
    text = file.read(_HEAD.unpack(size)[0])
    try:
        head = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None  # cut off
    arrays = {}
    for name, (dtype, shape) in head["arrays"].items():
        array = np.empty(shape, dtype)
        if array.size and _fill(file, array) < array.nbytes:
            return None
        arrays[name] = array
    return head["kind"], arrays, head["meta"]


def _fill(file: IO[bytes], array: Any) -> int:
    room, got = memoryview(array).cast("B"), 0
    while got < len(room):
        more = file.readinto(room[got:])  # type: ignore[attr-defined]
        if not more:
            break
        got += more
    return got
