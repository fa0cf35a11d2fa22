"""A private folder of files that are memory, and what owners that are gone left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_OWNER = "owner"
_PREFIX = "braid-"
_YOUNG_S = 60.0  # a folder without an owner may be one that is just being made


def memory_root() -> Path:
    """Where files are memory; a temporary folder where there is no such place."""
    shm = Path("/dev/shm")
    return shm if os.access(shm, os.W_OK) else Path(tempfile.gettempdir())


def sweep(root: Path) -> None:
    """Remove what processes that are gone left behind.

    An owner holds a lock, since its number says nothing where containers share the memory.
    """
    for left in root.glob(f"{_PREFIX}[0-9]*-*"):
        with suppress(OSError):  # held; or another process sweeps too
            try:
                owner = os.open(left / _OWNER, os.O_RDONLY)
            except FileNotFoundError:
                if time.time() - left.stat().st_mtime > _YOUNG_S:
                    shutil.rmtree(left, ignore_errors=True)
                continue
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(owner)


class OwnedFolder:
    """A folder that this process owns until `close`; others sweep it once this one has ended.

    Parameters
    ----------
    root
        Where it is made, after a sweep.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, root: Path) -> None:
        sweep(root)
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
        self._owner = os.open(self.path / _OWNER, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._owner)
