"""Which labels were looked for in an event; those that were not are unknown, not negative."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel


class Looked(NamedTuple):
    """The labels looked for in n events.

    Parameters
    ----------
    slots, bounds
        Label slots of all events in a row (int32), and (n + 1,) int64 bounds of each.
    partial
        (n,) bool, whether an event says which were; where not, all labels were.
    """

    slots: Any
    bounds: Any
    partial: Any

    def part(self, start: int, stop: int) -> Looked:
        """Events start to stop."""
        if start == 0 and stop == len(self.partial):
            return self
        return Looked(self.slots, self.bounds[start : stop + 1], self.partial[start:stop])

    def of(self, at: int) -> Any:
        """The slots of one event, None where all labels were looked for."""
        if not self.partial[at]:
            return None
        return self.slots[self.bounds[at] : self.bounds[at + 1]]


def pack(each: Sequence[Any]) -> Looked:
    """The slots of each event, or None for all labels, as one."""
    bounds = np.zeros(len(each) + 1, np.int64)
    np.cumsum([0 if slots is None else len(slots) for slots in each], out=bounds[1:])
    named = [np.asarray(slots, np.int32) for slots in each if slots is not None]
    slots = np.concatenate(named) if named else np.zeros(0, np.int32)
    return Looked(slots, bounds, np.array([slots is not None for slots in each], np.bool_))


@lru_cache(64)
def everywhere(n: int) -> Looked:
    """All labels, in n events."""
    return Looked(np.zeros(0, np.int32), np.zeros(n + 1, np.int64), np.zeros(n, np.bool_))


def only_known(slots: Any, p: Any, truths: Any, bounds: Any, looked: Looked) -> tuple[Any, Any]:
    """Ranked slots and probabilities (n, m), each row without labels not looked for.

    The rest moves up, with -1 and 0 behind it; what was given counts as looked for.
    """
    slots, p = slots.copy(), p.copy()
    for i in np.flatnonzero(looked.partial).tolist():
        known = np.union1d(looked.of(i), truths[bounds[i] : bounds[i + 1]])
        kept = np.flatnonzero(np.isin(slots[i], known))
        slots[i, : len(kept)], p[i, : len(kept)] = slots[i, kept], p[i, kept]
        slots[i, len(kept) :], p[i, len(kept) :] = -1, 0
    return slots, p


@kernel
def holds(slots: Any, label: int) -> bool:
    """Whether a label is among slots."""
    for slot in slots:  # noqa: SIM110  # kernels have no any()
        if slot == label:
            return True
    return False
