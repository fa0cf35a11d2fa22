"""What happens when a chunk is full: detectors and partitions move on, and the learner reacts.

A partition whose loss has risen forgets what it learnt before the likeliest moment of the change
and takes larger steps; the rest of the model does not move. What is forgotten is put aside: for a
while after an alarm the learner looks whether an earlier state of the partition explains its
newest events better, which takes back a needless alarm, and a concept that returns. An alarm of
the whole stream, or of a partition that is most of it, means larger steps and nothing is
forgotten: where all memory went at once, precision fell by a tenth on a stream whose loss rises
slowly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from stream.labels import LabelSpace
from stream.learn.drift import LOOK, Alarm, DriftBank
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.looked import Looked
from stream.learn.partitions.partitioner import PartitionDelta, Partitioner
from stream.learn.small.learner import SmallLearner
from stream.types import DriftEvent

BOOST = 3.0
_SHOWN = 10  # labels named in evidence


class Changes:
    """Truth, hits and losses gathered until a chunk is full."""

    def __init__(self) -> None:
        self.truths: list[Any] = []
        self.sizes: list[Any] = []
        self.hits: list[Any] = []
        self.empty: list[Any] = []
        self.partial: list[Any] = []

    def add(self, truths: Any, bounds: Any, hit: Any, empty: Any, looked: Looked) -> None:
        """Gather learnt events, but for those of which no label is known."""
        sizes = bounds[1:] - bounds[:-1]
        if not looked.partial.any():
            self.put(truths, sizes, hit, empty, looked.partial)
            return
        told = ~looked.partial | (sizes > 0) | (np.diff(looked.bounds) > 0)
        self.put(truths, sizes[told], hit, empty[told], looked.partial[told])

    def put(self, truths: Any, sizes: Any, hit: Any, empty: Any, partial: Any) -> None:
        """Gather what `peek` gave, with the number of each event's labels for bounds."""
        self.truths.append(truths)
        self.sizes.append(sizes)
        self.hits.append(hit)
        self.empty.append(empty)
        self.partial.append(partial)

    def take(self) -> tuple[Any, Any, Any, Any, Any]:
        """All of it as truths, bounds, hits, empty, partial; and start anew."""
        everything = self.peek()
        self.__init__()  # type: ignore[misc]  # start anew, in place
        return everything

    def peek(self) -> tuple[Any, Any, Any, Any, Any]:
        """The same, and keep it."""
        sizes = _join(self.sizes, np.int64)
        bounds = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=bounds[1:])
        return (
            _join(self.truths, np.int32),
            bounds,
            _join(self.hits, np.uint8),
            _join(self.empty, np.float32),
            _join(self.partial, np.bool_),
        )


def _join(parts: list[Any], dtype: Any) -> Any:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


class Parts(NamedTuple):
    """The parts of a model that a full chunk concerns."""

    labels: LabelSpace
    partitioner: Partitioner
    drift: DriftBank
    learner: SmallLearner | ExtremeLearner
    position: int


def react(
    parts: Parts, changes: Changes, reacting: bool = True
) -> tuple[list[DriftEvent], list[Any]]:
    """Move drift detection and partitions on, and let the learner react.

    Returns
    -------
    list of DriftEvent
        Alarms, splits and merges, in order.
    list of (n,) int
        The label slots of each partition that alarmed, or of which a former state is back.
    """
    truths, bounds, hit, empty, partial = changes.take()
    partitioner, learner = parts.partitioner, parts.learner
    alarms = parts.drift.update(
        truths, bounds, hit, empty, partitioner.leaf_of, partitioner.highest
    )
    events, alarmed = [], []
    for alarm in alarms:
        local = alarm.leaf >= 0
        slots = partitioner.members(alarm.leaf) if local else np.arange(len(parts.labels))
        if reacting:
            forgets = local and _is_part(learner.counts(), slots)
            learner.react(slots, BOOST, alarm.values if forgets else 0)
            if forgets:
                alarmed.append(slots.copy())
        events.append(_alarm(parts, alarm, slots))
    if reacting:
        for leaf in parts.drift.due:
            slots = partitioner.members(leaf)
            if _is_part(learner.counts(), slots) and learner.look(slots, LOOK):
                parts.drift.excuse(leaf)
                alarmed.append(slots.copy())
    deltas = partitioner.observe(truths, bounds, partial)
    for leaf in partitioner.opened:
        learner.retire_leaf(leaf)
    parts.drift.restart(partitioner.opened)
    learner.add_labels(len(parts.labels), partitioner.highest)
    events.extend(_change(parts, delta) for delta in deltas if delta.kind in {"split", "merge"})
    return events, alarmed


def _is_part(counts: Any, slots: Any) -> bool:
    """Whether labels are no more than half of all that was given."""
    return bool(2 * counts[slots].sum(dtype=np.float64) <= counts.sum(dtype=np.float64))


def _alarm(parts: Parts, alarm: Alarm, slots: Iterable[int]) -> DriftEvent:
    evidence: dict[str, Any] = {"loss_before": alarm.before, "loss_after": alarm.after}
    if alarm.leaf < 0:
        return DriftEvent("global_alarm", "global", parts.position, evidence)
    evidence |= _who(parts, slots)
    return DriftEvent("partition_alarm", f"partition/{alarm.leaf}", parts.position, evidence)


def _change(parts: Parts, delta: PartitionDelta) -> DriftEvent:
    evidence = {"other": delta.other}
    slots = delta.labels if delta.kind == "split" else parts.partitioner.members(delta.other)
    return DriftEvent(
        delta.kind, f"partition/{delta.leaf}", parts.position, evidence | _who(parts, slots)
    )


def _who(parts: Parts, slots: Iterable[int]) -> dict[str, Any]:
    listed = [int(slot) for slot in slots]
    return {"size": len(listed), "labels": [parts.labels.names[slot] for slot in listed[:_SHOWN]]}
