"""Challengers on disk, so that a restart does not lose what they had learnt.

What is kept is the encoder with AdaGrad's sums, all that is known of labels, their texts and how
many trials there were; the memory of events is not, and fills anew. Labels have numbers that mean
something in one life of the stream only, so each challenger has the position of the stream's
snapshot that it was kept with, and may be gone on from at that position or a later one.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream import folders
from stream.errors import SnapshotError

log = logging.getLogger(__name__)

_FORMAT = 1
_KEPT = 2
_PREFIX = "challenger-"


class Challengers:
    """The last two; for the process that trains.

    Parameters
    ----------
    folder
        Where they lie; made where it is missing.

    Raises
    ------
    SnapshotError
        It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._kept = folders.Folders(folder, _KEPT, _PREFIX)
        self._kept.sweep()

    def keep(self, position: int, arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        """Write one that belongs to a position of the stream.

        Raises
        ------
        SnapshotError
            It could not be written.
        """
        body = {"format": _FORMAT, "position": position, "meta": meta}
        self._kept.write(arrays.items(), body)

    def of(self, position: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Arrays and JSON of whole ones of a position or earlier ones, the newest first.

        Damaged ones are refused by name. Later ones are of a life that the stream does not go on
        with; they are removed.
        """
        for path in reversed(self._kept.all()):
            try:
                body = folders.manifest(path)
                if body["format"] != _FORMAT:
                    log.warning("%s has format %s, not %d", path, body["format"], _FORMAT)
                elif body["position"] > position:
                    log.info("removing %s, of position %d", path, body["position"])
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    yield folders.arrays(path, body["sums"]), body["meta"]
            except SnapshotError as error:
                log.warning("%s", error)
