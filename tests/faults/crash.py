"""Steps at which a running service is killed; `python -m tests.faults.crash STEP NTH run ...`.

The process ends by SIGKILL, its own, when it comes to the step for the NTH time: nothing is
flushed, no handler runs, the broker sees a connection break.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from stream import arrayfile, folders
from stream.cli import main


@dataclass(frozen=True)
class Step:
    """A call, and whether the process dies before it, after it, or `half` way through a file."""

    owner: Any
    name: str
    when: str


STEPS = {
    # the commit order of `KafkaSink.commit`
    "commit: before it begins": Step(KafkaProducer, "begin_transaction", "before"),
    "commit: begun": Step(KafkaProducer, "begin_transaction", "after"),
    "commit: a record sent": Step(KafkaProducer, "send", "after"),
    "commit: all sent, none known to have arrived": Step(KafkaProducer, "flush", "before"),
    "commit: all arrived": Step(KafkaProducer, "flush", "after"),
    "commit: positions added": Step(KafkaProducer, "send_offsets_to_transaction", "after"),
    "commit: asked for": Step(KafkaProducer, "commit_transaction", "before"),
    "commit: done, and not known here": Step(KafkaProducer, "commit_transaction", "after"),
    # the order of `Folders.write`
    "snapshot: before its folder": Step(folders.Folders, "_write_to", "before"),
    "snapshot: half of a file": Step(arrayfile, "write", "half"),
    "snapshot: a file whole": Step(arrayfile, "write", "after"),
    "snapshot: all files, no name yet": Step(Path, "rename", "before"),
    "snapshot: named, not synced": Step(Path, "rename", "after"),
    "snapshot: the old ones not removed": Step(shutil, "rmtree", "before"),
}


def arm(step: str, nth: int) -> None:
    """Let the process die at a step, when it comes there for the `nth` time."""
    at = STEPS[step]
    inner: Callable[..., Any] = getattr(at.owner, at.name)
    seen = count(1)

    @wraps(inner)
    def outer(*args: Any, **named: Any) -> Any:
        now = next(seen) == nth
        if now and at.when == "before":
            die()
        made = inner(*args, **named)
        if now and at.when == "half":
            os.truncate(args[0], args[0].stat().st_size // 2)
        if now:
            die()
        return made

    setattr(at.owner, at.name, outer)


def die() -> None:
    """As `kill -9` does it."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv[:3] = ["braid"]
    main()
