"""Snapshots of the stream's state; how they lie on the disk, `stream.folders` says.

The newest whole one is loaded; a damaged one is refused by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream import config, folders
from stream.beside import beside
from stream.errors import SnapshotError
from stream.migrate import FORMAT, OLDEST, migrate

log = logging.getLogger(__name__)

_PREFIX = "snapshot-"


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
        self._kept = folders.Folders(folder, keep, _PREFIX)
        self._begun: Future[Snapshot | None] | None = None

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
        return self._kept.write(arrays, {"format": FORMAT, "meta": meta}, alive)

    def sweep(self) -> None:
        """Remove what an interrupted write left; for the member that writes here, at its start."""
        self._kept.sweep()

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
        return _newest_whole(reversed(self._kept.all()))


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
        found = [path for place in places for path in folders.numbered(place, _PREFIX)]
        try:
            return _newest_whole(sorted(found, key=folders.written, reverse=True))
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


def read(path: Path) -> Snapshot:
    """One snapshot, checked.

    Raises
    ------
    SnapshotError
        It is damaged, or of a format that this release does not read; names the file.
    """
    body = folders.manifest(path)
    if not OLDEST <= body["format"] <= FORMAT:
        newer = body["format"] > FORMAT
        raise SnapshotError(
            f"{path} has format {body['format']}, this release reads {OLDEST} to {FORMAT}",
            remedy="run the release that wrote it, or start with an empty folder"
            if newer
            else "start with an empty folder: that format was of no release",
        )
    arrays, meta = folders.arrays(path, body["sums"]), body["meta"]
    if body["format"] < FORMAT:
        log.info("%s has format %d, brought to %d", path, body["format"], FORMAT)
        migrate(body["format"], arrays, meta)
    return Snapshot(arrays, meta)
