"""Watches the recall of an index while it serves: what to compare, and when to build anew."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from indexes.base import Float32, Hits
from indexes.frozen import FrozenLists
from indexes.recall import RecallSampler

_KEPT = 128  # queries remembered, on which the number of probes is chosen
_ENOUGH = 48
_OPEN = 4  # comparisons that may wait
_PATIENCE = 64


class _Case(NamedTuple):
    queries: Float32
    found: Hits | None
    state: FrozenLists


class Watch:
    """Takes samples of searches, and compares them when asked to, in another thread.

    Parameters
    ----------
    every, neighbours, threshold, memory : int, int, float, int
        See `RecallSampler`.

    Notes
    -----
    Where a rebuild does not bring the recall back, the next one is asked for after twice as many
    samples, and so on.
    """

    def __init__(
        self, *, every: int = 1_000, neighbours: int = 10, threshold: float = 0.95,
        memory: int = 50,
    ) -> None:  # fmt: skip
        self._sampler = RecallSampler(every=every, k=neighbours, threshold=threshold, memory=memory)
        self._neighbours, self._memory = neighbours, memory
        self._open: deque[_Case] = deque()
        self._asked: deque[Float32] = deque(maxlen=_KEPT)
        self._patience, self._fell = 1, False
        self._lock = threading.Lock()

    @property
    def recall(self) -> float:
        """Mean recall, 0 to 1; 1 before the first sample."""
        return self._sampler.value

    @property
    def samples(self) -> int:
        """Searches compared since the last rebuild."""
        return self._sampler.samples

    @property
    def asked(self) -> Float32 | None:
        """(n, d): queries of late; None when they are few."""
        with self._lock:
            return np.array(self._asked) if len(self._asked) >= _ENOUGH else None

    @property
    def wants_rebuild(self) -> bool:
        """Whether recall has fallen below the threshold."""
        samples = self._sampler.samples
        return self._sampler.wants_rebuild and samples >= self._patience * self._memory

    def saw(self, queries: Float32, found: Hits | None, state: Callable[[], FrozenLists]) -> bool:
        """Count a search; whether there is something to compare now. `state` is of that moment.

        `found` is None where it was searched with less than the whole effort; what that would
        have found is searched for then.
        """
        with self._lock:
            turns = self._sampler.due(len(queries))
            few = len(self._asked) < _ENOUGH
            self._asked.extend(queries[: _ENOUGH - len(self._asked)] if few else queries[turns])
            k = self._neighbours
            if not turns or len(self._open) >= _OPEN:
                return False
            if found is not None and found.ids.shape[1] < k:
                return False
        cut = None if found is None else Hits(found.ids[turns, :k], found.scores[turns, :k])
        case = _Case(queries[turns], cut, state())
        with self._lock:
            self._open.append(case)
        return True

    def compare(self) -> None:
        """Compare what waits; slow."""
        while True:
            with self._lock:
                if not self._open:
                    return
                case = self._open.popleft()
            truth = case.state.exact(case.queries, self._neighbours)
            found = case.found or case.state.search(case.queries, self._neighbours)
            with self._lock:
                self._sampler.record(found, truth)
                if self._sampler.samples >= self._memory and not self._sampler.wants_rebuild:
                    self._patience, self._fell = 1, False

    def rebuilt(self) -> None:
        """The index was built anew: measure from the start."""
        with self._lock:
            if self._sampler.wants_rebuild:
                self._patience = min(2 * self._patience, _PATIENCE) if self._fell else 1
                self._fell = True
            self._sampler.reset()
