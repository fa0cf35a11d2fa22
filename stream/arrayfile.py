"""One array in one .npy file with a checksum, written and read in pieces.

The checksum is of the header and of each piece's checksum, so that pieces can be read and
checked by several threads at once. A piece has a CRC, which finds what disks damage and costs a
fifth of what a hash does.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

_PIECE = 1 << 24
_SIZE = 16  # bytes of the checksum of all


class Damaged(Exception):
    """The file is not what was written; says why."""


def write(path: Path, array: Any) -> str:
    """Write and sync `array`; its checksum."""
    header = _header(array)
    digest = blake2b(_text(header), digest_size=_SIZE)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in _pieces(array):
            digest.update(_digest(piece))
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


@dataclass
class Reading:
    """A file that is being read; `array` holds rubbish until `done` has returned."""

    array: Any
    expected: str
    pieces: list[Future[bytes]]

    def done(self) -> Any:
        """The array, once it is all there and right.

        Raises
        ------
        Damaged
            It is not.
        """
        digest = blake2b(_text(_header(self.array)), digest_size=_SIZE)
        for piece in self.pieces:
            digest.update(piece.result())
        if digest.hexdigest() != self.expected:
            raise Damaged("its checksum differs")
        return self.array


def read(path: Path, expected: str, pool: Executor) -> Reading:
    """Begin to read a file whose checksum is `expected`.

    Raises
    ------
    Damaged
        Its header makes no sense, or the file is too short or too long for it.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            start, size = file.tell(), os.fstat(file.fileno()).st_size
    except Exception as error:  # damaged bytes make numpy raise nearly anything
        raise Damaged(str(error)) from None
    if dtype.hasobject or fortran:
        raise Damaged("it holds objects, or another order than ours")
    if size - start != math.prod(shape) * dtype.itemsize:
        raise Damaged("its size is not what its header says")
    array = np.empty(shape, dtype)
    jobs, at = [], start
    for piece in _pieces(array):
        jobs.append(pool.submit(_fill, path, piece, at))
        at += len(piece)
    return Reading(array, expected, jobs)


def _fill(path: Path, piece: memoryview, at: int) -> bytes:
    """Read a piece from place `at` of the file; its checksum."""
    with path.open("rb", buffering=0) as file:
        done = 0
        while done < len(piece):
            got = os.preadv(file.fileno(), [piece[done:]], at + done)
            if got == 0:
                raise Damaged("it ends too early")
            done += got
    return _digest(piece)


def _digest(piece: memoryview) -> bytes:
    return zlib.crc32(piece).to_bytes(4, "little")


def _text(header: Mapping[str, Any]) -> bytes:
    return repr(sorted(header.items())).encode()


def _pieces(array: Any) -> Iterator[memoryview]:
    if not array.size:
        return
    # By way of uint8, since a memoryview knows neither text nor the other byte order.
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(flat), _PIECE):
        yield flat[start : start + _PIECE]


def _header(array: Any) -> dict[str, Any]:
    return {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
