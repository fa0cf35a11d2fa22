"""What the page shows, read from the metrics: of this process, or as another one's text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from stream.metrics import Metrics

_HERE = ("braid_http_requests_total", "braid_http_seconds")
_STREAM = (
    "braid_events_total", "braid_dead_letters_total", "braid_lag_records", "braid_position_events",
    "braid_step_seconds", "braid_precision_at", "braid_labels", "braid_partitions",
    "braid_drift_events_total",
)  # fmt: skip
_PREDICT = "/v1/predict"
_REFUSED = "429"

Buckets = dict[float, float]
"""Upper bounds in seconds, and how many were at most so long."""


@dataclass
class Reading:
    """The counters and gauges of one moment; counters are since the start."""

    learnt: float = 0
    predicted: float = 0
    dead: float = 0
    lag: float = 0
    position: float = 0
    labels: float = 0
    partitions: float = 0
    precision: dict[str, float] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)
    step: Buckets = field(default_factory=dict)
    http: Buckets = field(default_factory=dict)
    asked: float = 0
    refused: float = 0


def reader(metrics: Metrics, elsewhere: Callable[[], bytes] | None) -> Callable[[], Reading]:
    """Make the way to read; `elsewhere` as in `stream.serve.app.create_app`."""

    def read() -> Reading:
        found = Reading()
        _take(found, metrics.families(_HERE))
        _take(found, metrics.families(_STREAM) if elsewhere is None else _parsed(elsewhere()))
        return found

    return read


def quantile(before: Buckets, now: Buckets, share: float) -> float | None:
    """A quantile in seconds of what came between two readings; None where nothing came.

    Within a bucket it is interpolated, as Prometheus' `histogram_quantile` does.
    """
    bounds = sorted(now)
    counts = [now[bound] - before.get(bound, 0.0) for bound in bounds]
    if not counts or counts[-1] <= 0:
        return None
    wanted, low, below = share * counts[-1], 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= wanted:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (wanted - below) / max(count - below, 1e-9)
        low, below = bound, count
    return low


def _parsed(text: bytes) -> Iterable[Family]:
    """The families of a text, of which only the lines that are needed are parsed."""
    lines = [line for line in text.decode().splitlines() if line.startswith(_STREAM)]
    return text_string_to_metric_families("\n".join(lines) + "\n")


def _take(found: Reading, families: Iterable[Family]) -> None:
    for family in families:
        for sample in family.samples:
            _note(found, sample.name, sample.labels, sample.value)


def _note(found: Reading, name: str, labels: dict[str, str], value: float) -> None:
    match name:
        case "braid_events_total":
            if labels["action"] == "learnt":
                found.learnt = value
            else:
                found.predicted = value
        case "braid_dead_letters_total":
            found.dead += value
        case "braid_lag_records":
            found.lag = value
        case "braid_position_events":
            found.position = value
        case "braid_labels":
            found.labels = value
        case "braid_partitions":
            found.partitions = value
        case "braid_precision_at":
            found.precision[labels["k"]] = value
        case "braid_drift_events_total":
            found.drift[labels["kind"]] = value
        case "braid_step_seconds_bucket":
            found.step[float(labels["le"])] = value
        case "braid_http_seconds_bucket":
            if labels["route"] == _PREDICT:
                found.http[float(labels["le"])] = value
        case "braid_http_requests_total":
            if labels["status"] == _REFUSED:
                found.refused += value
            elif labels["route"] == _PREDICT:
                found.asked += value
