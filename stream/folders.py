"""Numbered folders of plain arrays and JSON, with a checksum each; no pickle.

A folder is written beside its place, synced, and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from stream import arrayfile
from stream.errors import SnapshotError

log = logging.getLogger(__name__)

_READERS = 4  # threads; reading waits for the disk as well
_MANIFEST = "manifest.json"
_BESIDE = ".tmp-"


class Folders:
    """The newest of so many.

    Parameters
    ----------
    folder
        Where they lie; made where it is missing.
    keep
        How many are kept.
    prefix
        What their names begin with.

    Raises
    ------
    SnapshotError
        The folder cannot be made.
    """

    def __init__(self, folder: Path, keep: int, prefix: str) -> None:
        self.folder = folder
        self._keep, self._prefix = keep, prefix
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SnapshotError(
                f"cannot make the snapshot folder {folder}: {error.strerror}",
                remedy="set checkpoint.folder to a folder that can be written",
            ) from None

    def all(self) -> list[Path]:
        """Those that there are, oldest first."""
        return numbered(self.folder, self._prefix)

    def write(
        self, arrays: Iterable[tuple[str, Any]], body: Mapping[str, Any],
        alive: Callable[[], None] = lambda: None,
    ) -> Path:  # fmt: skip
        """Write the newest; older ones beyond `keep` go.

        Parameters
        ----------
        arrays
            Names and arrays, each asked for when those before it are written.
        body
            Plain JSON.
        alive
            Called before each array, and before the folder is put in its place; what it raises
            ends the writing.

        Raises
        ------
        SnapshotError
            It could not be written; the ones before it are untouched.
        """
        numbers = (_number(path, self._prefix) for path in self.all())
        number = max(numbers, default=0) + 1
        target = self.folder / f"{self._prefix}{number:012d}"
        beside = self.folder / f"{_BESIDE}{os.getpid()}-{number}"
        try:
            self._write_to(beside, arrays, body, alive)
            alive()
            beside.rename(target)
            _sync(self.folder)
        except OSError as error:
            shutil.rmtree(beside, ignore_errors=True)
            raise SnapshotError(
                f"cannot write {target}: {error.strerror}",
                remedy="free space or mend the rights of checkpoint.folder",
            ) from None
        for old in self.all()[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def sweep(self) -> None:
        """Remove what an interrupted write left; for the one that writes here, at its start."""
        for left in self.folder.glob(f"{_BESIDE}*"):
            log.info("removing %s, left by an interrupted write", left)
            shutil.rmtree(left, ignore_errors=True)

    def _write_to(
        self, folder: Path, arrays: Iterable[tuple[str, Any]], body: Mapping[str, Any],
        alive: Callable[[], None],
    ) -> None:  # fmt: skip
        folder.mkdir()
        sums = {}
        for name, array in arrays:
            alive()
            sums[name] = arrayfile.write(folder / f"{name}.npy", array)
        text = orjson.dumps({**body, "sums": sums}, option=orjson.OPT_SERIALIZE_NUMPY)
        with (folder / _MANIFEST).open("wb") as file:
            file.write(_digest(text).encode() + b"\n" + text)
            file.flush()
            os.fsync(file.fileno())
        _sync(folder)


def numbered(folder: Path, prefix: str) -> list[Path]:
    """The folders whose names are the prefix and a number, lowest first."""
    found = [path for path in folder.glob(f"{prefix}*") if _number(path, prefix) and path.is_dir()]
    return sorted(found, key=lambda path: _number(path, prefix))


def written(path: Path) -> float:
    """When a folder was written; long ago where somebody has removed it meanwhile."""
    try:
        return (path / _MANIFEST).stat().st_mtime
    except OSError:
        return 0.0


def manifest(path: Path) -> dict[str, Any]:
    """The JSON of a folder, checked.

    Raises
    ------
    SnapshotError
        It is damaged; names the file.
    """
    try:
        head, _, text = (path / _MANIFEST).read_bytes().partition(b"\n")
    except OSError as error:
        raise SnapshotError(f"{path} has no readable manifest: {error.strerror}") from None
    if head != _digest(text).encode():
        raise SnapshotError(f"{path / _MANIFEST} is damaged")
    found: dict[str, Any] = orjson.loads(text)
    return found


def arrays(path: Path, sums: Mapping[str, str]) -> dict[str, Any]:
    """All arrays of a folder, read and checked side by side; `sums` is in its JSON.

    Raises
    ------
    SnapshotError
        One is damaged; names the file.
    """
    begun, found = {}, {}
    with ThreadPoolExecutor(_READERS, "snapshot") as pool:
        try:
            for name, expected in sums.items():
                begun[name] = arrayfile.read(path / f"{name}.npy", expected, pool)
            for name, reading in begun.items():
                found[name] = reading.done()
        except (arrayfile.Damaged, OSError) as error:
            pool.shutdown(cancel_futures=True)
            raise SnapshotError(f"{path / name}.npy is damaged: {error}") from None
    return found


def _number(path: Path, prefix: str) -> int:
    """A folder's number; 0 for another."""
    digits = path.name.removeprefix(prefix)
    return int(digits) if digits.isdecimal() else 0


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=16).hexdigest()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
