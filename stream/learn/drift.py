"""Drift detection at two levels: one detector for the whole stream, one for each partition.

The loss of an event is the share of its labels that were not among the first c candidates, c
being how many it has; a partition's loss counts the event's labels of that partition alone.
Only a rising loss alarms, after a warm-up, and not again during a cool-down.

Many detectors run at once, so ADWIN's confidence is shared out among them (Bonferroni), and a
rise must be worth a reaction as well as certain. The detector of the stream does not hear
events of partitions that have lately alarmed, and what it finds is held for a while: where a
partition comes forward, the rise was that partition's, and the stream is not alarmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn import adwin
from stream.learn.arrays import allocate, dump, grow, power, restore

WARM_UP = 200  # values of a detector before its first alarm
COOL_DOWN = 250  # values after an alarm
EXPLAINED = 500  # values after an alarm in which the stream's detector leaves the partition out
LOOK = 32  # values between looks for a former state of a partition that has alarmed
EVERY = 8  # values between looks for a change
HOLD = 512  # events for which a partition may come forward before the stream is alarmed
RISE = 0.1  # of a partition's loss, at least
STREAM_RISE = 0.05
_GLOBAL = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """The loss of a partition (or of all, `leaf` -1) has risen from `before` to `after`.

    `values` is the length of the window left: how many events of the partition came since.
    """

    leaf: int
    before: float
    after: float
    values: int = 0


class DriftBank:
    """Detectors for the stream and for every leaf.

    Parameters
    ----------
    delta
        ADWIN's confidence, of all detectors together.
    """

    def __init__(self, delta: float) -> None:
        self._delta = delta
        self._capacity = {"detectors": 64}
        self.state = allocate(adwin.Bank, adwin.SPECS, self._capacity)
        self.state.quiet[:] = WARM_UP
        self.due: list[int] = []
        """Leaves for which `update` has passed a look, and that did not alarm."""
        self.held = np.zeros(4)
        """A rise of the stream's loss: events to wait, loss before and after, values."""

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
        out = np.zeros((len(truths) + len(empty) + 1, 4))
        delta = self._delta / (leaves + 1)
        touched = np.unique(leaf_of[truths]) + 1
        touched = touched[touched > 0]
        before = self.state.quiet[touched] + EXPLAINED
        found = _update(self.state, self.held, truths, bounds, hits, empty, leaf_of, delta, out)
        after = self.state.quiet[touched] + EXPLAINED
        passed = (after < EXPLAINED) & (after // LOOK > before // LOOK)
        self.due = (touched[passed] - 1).tolist()
        return [
            Alarm(int(leaf), before, after, int(values))
            for leaf, before, after, values in out[:found].tolist()
        ]

    def restart(self, leaves: Iterable[int]) -> None:
        """Detectors of these leaves start anew: the numbers mean other partitions now."""
        for leaf in leaves:
            self._reserve(leaf + 2)
            adwin.reset(self.state, leaf + 1, WARM_UP)

    def excuse(self, leaf: int) -> None:
        """A leaf has changed without an alarm: what follows is as after one."""
        self.state.quiet[leaf + 1] = -EXPLAINED

    def loss(self, leaf: int) -> float:
        """Mean loss in the window of a leaf, or of the stream for -1; NaN when unknown."""
        at = leaf + 1
        if at >= len(self.state.width) or self.state.width[at] == 0:
            return float("nan")
        return float(self.state.sum[at] / self.state.width[at])

    def losses(self) -> Any:
        """(leaves,) float32, mean loss in the window of every leaf; NaN where unknown."""
        width = self.state.width[1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.where(width > 0, self.state.sum[1:] / width, np.nan)
        return found.astype(np.float32)

    def arrays(self) -> dict[str, Any]:
        """The state by name, not copied."""
        return dump(self.state, "drift") | {"drift.held": self.held}

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        self.state = restore(adwin.Bank, arrays, "drift")
        self.held = np.array(arrays["drift.held"])
        self._capacity = {"detectors": len(self.state.width)}

    def _reserve(self, detectors: int) -> None:
        old = self._capacity["detectors"]
        if detectors > old:
            self._capacity = {"detectors": power(detectors, old)}
            self.state = grow(self.state, adwin.SPECS, self._capacity)
            self.state.quiet[old:] = WARM_UP


@kernel
def _update(
    bank: adwin.Bank, held: Any, truths: Any, bounds: Any, hits: Any, empty: Any, leaf_of: Any,
    delta: float, out: Any,
) -> int:  # fmt: skip
    found = 0
    means = np.zeros(2)
    for i in range(len(bounds) - 1):
        low, high = bounds[i], bounds[i + 1]
        before = found
        explained = False
        total = 0.0
        for k in range(low, high):
            total += hits[k]
            leaf = leaf_of[truths[k]]
            explained |= leaf >= 0 and bank.quiet[leaf + 1] < 0
            first = leaf >= 0
            inside, hit = 0, 0
            for other in range(low, high):
                if leaf_of[truths[other]] == leaf:
                    first &= other >= k
                    inside += 1
                    hit += hits[other]
            if first:
                loss = 1.0 - hit / inside
                found = _add(bank, leaf + 1, loss, delta, RISE, means, out, found)
        if found > before:
            held[0] = 0.0
        elif not explained:
            loss = 1.0 - total / (high - low) if high > low else np.float64(empty[i])
            if _add(bank, _GLOBAL, loss, delta, STREAM_RISE, means, out, found) > found:
                held[0] = HOLD
                held[1:] = out[found, 1:]
        found = _release(held, out, found)
    return found


@kernel
def _release(held: Any, out: Any, found: int) -> int:
    """Alarm the stream where no partition came forward in time."""
    if held[0] == 0:
        return found
    held[0] -= 1.0
    if held[0] > 0:
        return found
    out[found, 0] = -1.0
    out[found, 1:] = held[1:]
    return found + 1


@kernel
def _add(
    bank: adwin.Bank, d: int, loss: float, delta: float, rise: float, means: Any, out: Any,
    found: int,
) -> int:  # fmt: skip
    bank.quiet[d] -= np.sign(bank.quiet[d])
    deaf = bank.quiet[d] > 0 or bank.quiet[d] < COOL_DOWN - EXPLAINED
    width, total = bank.width[d] + 1, bank.sum[d] + loss
    if not adwin.update(bank, d, loss, delta, means, EVERY) or deaf:
        return found
    if means[1] - (total - bank.sum[d]) / (width - bank.width[d]) < rise:  # over what was cut off
        return found
    adwin.narrow(bank, d)
    bank.quiet[d] = -EXPLAINED
    out[found, 0] = d - 1
    out[found, 1] = (total - bank.sum[d]) / (width - bank.width[d])
    out[found, 2] = bank.sum[d] / bank.width[d]
    out[found, 3] = bank.width[d]
    return found + 1
