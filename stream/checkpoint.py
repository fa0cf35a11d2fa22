"""Snapshots: a folder of plain arrays and JSON, each with its checksum; no pickle.

A snapshot is written beside its place, synced, and renamed, so that it is there whole or not at
all. The newest whole one is loaded; a damaged one is refused by name.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from stream import arrayfile, config
from stream.beside import beside
from stream.errors import SnapshotError
from stream.migrate import FORMAT, OLDEST, migrate

log = logging.getLogger(__name__)

_READERS = 4  # threads; reading waits for the disk as well
_MANIFEST = "manifest.json"
_PREFIX = "snapshot-"
_BESIDE = ".tmp-"


@dataclass(frozen=True)
class Snapshot:
    """Everything that a member needs to go on: named arrays and plain JSON."""

    arrays: Mapping[str, Any]
    meta: Mapping[str, Any]


class SnapshotStore:
    """A folder of snapshots.

    Parameters
    ----------
    folder
        Made where it is missing.
    keep
        How many are kept.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self._keep = keep
        self._begun: Future[Snapshot | None] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SnapshotError(
                f"cannot make the snapshot folder {folder}: {error.strerror}",
                remedy="set checkpoint.folder to a folder that can be written",
            ) from None

    def write(self, snapshot: Snapshot) -> Path:
        """Write a snapshot as the newest; its arrays must not change meanwhile.

        Raises
        ------
        SnapshotError
            See `write_parts`.
        """
        return self.write_parts(snapshot.arrays.items(), snapshot.meta)

    def write_parts(
        self, arrays: Iterable[tuple[str, Any]], meta: Mapping[str, Any],
        alive: Callable[[], None] = lambda: None,
    ) -> Path:  # fmt: skip
        """Write a snapshot as the newest; older ones beyond `keep` go.

        Parameters
        ----------
        arrays
            Names and arrays, each asked for when those before it are written.
        meta
            See `Snapshot`.
        alive
            Called before each array, and before the snapshot is put in its place; what it raises
            ends the writing.

        Raises
        ------
        SnapshotError
            It could not be written; the ones before it are untouched.
        """
        number = max(map(_number, self._all()), default=0) + 1
        target = self.folder / f"{_PREFIX}{number:012d}"
        beside = self.folder / f"{_BESIDE}{os.getpid()}-{number}"
        try:
            self._write_to(beside, arrays, meta, alive)
            alive()
            beside.rename(target)
            _sync(self.folder)
        except OSError as error:
            shutil.rmtree(beside, ignore_errors=True)
            raise SnapshotError(
                f"cannot write {target}: {error.strerror}",
                remedy="free space or mend the rights of checkpoint.folder",
            ) from None
        for old in self._all()[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def sweep(self) -> None:
        """Remove what an interrupted write left; for the member that writes here, at its start."""
        for left in self.folder.glob(f"{_BESIDE}*"):
            log.info("removing %s, left by an interrupted write", left)
            shutil.rmtree(left, ignore_errors=True)

    def begin(self) -> None:
        """Begin to load, for `load` to end: a process has other things to do at its start."""
        self._begun = beside(self._load, "snapshot")

    def load(self) -> Snapshot | None:
        """The newest whole snapshot, None when there is none at all.

        Raises
        ------
        SnapshotError
            There are snapshots, but none is whole.
        """
        begun, self._begun = self._begun, None
        try:
            return self._load() if begun is None else begun.result()
        except SnapshotError:
            if begun is None:
                raise
            return self._load()  # who wrote here before may have put newer ones in their place

    def _load(self) -> Snapshot | None:
        return _newest_whole(reversed(self._all()))

    def _all(self) -> list[Path]:
        """Snapshots, oldest first."""
        return sorted(_snapshots(self.folder), key=_number)

    def _write_to(
        self, folder: Path, arrays: Iterable[tuple[str, Any]], meta: Mapping[str, Any],
        alive: Callable[[], None],
    ) -> None:  # fmt: skip
        folder.mkdir()
        sums = {}
        for name, array in arrays:
            alive()
            sums[name] = arrayfile.write(folder / f"{name}.npy", array)
        body = {"format": FORMAT, "sums": sums, "meta": meta}
        text = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        with (folder / _MANIFEST).open("wb") as file:
            file.write(_digest(text).encode() + b"\n" + text)
            file.flush()
            os.fsync(file.fileno())
        _sync(folder)


def opened(chosen: config.Checkpoint) -> SnapshotStore | None:
    """The store that the settings name, None for none."""
    return None if chosen.folder is None else SnapshotStore(chosen.folder, chosen.keep)


def borrow(folder: Path) -> Snapshot | None:
    """The newest whole snapshot that any member keeps, by the time of its writing.

    Parameters
    ----------
    folder
        Holds a folder for each member; its own snapshots count too. It is only read.

    Raises
    ------
    SnapshotError
        There are snapshots, but none is whole.
    """
    before: list[Path] = []
    while True:
        places = [folder, *(path for path in _listed(folder) if path.is_dir())]
        found = [path for place in places for path in _snapshots(place)]
        try:
            return _newest_whole(sorted(found, key=_written, reverse=True))
        except SnapshotError:
            if sorted(found) == before:
                raise
            before = sorted(found)  # their owner may have put newer ones in their place


def _newest_whole(paths: Iterable[Path]) -> Snapshot | None:
    """The first that can be read, of paths with the newest first."""
    refused: list[str] = []
    for path in paths:
        try:
            return read(path)
        except SnapshotError as error:
            log.warning("%s", error)
            refused.append(str(error))
    if refused:
        raise SnapshotError(
            "no snapshot is whole: " + "; ".join(refused),
            remedy="restore a snapshot from a backup, or start with an empty folder",
        )
    return None


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SnapshotError(
            f"cannot read the folder {folder}: {error.strerror}",
            remedy="set checkpoint.start_from to a folder that can be read, or leave it out",
        ) from None


def _snapshots(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{_PREFIX}*") if _number(path) and path.is_dir()]


def _written(path: Path) -> float:
    """When a snapshot was written; long ago where another member has removed it meanwhile."""
    try:
        return (path / _MANIFEST).stat().st_mtime
    except OSError:
        return 0.0


def _number(path: Path) -> int:
    """A snapshot's number; 0 for a folder that is none."""
    digits = path.name.removeprefix(_PREFIX)
    return int(digits) if digits.isdecimal() else 0


def read(path: Path) -> Snapshot:
    """One snapshot, checked.

    Raises
    ------
    SnapshotError
        It is damaged, or of a format that this release does not read; names the file.
    """
    try:
        head, _, text = (path / _MANIFEST).read_bytes().partition(b"\n")
    except OSError as error:
        raise SnapshotError(f"{path} has no readable manifest: {error.strerror}") from None
    if head != _digest(text).encode():
        raise SnapshotError(f"{path / _MANIFEST} is damaged")
    body = orjson.loads(text)
    if not OLDEST <= body["format"] <= FORMAT:
        newer = body["format"] > FORMAT
        raise SnapshotError(
            f"{path} has format {body['format']}, this release reads {OLDEST} to {FORMAT}",
            remedy="run the release that wrote it, or start with an empty folder"
            if newer
            else "start with an empty folder: that format was of no release",
        )
    arrays, meta = _read_arrays(path, body["sums"]), body["meta"]
    if body["format"] < FORMAT:
        log.info("%s has format %d, brought to %d", path, body["format"], FORMAT)
        migrate(body["format"], arrays, meta)
    return Snapshot(arrays, meta)


def _read_arrays(path: Path, sums: Mapping[str, str]) -> dict[str, Any]:
    """All arrays, read and checked side by side."""
    begun, arrays = {}, {}
    with ThreadPoolExecutor(_READERS, "snapshot") as pool:
        try:
            for name, expected in sums.items():
                begun[name] = arrayfile.read(path / f"{name}.npy", expected, pool)
            for name, reading in begun.items():
                arrays[name] = reading.done()
        except (arrayfile.Damaged, OSError) as error:
            pool.shutdown(cancel_futures=True)
            raise SnapshotError(f"{path / name}.npy is damaged: {error}") from None
    return arrays


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=16).hexdigest()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
