"""The last quarter of an hour, sampled every second, for whoever opens the page."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import orjson

from stream.clock import Clock
from stream.errors import NotReady
from stream.serve.page.reading import Reading, quantile
from stream.serve.view import ViewSource
from stream.types import DriftEvent

EVERY_S = 1.0
KEPT_S = 900
"""Seconds of history."""
COLUMNS = (
    "t", "predicted", "learnt", "lag", "step50", "step99", "http99", "asked", "refused", "dead",
    "p1", "p5", "fresh", "labels", "partitions", "position",
)  # fmt: skip
"""What a sample has, in order; times in milliseconds, counters as rates per second."""
_EVENTS = 500
_FRESH = 200  # new labels whose names are kept
_WINDOW = 10  # samples that quantiles look back
_ROWS = {
    "global_alarm": 0, "partition_alarm": 1, "split": 2, "merge": 3, "promotion": 4, "rollback": 4,
}  # fmt: skip
"""The row of the timeline that a change is in; others, refusals among them, are not shown."""
_NAMES = 80  # characters of a label that are shown

Row = list[float | None]

_log = logging.getLogger(__name__)


class History:
    """Samples, changes of the model, and new labels; bounded, and numbered through.

    Parameters
    ----------
    read
        The counters now.
    views
        Where drift events come from.
    clock
        Stamps samples, and divides counters into rates.
    """

    def __init__(self, read: Callable[[], Reading], views: ViewSource, clock: Clock) -> None:
        self._read = read
        self._views = views
        self._clock = clock
        self._rows: deque[Row] = deque(maxlen=KEPT_S)
        self._events: deque[list[Any]] = deque(maxlen=_EVENTS)
        self._fresh: deque[list[Any]] = deque(maxlen=_FRESH)
        self._past: deque[tuple[float, Reading]] = deque(maxlen=_WINDOW + 1)
        self._counts = (0, 0, 0)
        """Rows, events and new labels since the start."""
        self._seen: DriftEvent | None = None
        self._told = -1.0
        self._problems: Sequence[str] = ()
        self._cached: tuple[tuple[int, int, int], bytes] | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sample every second from now on."""
        self._thread = threading.Thread(target=self._run, name="braid-page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def since(self, seen: tuple[int, int, int]) -> tuple[tuple[int, int, int], bytes]:
        """What came after `seen` as JSON, and what is to be given the next time.

        Pages that are as new as each other get the same bytes, made once.
        """
        with self._lock:
            if self._cached is None or self._cached[0] != seen:
                counts = zip(self._counts, seen, strict=True)
                rows, events, fresh = (count - before for count, before in counts)
                body = {
                    "rows": _last(self._rows, rows),
                    "events": _last(self._events, events),
                    "fresh": _last(self._fresh, fresh),
                    "problems": self._problems,
                }
                self._cached = seen, orjson.dumps(body)
            return self._counts, self._cached[1]

    def sample(self) -> None:
        """Take a sample now."""
        reading, now = self._read(), self._clock.monotonic()
        at = round(self._clock.now() * 1000)
        news = self._news(sum(reading.drift.values()))
        problems = list(self._views.status().get("problems", ()))
        with self._lock:
            past = [*self._past, (now, reading)]
            self._past.append((now, reading))
            self._cached = None
            self._problems = problems
            rows, events, fresh = self._counts
            if len(past) > 1:
                self._rows.append(_row(at, past))
                rows += 1
            for one in news:
                if one.kind in _ROWS:
                    self._events.append([at, _ROWS[one.kind], _sentence(one)])
                    events += 1
                elif one.kind == "new_label":
                    self._fresh.append([at, one.scope.removeprefix("label/")[:_NAMES]])
                    fresh += 1
            self._counts = rows, events, fresh

    def _run(self) -> None:
        failed = ""
        while True:
            try:
                self.sample()
                failed = ""
            except Exception as error:  # a sample more or less does not matter
                if str(error) != failed:
                    _log.warning("the page's history lacks a sample: %s", error)
                failed = str(error)
            if self._stop.wait(EVERY_S):
                return

    def _news(self, told: float) -> Sequence[DriftEvent]:
        """The drift events since the last look, oldest first."""
        if told == self._told:  # looking costs something where views are another process's
            return ()
        try:
            every = self._views.current().drift()
        except NotReady:
            return ()
        found = []
        for one in reversed(every):
            if one == self._seen:
                break
            found.append(one)
        if every:
            self._seen = every[-1]
        self._told = told if found else self._told
        return found[::-1]


def _row(at: int, past: Sequence[tuple[float, Reading]]) -> Row:
    (before_s, before), (now_s, now), long = past[-2], past[-1], past[0][1]
    seconds = max(now_s - before_s, 1e-3)

    def rate(name: str) -> float:
        rise: float = getattr(now, name) - getattr(before, name)
        return round(max(0.0, rise) / seconds, 2)

    def share(k: str) -> float | None:
        return round(now.precision[k], 4) if k in now.precision and now.position else None

    return [
        at, rate("predicted"), rate("learnt"), now.lag,
        _ms(quantile(long.step, now.step, 0.5)), _ms(quantile(long.step, now.step, 0.99)),
        _ms(quantile(long.http, now.http, 0.99)), rate("asked"), rate("refused"), rate("dead"),
        share("1"), share("5"),
        max(0.0, now.drift.get("new_label", 0.0) - before.drift.get("new_label", 0.0)),
        now.labels, now.partitions, now.position,
    ]  # fmt: skip


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


def _last(kept: deque[Any], count: int) -> list[Any]:
    return list(islice(kept, max(0, len(kept) - count), None))


def _sentence(event: DriftEvent) -> str:
    """What happened, in words; the names are the stream's own and are shown as text only."""
    evidence = event.evidence
    if event.scope == "encoder":
        now, before = evidence.get("generation", "?"), evidence.get("before", "?")
        if event.kind == "rollback":
            return f"somebody went back from generation {before} of the index to {now}"
        recall = [evidence.get(who, {}).get("recall", 0) for who in ("champion", "challenger")]
        return f"generation {now} of the index takes over\nrecall {recall[0]:.2f} → {recall[1]:.2f}"
    names = ", ".join(str(name)[:_NAMES] for name in evidence.get("labels", ())[:4])
    size = evidence.get("size", 0)
    number = event.scope.removeprefix("partition/")
    if event.kind in {"global_alarm", "partition_alarm"}:
        rise = f"loss {evidence.get('loss_before', 0):.2f} → {evidence.get('loss_after', 0):.2f}"
        who = "the whole stream" if event.kind == "global_alarm" else f"partition {number}"
        return f"{who}: {rise}" + (f"\n{names}" if names else "")
    verb = "split off" if event.kind == "split" else "joined by"
    return f"partition {number} {verb} {evidence.get('other', '?')}, {size} labels\n{names}"
