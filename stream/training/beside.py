"""Training in a process of its own, which the stream never waits for.

Events go through a short queue; where training is slower than the stream, those that find it full
are passed over and counted. A process that ends by itself is begun again, with the champion of
then and the challenger that was kept last, later and later where it keeps ending.
"""

from __future__ import annotations

import logging
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stream.config import Encoder as Settings
from stream.learn.encoder.encoders import Encoder, revived
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.texts import Texts
from stream.learn.encoder.verdicts import Promoted, Refused
from stream.training import wire
from stream.training.school import BATCH, OVER, Gathered

log = logging.getLogger(__name__)

_WAITING = 64  # messages on their way from which events are passed over
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
_GRACE_S = 10.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Message = tuple[str, Mapping[str, Any], dict[str, Any]]


class TrainingProcess:
    """See `School`.

    Parameters
    ----------
    settings
        What is trained, and how much of the machine it may take.
    recipe, seed
        See `Contest`.
    width
        Length of dense rows, 0 for sparse ones.
    folder
        Where challengers are kept, None for nowhere.
    kept_s
        Seconds between two that are kept; the last is kept at the end.
    """

    def __init__(
        self, settings: Settings, recipe: Recipe, seed: int, width: int,
        folder: Path | None = None, kept_s: float = 600.0,
    ) -> None:  # fmt: skip
        cores = settings.cpu_share * len(os.sched_getaffinity(0))
        self._threads = max(1, int(cores))
        self._order: dict[str, Any] = {
            "recipe": asdict(recipe), "seed": seed, "memory": settings.memory,
            "window": settings.window, "width": width, "device": settings.device,
            "most": settings.labels, "threads": self._threads,
            "rest": max(0.0, self._threads / cores - 1.0),
            "folder": None if folder is None else str(folder), "kept_s": kept_s,
        }  # fmt: skip
        self._gathered = Gathered()
        self._queue: queue.Queue[Message] = queue.Queue()
        self._lock = threading.Lock()
        self._news: list[Promoted | Refused] = []
        self._told = dict.fromkeys(("learnt", "busy"), 0.0)
        self._passed = self._lost = self._restarts = 0
        # what a process that begins anew is told first
        self._position: int | None = None
        self._crowned: Message | None = None
        self._retired: set[int] = set()
        self._texts = Texts()
        self._over = self._heard = False
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="training", daemon=True)
        self._thread.start()

    def learn(self, lessons: Lessons) -> None:
        """See `School`."""
        for batch in self._gathered.add(lessons):
            if self._queue.qsize() >= _WAITING:
                self._passed += len(batch)
                continue
            self._put("learn", _arrays(batch))

    def recall(self, lessons: Lessons) -> None:
        """See `School`."""
        self._put("recall", _arrays(lessons))

    def describe(self, label: int, row: Inputs) -> None:
        """See `School`."""
        if not self._over:
            with self._lock:
                self._texts.put(int(label), row)
            self._put("describe", label=int(label))

    def retire(self, label: int) -> None:
        """See `School`."""
        self._gathered.retire(label)
        with self._lock:
            self._texts.drop(label)
            self._retired.add(label)
        self._put("retire", label=int(label))

    def alarm(self) -> None:
        """See `School`."""
        self._put("alarm")

    def crown(self, encoder: Encoder, labels: Any, means: Any, weights: Any) -> None:
        """See `School`."""
        arrays = encoder.arrays() | {"labels": labels, "means": means, "weights": weights}
        about = {"encoder": encoder.kind, "dimension": encoder.dimension}
        with self._lock:
            self._crowned = "crown", arrays, about
        self._put("crown", arrays, **about)

    def keep(self, position: int) -> None:
        """See `School`."""
        with self._lock:
            self._position = position
        self._put("keep", position=position)

    def resume(self, position: int) -> None:
        """See `School`."""
        with self._lock:
            self._position = position
        self._put("resume", position=position)

    def news(self) -> list[Promoted | Refused]:
        """See `School`."""
        with self._lock:
            told, self._news = self._news, []
        return told

    def told(self) -> dict[str, float]:
        """See `School`."""
        return {
            "braid_training_events_total": self._told["learnt"],
            "braid_training_busy_seconds_total": self._told["busy"],
            "braid_training_passed_over_total": self._passed + self._lost,
            "braid_training_restarts_total": self._restarts,
            "braid_training_bytes": 0 if self._process is None else _held(self._process.pid),
        }

    def close(self) -> None:
        """See `School`; what is learnt by now is kept, if that takes no longer than seconds."""
        self._closing.set()
        self._queue.put(("end", {}, {}))
        self._thread.join(_GRACE_S if self._heard else 0)  # before that there is nothing to keep
        if self._thread.is_alive():
            if self._process is not None:
                self._process.kill()
            self._thread.join(_GRACE_S)

    def _put(self, kind: str, arrays: Mapping[str, Any] = {}, **about: Any) -> None:
        if not (self._over or self._closing.is_set()):
            self._queue.put((kind, arrays, about))

    def _keep(self) -> None:
        """Run the process for as long as the stream runs."""
        pause = _FIRST_PAUSE_S
        while not self._closing.is_set():
            begun = time.monotonic()
            ended = self._run()
            if self._closing.is_set():
                return
            if ended == OVER:
                self._stand_down()
                return
            if time.monotonic() - begun > _LONGEST_PAUSE_S:
                pause = _FIRST_PAUSE_S
            self._restarts += 1
            log.error("the process that trains encoders ended (%s); another begins", ended)
            self._closing.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _run(self) -> int | str:
        """Run a process until it ends; its status, or why there is none."""
        limits = dict.fromkeys(_THREADS, str(self._threads))
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "stream.training.child"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | limits,
            )  # fmt: skip
        except OSError as error:
            return str(error)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None, "piped"
            wire.widen(pipe)
        self._process, self._heard = process, False
        if self._closing.is_set():  # too late for `close` to see it
            process.kill()
        writer = threading.Thread(target=self._send, args=(process,), daemon=True)
        writer.start()
        self._receive(process)
        ended = process.wait()
        self._queue.put(("end", {}, {}))  # the writer may wait for a message
        writer.join()
        return ended

    def _stand_down(self) -> None:
        self._over = True
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._texts, self._crowned = Texts(), None

    def _send(self, process: subprocess.Popen[bytes]) -> None:
        """Pass messages on; the last end is its to close, as a write to it may take long."""
        assert process.stdin is not None, "piped"
        kind = ""
        try:
            for kind, arrays, about in self._messages(process):
                wire.write(process.stdin, kind, arrays, **about)
        except OSError:  # it has ended
            self._lost += BATCH * (kind == "learn")
        with suppress(OSError):
            process.stdin.close()

    def _messages(self, process: subprocess.Popen[bytes]) -> Iterator[Message]:
        """What a process is to be told, until it ends or the stream does."""
        yield "order", {}, self._order
        if self._restarts:
            yield from self._begun_with()
        while not self._closing.is_set() and process.poll() is None:
            yield from self._complete(self._queue.get())
        while self._closing.is_set() and not self._queue.empty():
            message = self._queue.get()
            if message[0] not in {"learn", "recall", "keep"}:
                yield from self._complete(message)
        if self._closing.is_set() and self._position is not None:
            yield "keep", {}, {"position": self._position, "last": True}

    def _begun_with(self) -> Iterator[Message]:
        with self._lock:
            crowned, position = self._crowned, self._position
            retired, described = sorted(self._retired), self._texts.labels.tolist()
        if position is not None:
            yield "resume", {}, {"position": position}
        if crowned is not None:
            yield crowned
        for label in retired:
            yield "retire", {}, {"label": label}
        for label in described:
            yield from self._complete(("describe", {}, {"label": label}))

    def _complete(self, message: Message) -> Iterator[Message]:
        """A message with its text, if it is of one; nothing where that is gone meanwhile."""
        kind, arrays, about = message
        if kind == "describe":
            with self._lock:
                _, row = self._texts.among([about["label"]])
            if row is not None:
                yield kind, row._asdict(), about
        elif kind != "end":
            yield kind, arrays, about

    def _receive(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None, "piped"
        with process.stdout as said:
            while (message := wire.read(said)) is not None:
                kind, arrays, about = message
                self._heard = True
                if kind == "told":
                    for name, more in about.items():
                        self._told[name] += more
                    continue
                with self._lock:
                    if kind == "promoted":  # the champion of a process that begins anew
                        encoder = {name: about[name] for name in ("encoder", "dimension")}
                        self._crowned = "crown", dict(arrays), encoder
                    self._news.append(_news(kind, arrays, about))


def _arrays(lessons: Lessons) -> dict[str, Any]:
    return lessons.inputs._asdict() | {"labels": lessons.labels, "bounds": lessons.bounds}


def _held(pid: int) -> int:
    """Bytes of memory that a process holds; 0 where that cannot be told."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):  # it has ended, or there is no such place
        return 0
    return int(pages) * resource.getpagesize()


def _news(kind: str, arrays: dict[str, Any], about: dict[str, Any]) -> Promoted | Refused:
    if kind == "refused":
        return Refused(about["diverged"], about["evidence"])
    labels, means, weights = (arrays.pop(name) for name in ("labels", "means", "weights"))
    stale = arrays.pop("stale")
    encoder = revived(about["encoder"], about["dimension"], arrays)
    return Promoted(encoder, labels, means, weights, stale, about["evidence"])
