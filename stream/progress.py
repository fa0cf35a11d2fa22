"""What the runner has done since its start: counts, and precision before learning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream.metrics import Metrics
from stream.pipeline import Item, Outcomes
from stream.types import DeadLetter, Example

_OUTCOMES = {"promotion": "promoted", "rollback": "rolled_back", "refusal": ""}
_DECAY = 0.999  # of the prequential precision: about the last 1,000 events


@dataclass
class Progress:
    """What the live line shows; counts since the start."""

    events: int = 0
    learnt: int = 0
    dead: int = 0
    alarms: int = 0
    splits: int = 0
    merges: int = 0
    capped: int = 0
    hits: dict[int, float] = field(default_factory=lambda: {1: 0.0, 5: 0.0})
    weight: float = 0.0

    def precision(self, k: int) -> float:
        """Prequential precision at k of about the last 1,000 labelled events."""
        return self.hits[k] / self.weight if self.weight else 0.0

    def score(self, items: Sequence[Item], outcome: Outcomes) -> None:
        """Prequential precision, from predictions made before their event was learnt."""
        for at, made in outcome.predictions.items():
            example = items[at].what
            if not isinstance(example, Example) or not example.labels or made.late:
                continue
            top = made.top
            if example.checked is not None:  # what was not looked for is no miss
                known = {*example.labels, *example.checked}
                top = tuple(one for one in top if one.label in known)
            hit = [one.label in example.labels for one in top[:5]]
            self.weight = self.weight * _DECAY + 1
            for k in self.hits:
                self.hits[k] = self.hits[k] * _DECAY + sum(hit[:k]) / k

    def count(
        self, items: Sequence[Item], outcome: Outcomes, letters: Sequence[DeadLetter],
        metrics: Metrics,
    ) -> None:  # fmt: skip
        """Add a step, here and in the metrics."""
        self.events += len(items)
        self.learnt += outcome.learnt
        self.dead += len(letters)
        kinds = Counter(event.kind for event in outcome.drift)
        self.alarms += kinds["global_alarm"] + kinds["partition_alarm"]
        self.splits += kinds["split"]
        self.merges += kinds["merge"]
        if outcome.predictions:
            metrics.count("braid_events_total", len(outcome.predictions), action="predicted")
        if outcome.learnt:
            metrics.count("braid_events_total", outcome.learnt, action="learnt")
        for reason, n in Counter(letter.reason for letter in letters).items():
            metrics.count("braid_dead_letters_total", n, reason=reason)
        for kind, n in (+kinds).items():
            metrics.count("braid_drift_events_total", n, kind=kind)
        for event in outcome.drift:
            if event.kind == "suspicious_label":
                side = "given" if event.evidence["given"] else "missing"
                metrics.count("braid_suspicious_labels_total", kind=side)
            if event.kind == "possible_label":
                metrics.count("braid_possible_labels_total")
            if event.kind in _OUTCOMES:
                came_to = _OUTCOMES[event.kind] or event.evidence["outcome"]
                metrics.count("braid_encoder_verdicts_total", outcome=came_to)
            if event.kind == "new_label" and event.evidence["alike"] is not None:
                metrics.count("braid_alike_labels_total")
        self.capped += outcome.capped
        if outcome.capped:
            metrics.count("braid_capped_labels_total", outcome.capped)
        for late, n in Counter(outcome.late_labels).items():
            metrics.count("braid_late_labels_total", n, outcome=late)
