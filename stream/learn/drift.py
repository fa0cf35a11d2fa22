"""Drift detection at two levels: one detector for the whole stream, one for each partition.

The loss of an event is the share of its labels that were not among the first c candidates, c
being how many it has; a partition's loss counts the event's labels of that partition alone.
Only a rising loss alarms, after a warm-up, and not again during a cool-down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.learn import adwin
from stream.learn.arrays import allocate, dump, grow, power, restore
from stream.learn.jit import kernel

WARM_UP = 200  # values of a detector before its first alarm
COOL_DOWN = 500  # values after an alarm
_GLOBAL = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """The loss of a partition (or of all, `leaf` -1) has risen from `before` to `after`."""

    leaf: int
    before: float
    after: float


class DriftBank:
    """Detectors for the stream and for every leaf.

    Parameters
    ----------
    delta
        ADWIN's confidence.
    """

    def __init__(self, delta: float) -> None:
        self._delta = delta
        self._capacity = {"detectors": 64}
        self.state = allocate(adwin.Bank, adwin.SPECS, self._capacity)
        self.state.quiet[:] = WARM_UP

    def update(
        self, truths: Any, bounds: Any, hits: Any, empty: Any, leaf_of: Any, leaves: int
    ) -> list[Alarm]:
        """Add the losses of events, in order.

        Parameters
        ----------
        truths, bounds
            Label slots of all events in a row, and (n + 1,) bounds of each.
        hits
            (len(truths),) uint8, whether each label was among the first c candidates.
        empty
            (n,) float32, the loss of events without labels.
        leaf_of, leaves
            The leaf of each label, and one above the highest leaf number.
        """
        self._reserve(leaves + 1)
        out = np.zeros((len(truths) + len(empty) + 1, 3))
        found = _update(self.state, truths, bounds, hits, empty, leaf_of, self._delta, out)
        return [Alarm(int(leaf), before, after) for leaf, before, after in out[:found].tolist()]

    def restart(self, leaves: Iterable[int]) -> None:
        """Detectors of these leaves start anew: the numbers mean other partitions now."""
        for leaf in leaves:
            self._reserve(leaf + 2)
            adwin.reset(self.state, leaf + 1, WARM_UP)

    def loss(self, leaf: int) -> float:
        """Mean loss in the window of a leaf, or of the stream for -1; NaN when unknown."""
        at = leaf + 1
        if at >= len(self.state.width) or self.state.width[at] == 0:
            return float("nan")
        return float(self.state.sum[at] / self.state.width[at])

    def arrays(self) -> dict[str, Any]:
        """The state by name, not copied."""
        return dump(self.state, "drift")

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        self.state = restore(adwin.Bank, arrays, "drift")
        self._capacity = {"detectors": len(self.state.width)}

    def _reserve(self, detectors: int) -> None:
        old = self._capacity["detectors"]
        if detectors > old:
            self._capacity = {"detectors": power(detectors, old)}
            self.state = grow(self.state, adwin.SPECS, self._capacity)
            self.state.quiet[old:] = WARM_UP


@kernel
def _update(
    bank: adwin.Bank, truths: Any, bounds: Any, hits: Any, empty: Any, leaf_of: Any,
    delta: float, out: Any,
) -> int:  # fmt: skip
    found = 0
    means = np.zeros(2)
    for i in range(len(bounds) - 1):
        low, high = bounds[i], bounds[i + 1]
        if low == high:
            found = _add(bank, _GLOBAL, empty[i], delta, means, out, found)
            continue
        total = 0.0
        for k in range(low, high):
            total += hits[k]
        found = _add(bank, _GLOBAL, 1.0 - total / (high - low), delta, means, out, found)
        for k in range(low, high):
            leaf = leaf_of[truths[k]]
            first = leaf >= 0
            inside, hit = 0, 0
            for other in range(low, high):
                if leaf_of[truths[other]] == leaf:
                    first &= other >= k
                    inside += 1
                    hit += hits[other]
            if first:
                found = _add(bank, leaf + 1, 1.0 - hit / inside, delta, means, out, found)
    return found


@kernel
def _add(
    bank: adwin.Bank, d: int, loss: float, delta: float, means: Any, out: Any, found: int
) -> int:
    bank.quiet[d] = max(0, bank.quiet[d] - 1)
    cut = adwin.update(bank, d, loss, delta, means)
    if cut and means[1] > means[0] and bank.quiet[d] == 0:
        bank.quiet[d] = COOL_DOWN
        out[found, 0] = d - 1
        out[found, 1] = means[0]
        out[found, 2] = means[1]
        return found + 1
    return found
