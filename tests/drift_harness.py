"""A drifting stream through a model, event by event, and what a reader of it wants to know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stream import features
from stream.config import Learn
from stream.learn.model.core import Model
from stream.source.synthetic import Drift, Drifting, DriftingStream, label_name

PLANS = {
    "small sparse": Drifting(groups=8, size=12),
    "small dense": Drifting(groups=8, size=12, dimension=48),
    "extreme": Drifting(groups=26, size=20),
}
SETTINGS = Learn(exemplar_bytes=25_000_000, hash_bits=16, linear_bytes=16_777_216)


@dataclass
class Trace:
    """What a run told.

    Parameters
    ----------
    alarms
        (event, leaf, share of the leaf's labels that lie in a drifting group); leaf -1 is global.
    hit
        (events, groups) share of the group's true labels that ranked within the event's own
        number of labels; NaN where the event has none of the group.
    loss
        (events,) the stream's loss, as the detectors hear it.
    """

    alarms: list[tuple[int, int, float]] = field(default_factory=list)
    hit: Any = None
    loss: Any = None


def run(plan: Drifting, events: int, reacting: bool = True, settings: Learn = SETTINGS) -> Trace:
    """Predict, then learn, every event."""
    stream, model, trace = DriftingStream(plan), Model(settings, 64), Trace()
    model.reacting = reacting
    for label in range(plan.labels):  # all labels known: their coming is no matter here
        model.describe(label_name(label), "")
    slots = {label: model.labels.slot(label_name(label)) for label in range(plan.labels)}
    planted = {slots[label] for group in plan.drift.groups for label in stream.members(group)}
    trace.hit = np.full((events, plan.groups), np.nan, np.float32)
    trace.loss = np.zeros(events)
    for at in range(events):
        event = stream.draw()
        row = features.of_text(event.text) if event.vector is None else event.vector
        rows = features.batch([row])
        best = set(model.predict(rows).slots[0, : len(event.labels)].tolist())
        found = [slots[label] in best for label in event.labels]
        trace.loss[at] = 1 - np.mean(found)
        of = [stream.group_of(label) for label in event.labels]
        for group in event.groups:
            trace.hit[at, group] = np.mean(
                [f for f, g in zip(found, of, strict=True) if g == group]
            )
        for told in model.learn(rows, [[label_name(label) for label in event.labels]]):
            if told.kind == "global_alarm":
                trace.alarms.append((at, -1, 0.0))
            elif told.kind == "partition_alarm":
                leaf = int(told.scope.split("/")[1])
                inside = [model.labels.slot(name) in planted for name in told.evidence["labels"]]
                trace.alarms.append((at, leaf, float(np.mean(inside))))
    return trace


def delay(trace: Trace, plan: Drifting) -> int | None:
    """Events of the drifting group from the drift to the first alarm that names it."""
    start, group = plan.drift.start, plan.drift.groups[0]
    named = [at for at, _, share in trace.alarms if at >= start and share > 0.5]
    return int(np.isfinite(trace.hit[start : named[0] + 1, group]).sum()) if named else None


def lost(trace: Trace, plan: Drifting, horizon: int) -> float:
    """Accuracy lost after the drift, summed over `horizon` of the group's own events."""
    start, group = plan.drift.start, plan.drift.groups[0]
    values = trace.hit[:, group]
    before = values[start // 2 : start]
    after = values[start:][np.isfinite(values[start:])][:horizon]
    return float(np.nansum(np.nanmean(before) - after))


def recovery(trace: Trace, plan: Drifting, share: float = 0.9, smooth: int = 100) -> int:
    """The group's events from the drift until its accuracy is back at `share` of that before.

    Accuracy at an event is the mean over the `smooth` events around it, and back is what comes
    after its lowest point; all events are counted where it does not come back.
    """
    start, group = plan.drift.start, plan.drift.groups[0]
    values = trace.hit[:, group]
    goal = share * np.nanmean(values[start // 2 : start])
    after = values[start:][np.isfinite(values[start:])]
    if len(after) < smooth:
        return len(after)
    means = np.convolve(after, np.ones(smooth) / smooth, "valid")
    lowest = int(np.argmin(means))
    reached = np.flatnonzero(means[lowest:] >= goal)
    return lowest + int(reached[0]) + smooth // 2 if len(reached) else len(after)


def others(trace: Trace, plan: Drifting) -> float:
    """Mean accuracy of the other groups from the drift on."""
    keep = [group for group in range(plan.groups) if group not in plan.drift.groups]
    return float(np.nanmean(trace.hit[plan.drift.start :, keep]))


def planned(kind: str, seed: int, drift: Drift) -> Drifting:
    """The plan of a learner kind."""
    return replace(PLANS[kind], seed=seed, drift=drift)
