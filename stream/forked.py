"""Work on a frozen copy of this process: a forked child, whose memory stays as it is now.

The kernel copies page tables now and pages when either side writes to them, so that the parent
goes on after milliseconds, whatever the state weighs.

Of the parent's threads the child has the one that forked. So its work must not need a lock that
another may have held (`indexes.gate` makes its locks anew), nor log, nor touch a socket, a
device or a pool of threads made before; and it ends without running anything that was
registered for the end. It says through a pipe that it lives, and what went wrong.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

import orjson

from stream.errors import BraidError, SnapshotError

SILENT_S = 300.0  # a child that has said nothing for so long is ended
_NICE = 5  # the stream goes first
_BEAT, _FAILED = b".", b"!"


def can_fork() -> bool:
    """Whether this system has such children."""
    return hasattr(os, "fork") and sys.platform == "linux"


class Child:
    """A child at work.

    Parameters
    ----------
    work
        Done in the child; calls what it is given now and then, to show that it lives.

    Raises
    ------
    SnapshotError
        The system does not grant a child.
    """

    def __init__(self, work: Callable[[Callable[[], None]], object]) -> None:
        self._reads, writes = os.pipe()
        parent = os.getpid()
        try:
            with warnings.catch_warnings():
                # Python warns of threads beside a fork, for the reasons that stand above.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.pid = os.fork()
        except OSError as error:
            os.close(self._reads)
            os.close(writes)
            raise SnapshotError(
                f"cannot fork to write a snapshot: {error.strerror}",
                remedy="allow the process more memory and processes (vm.overcommit_memory, pids)",
            ) from None
        if self.pid == 0:
            _work(work, writes, parent)
        os.close(writes)

    def wait(self, silent_s: float = SILENT_S) -> None:
        """Wait for the end of the work; called once.

        Raises
        ------
        SnapshotError
            It failed, was killed, or said nothing for `silent_s` seconds.
        """
        said = b""
        silent = False
        poller = select.poll()
        poller.register(self._reads, select.POLLIN)
        while not silent:
            if not poller.poll(silent_s * 1_000):
                os.kill(self.pid, signal.SIGKILL)
                silent = True
            got = os.read(self._reads, 1 << 16)
            if not got:
                break
            said += got.lstrip(_BEAT) if not said else got
        os.close(self._reads)
        _, status = os.waitpid(self.pid, 0)
        if silent:
            raise SnapshotError(
                f"the process that wrote a snapshot said nothing for {silent_s:.0f} s",
                remedy="the disk of checkpoint.folder hangs, or is much too slow",
            )
        if said.startswith(_FAILED):
            message, remedy = orjson.loads(said[1:])
            raise SnapshotError(message, remedy=remedy)
        if status:
            how = os.waitstatus_to_exitcode(status)
            raise SnapshotError(
                f"the process that wrote a snapshot ended with {how}",
                remedy="see whether it ran out of memory: it needs what changes meanwhile",
            )


def _work(work: Callable[[Callable[[], None]], object], writes: int, parent: int) -> NoReturn:
    status = 1
    try:
        gc.disable()  # no finaliser of the parent's runs here
        os.closerange(3, writes)  # a port is not to be held open beyond the parent's life
        os.closerange(writes + 1, os.sysconf("SC_OPEN_MAX"))
        for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides when to stop
            signal.signal(number, signal.SIG_IGN)
        os.nice(_NICE)

        def alive() -> None:
            if os.getppid() != parent:  # whoever took over has begun from what was there
                os._exit(1)
            os.write(writes, _BEAT)

        work(alive)
        status = 0
    except BaseException as error:
        remedy = error.remedy if isinstance(error, BraidError) else "this is a bug"
        known = isinstance(error, BraidError)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        os.write(writes, _FAILED + orjson.dumps([message, remedy]))
    finally:
        os._exit(status)
