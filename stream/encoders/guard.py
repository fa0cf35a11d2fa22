"""An encoder that can neither hold the stream up nor break it.

It works in one thread, a part of the texts at a time, of a size that it does well within its time.
Once that is over it is left alone: while it is still at a part that nobody waits for any more,
calls return at once without vectors, and there is never a second thread. After so many failures in
a row the encoder is cut off for the life of the process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import wait

import numpy as np

from stream.clock import Clock, SystemClock
from stream.config import Encoder
from stream.encoders.base import TextEncoder
from stream.encoders.worker import Worker
from stream.types import Float32

log = logging.getLogger(__name__)

REASONS = ("raised", "shape", "not_finite", "slow", "busy", "cut_off")
_FIRST, _LARGEST = 8, 256  # texts of a part: while its pace is not known, and at most
_PART = 0.25  # of its time that a part should take
_FAIR = 0.5  # of its time that a part must have had for being late to be a failure


class Guard:
    """Embeds texts with an encoder that may do anything. Thread-safe.

    Parameters
    ----------
    encoder
        Called from one thread, never twice at once.
    settings
        Its name, its time, and the failures in a row that cut it off.
    clock
        The system's by default.

    Attributes
    ----------
    lost : dict of str to int
        Texts that got no vector, by reason: the encoder raised; its answer had another shape or
        type; was not finite, or of length 0; did not come in time; it was still busy with texts of
        before; or it is cut off.
    cut_off : str
        Why it is not asked any more, empty while it is.
    """

    def __init__(self, encoder: TextEncoder, settings: Encoder, clock: Clock | None = None) -> None:
        self.name, self.model = settings.plugin, settings.model
        self.dimension = encoder.dimension
        self.lost = dict.fromkeys(REASONS, 0)
        self.cut_off = ""
        self._settings = settings
        self._limit_s = settings.timeout_ms / 1_000
        self._failed = 0  # parts in a row
        self._told: set[str] = set()  # reasons that were logged
        self._pace_s = 0.0  # for a text
        self._size = _FIRST // 2  # texts of the last part
        self._begun = 0.0  # when it was given them
        self._worker = Worker(encoder)
        self._clock = SystemClock() if clock is None else clock
        self._turn, self._counting = threading.Lock(), threading.Lock()

    def embed(self, texts: Sequence[str]) -> Float32:
        """Unit vectors (n, dimension) float32; a row of NaN for a text that got none.

        Takes `encoder.timeout_ms` at most, waiting for others who ask included.
        """
        out = np.full((len(texts), self.dimension), np.nan, np.float32)
        end = self._clock.monotonic() + self._limit_s
        if self.cut_off or not len(texts):
            self._lose(len(texts), "cut_off")
        elif not self._turn.acquire(timeout=self._limit_s):
            self._lose(len(texts), "busy")
        else:
            try:
                self._embed([self._clean(text) for text in texts], out, end)
            finally:
                self._turn.release()
        return out

    def problem(self) -> str:
        """What is wrong with it, in a sentence; empty while it is in use."""
        return self.cut_off and f"the encoder {self.name} is cut off: {self.cut_off}"

    def _clean(self, text: str) -> str:
        """The beginning of a text, as valid Unicode: JSON may bring lone surrogates."""
        return text[: self._settings.characters].encode("utf-8", "replace").decode("utf-8")

    def _embed(self, texts: list[str], out: Float32, end: float) -> None:
        """Fill `out`, part by part, for as long as there is time."""
        start = 0
        while start < len(texts):
            if self.cut_off:
                self._lose(len(texts) - start, "cut_off")
                return
            if self._worker.busy:
                self._lose(len(texts) - start, "busy")
                self._overdue()
                return
            left_s = end - self._clock.monotonic()
            size = min(self._fitting(left_s, first=start == 0), len(texts) - start)
            if size == 0:
                self._lose(len(texts) - start, "slow")
                return
            stop = start + size
            self._part(texts[start:stop], out[start:stop], left_s)
            start = stop

    def _fitting(self, left_s: float, first: bool) -> int:
        """How many texts it should do within a part of its time; one at least is tried first."""
        if not self._pace_s:
            return _FIRST
        fit = int(min(left_s, _PART * self._limit_s) / self._pace_s)
        return max(min(fit, 2 * self._size, _LARGEST), int(first))

    def _part(self, texts: list[str], out: Float32, left_s: float) -> None:
        """Let it embed texts, and see what comes of it within `left_s` seconds."""
        self._size, self._begun = len(texts), self._clock.monotonic()
        job = self._worker.begin(texts)
        done = wait([job], max(left_s, 0.0)).done
        pace_s = (self._clock.monotonic() - self._begun) / len(texts)
        self._pace_s = max(self._pace_s, pace_s) if not done else (self._pace_s + pace_s) / 2
        if not done:
            late = f"{len(texts)} texts were not done within {left_s:.2f} s"
            self._fail(texts, "slow", late if left_s >= _FAIR * self._limit_s else "")
        elif (error := job.exception()) is not None:
            self._fail(texts, "raised", f"{type(error).__name__}: {error}", error)
        else:
            out[:], wrong = job.result()
            missing = int(np.isnan(out[:, 0]).sum())
            if wrong or missing == len(texts):
                reason = "shape" if wrong else "not_finite"
                self._fail(texts, reason, wrong or "no vector is finite and longer than 0")
            else:
                self._lose(missing, "not_finite")
                self._failed = 0

    def _fail(
        self, texts: list[str], reason: str, detail: str, error: BaseException | None = None
    ) -> None:
        """Count a part without vectors; where it says in detail why, that counts as a failure."""
        self._lose(len(texts), reason)
        if not detail:
            return
        if reason not in self._told:
            self._told.add(reason)
            log.warning("the encoder %s failed: %s", self.name, detail, exc_info=error)
        self._failed += 1
        if self._failed >= self._settings.failures:
            self._cut(f"{self._failed} failures in a row, the last: {detail}")

    def _overdue(self) -> None:
        """Cut it off where one part takes as long as all the failures that it may have."""
        held_s = self._clock.monotonic() - self._begun
        if held_s >= self._settings.failures * self._limit_s:
            self._cut(f"{self._size} texts have taken {held_s:.1f} s and are not done")

    def _cut(self, why: str) -> None:
        self.cut_off = why
        self._worker.end()
        log.error("%s", self.problem())

    def _lose(self, n: int, reason: str) -> None:
        with self._counting:
            self.lost[reason] += n
