"""The process that trains: events in by its input, verdicts out by its output.

It takes no more than its share of the machine: after each message it rests for as long as that
takes. It ends with its input, or with the process that began it.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch

from stream.errors import SnapshotError
from stream.learn.encoder.contest import Contest
from stream.learn.encoder.encoders import revived
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.verdicts import Promoted, Refused
from stream.training import wire
from stream.training.kept import Challengers
from stream.training.school import OVER, parted

log = logging.getLogger(__name__)

_NICE = 10


def main() -> None:
    """Train until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides when to stop
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no message
    over = False
    with suppress(BrokenPipeError, KeyboardInterrupt):
        over = _serve(sys.stdin.buffer, out)
    sys.exit(OVER if over else 0)


def _serve(messages: BinaryIO, out: BinaryIO) -> bool:
    """Heed messages to the end; whether that came because there are too many labels."""
    order = wire.read(messages)
    if order is None:
        return False
    _, _, given = order
    torch.set_num_threads(given["threads"])
    torch.set_num_interop_threads(1)
    pupil = Pupil(given)
    while not pupil.contest.over and (message := wire.read(messages)) is not None:
        begun = time.monotonic()
        kind, arrays, about = message
        verdict, learnt = None, 0
        if kind == "learn":
            lessons = _lessons(arrays)
            verdict, learnt = pupil.contest.learn(lessons), len(lessons)
        else:
            pupil.heed(kind, arrays, about)
        if verdict is not None:
            _tell(out, verdict)
        took = time.monotonic() - begun
        wire.write(out, "told", learnt=learnt, busy=took)
        _rest(messages, took * given["rest"])
    if (end := pupil.contest.end) is not None:
        _tell(out, end)
    return pupil.contest.over


class Pupil:
    """A contest, and where its challengers are kept.

    Parameters
    ----------
    given
        The parent's order.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.contest = Contest(
            Recipe(**given["recipe"]), given["seed"], given["memory"], given["window"],
            given["width"], device(given["device"]), given["most"],
        )  # fmt: skip
        self._kept: Challengers | None = None
        if given["folder"] is not None:
            try:
                self._kept = Challengers(Path(given["folder"]))
            except SnapshotError as error:
                log.warning("challengers are not kept: %s", error)
        self._kept_s, self._due = given["kept_s"], time.monotonic() + given["kept_s"]

    def heed(self, kind: str, arrays: dict[str, Any], about: dict[str, Any]) -> None:
        """Do what a message asks for that brings no events."""
        contest = self.contest
        if kind == "recall":
            for batch in parted(_lessons(arrays)):
                contest.recall(batch)
        elif kind == "describe":
            rows = Inputs(*(arrays[name] for name in Inputs._fields))
            contest.describe(about["label"], rows)
        elif kind == "retire":
            contest.retire(about["label"])
        elif kind == "alarm":
            contest.alarm()
        elif kind == "crown":
            encoder = revived(about["encoder"], about["dimension"], arrays)
            contest.crown(encoder, arrays["labels"], arrays["means"], arrays["weights"])
        elif kind == "keep":
            self._keep(about["position"], about.get("last", False))
        elif kind == "resume":
            self._resume(about["position"])

    def _keep(self, position: int, last: bool) -> None:
        """Write the challenger down, but not each time that the stream takes a snapshot."""
        due = last or time.monotonic() >= self._due
        if self._kept is None or not due or not self.contest.challenger.events:
            return
        try:
            self._kept.keep(position, *self.contest.parts())
        except SnapshotError as error:
            log.warning("a challenger is not kept: %s", error)
        self._due = time.monotonic() + self._kept_s

    def _resume(self, position: int) -> None:
        for arrays, about in self._kept.of(position) if self._kept is not None else ():
            try:
                self.contest.load(arrays, about)
            except (KeyError, ValueError) as error:
                log.warning("a challenger that was kept is not gone on with: %s", error)
            else:
                return


def _lessons(arrays: dict[str, Any]) -> Lessons:
    rows = Inputs(*(arrays[name] for name in Inputs._fields))
    return Lessons(rows, arrays["labels"], arrays["bounds"])


def _tell(out: BinaryIO, verdict: Promoted | Refused) -> None:
    if isinstance(verdict, Refused):
        wire.write(out, "refused", diverged=verdict.diverged, evidence=verdict.evidence)
        return
    made = {name: getattr(verdict, name) for name in ("labels", "means", "weights", "stale")}
    encoder = verdict.encoder
    wire.write(
        out, "promoted", encoder.arrays() | made, encoder=encoder.kind,
        dimension=encoder.dimension, evidence=verdict.evidence,
    )  # fmt: skip


def _rest(messages: BinaryIO, seconds: float) -> None:
    """Let so much time pass, unless the parent hangs up."""
    waiting = select.poll()
    waiting.register(messages.fileno(), 0)
    waiting.poll(1_000 * seconds)


def device(wanted: str) -> str:
    """torch's name of what is asked for; `auto` is a GPU where there is one."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


if __name__ == "__main__":
    main()
