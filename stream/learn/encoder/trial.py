"""Whether a challenger finds more than the champion: a paired test on the same events.

Of each event there are P@1 and the recall of what either found. The differences over a window have
a mean and a standard error; a challenger is better where the mean of one is so many standard errors
above zero, and large enough to be worth a new index, and that of the other not as far below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SURE = 3.0
"""Standard errors that a difference must be above zero; about 1 in 740 by chance."""
LEAST = 0.01
"""The difference that is worth a new index."""


@dataclass(frozen=True)
class Verdict:
    """What a trial came to.

    Parameters
    ----------
    promote
        Whether the challenger is to take over.
    evidence
        Events, the means of both, their differences and the standard errors of those; plain JSON.
    """

    promote: bool
    evidence: dict[str, Any]


class Trial:
    """Trials one after the other, each of `window` events.

    Parameters
    ----------
    window
        Events of a trial.
    rest
        How many times as many events pass after a trial as have passed in all, before the next
        begins: 0 tries without a pause, 1 at every doubling of the stream.
    """

    def __init__(self, window: int, rest: float = 0.25) -> None:
        self.window, self._rest = window, rest
        self._found: list[Any] = []
        self._seen = self._trials = 0
        self._due = 0

    @property
    def on(self) -> bool:
        """Whether events are to be scored."""
        return self._seen >= self._due

    def ask(self) -> None:
        """Begin at once, after a drift alarm."""
        self._due = min(self._due, self._seen)

    def pass_by(self, events: int) -> None:
        """So many events came that are not scored."""
        self._seen += events

    def add(self, champion: Any, challenger: Any) -> Verdict | None:
        """Take what both found of events: (n, 2) P@1 and recall. A verdict where the trial ends."""
        self._seen += len(champion)
        self._found.append(np.stack([champion, challenger]))
        if sum(part.shape[1] for part in self._found) < self.window:
            return None
        both = np.concatenate(self._found, axis=1)
        self._found.clear()
        self._trials += 1
        self._due = self._seen + int(self._rest * self._seen)
        return judged(both[0], both[1], self._seen)

    def state(self) -> dict[str, int]:
        """Plain JSON, to go on from; without what an unfinished trial has found."""
        return {"seen": self._seen, "due": self._due, "trials": self._trials}

    def load(self, state: Mapping[str, int]) -> None:
        """Go on from what `state` gave."""
        self._seen, self._due, self._trials = state["seen"], state["due"], state["trials"]

    def drop(self) -> None:
        """Begin anew: it is not the same challenger any more."""
        self._found.clear()


def judged(champion: Any, challenger: Any, seen: int) -> Verdict:
    """The verdict on (n, 2) P@1 and recall of both on the same events.

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> champion = rng.random((1_000, 2)) * 0.5
    >>> judged(champion, champion + 0.1, 1_000).promote
    True
    >>> judged(champion, champion[::-1], 1_000).promote
    False
    """
    differs = challenger - champion
    n, gain = len(differs), differs.mean(axis=0)
    error = differs.std(axis=0, ddof=1) / math.sqrt(n)
    means = np.round([champion.mean(axis=0), challenger.mean(axis=0)], 4).tolist()
    better = (gain > SURE * error) & (gain >= LEAST)
    worse = gain < -SURE * error
    return Verdict(
        bool(better.any() and not worse.any()),
        {
            "events": n,
            "seen": seen,
            "champion": {"p1": means[0][0], "recall": means[0][1]},
            "challenger": {"p1": means[1][0], "recall": means[1][1]},
            "difference": _named(gain),
            "standard_error": _named(error),
        },
    )


def _named(figures: Any) -> dict[str, float]:
    return {name: round(float(at), 4) for name, at in zip(("p1", "recall"), figures, strict=True)}


def found(nearest: Any, labels: Any, bounds: Any) -> Any:
    """(n, 2) P@1 and recall of what was found, (n, k) labels, for events with these labels.

    Events without labels are left out.
    """
    figures = []
    for at in range(len(bounds) - 1):
        truth = labels[bounds[at] : bounds[at + 1]]
        if len(truth):
            hit = np.isin(nearest[at], truth)
            figures.append((float(hit[:1].sum()), float(hit.sum()) / len(truth)))
    return np.array(figures, np.float64).reshape(-1, 2)
