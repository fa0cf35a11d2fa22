"""The metric catalogue: one table, from which the metrics and their documentation are made.

No label id, partition id or event id is ever a metric label: their number is unbounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import Metric as Family

Kind = Literal["counter", "gauge", "histogram"]

_HTTP = "braid_http_"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Metric:
    """One metric: what it means, in which unit, and what to do when it looks wrong."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    remedy: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _SECONDS
    values: tuple[str, ...] = ()
    """Values of its label that are known before they happen; such a counter begins at 0."""


CATALOGUE = (
    Metric(
        "braid_events_total",
        "counter",
        "events",
        "Events taken from the source, by what was done with them.",
        "A rate of zero with lag above zero: look at the commit metrics, then at the log.",
        ("action",),
        values=("predicted", "learnt"),
    ),
    Metric(
        "braid_dead_letters_total",
        "counter",
        "records",
        "Records sent to the dead letters, by reason.",
        "Read one from the dead-letter topic; its headers say what is wrong and whence it came.",
        ("reason",),
    ),
    Metric(
        "braid_held_partitions",
        "gauge",
        "partitions",
        "Partitions held by the dead-letter brake (settings dead_letters).",
        "Above 0: /readyz and the log name partition, offset and reason. Mend the producer, then"
        " start again.",
    ),
    Metric(
        "braid_unknown_fields_total",
        "counter",
        "fields",
        "Fields of events that the contract does not know; they are ignored.",
        "A producer writes a newer contract, or misspells a field.",
    ),
    Metric(
        "braid_lag_records",
        "gauge",
        "records",
        "Records in the source that were not read yet.",
        "Rising for long: add members and partitions, or lower the load.",
    ),
    Metric(
        "braid_position_events",
        "gauge",
        "events",
        "Labelled events that the model has learnt in its life.",
        "Standing still while labelled events come: the pipeline hangs; see the log.",
    ),
    Metric(
        "braid_step_seconds",
        "histogram",
        "seconds",
        "Time of one micro-batch in the pipeline, predicting and learning.",
        "Grows with the labels and words of an event; a jump without either is a bug.",
    ),
    Metric(
        "braid_batch_records",
        "histogram",
        "records",
        "Records in a micro-batch.",
        "Always full: the service is behind; see the lag.",
        buckets=_SIZES,
    ),
    Metric(
        "braid_commit_seconds",
        "histogram",
        "seconds",
        "Time of one transaction, from begin to commit.",
        "Slow brokers, or a slow network to them.",
    ),
    Metric(
        "braid_commit_waiting_seconds",
        "gauge",
        "seconds",
        "Seconds that the transaction under way has taken so far.",
        "Rising: the brokers do not answer; learning waits once run.in_flight batches do.",
    ),
    Metric(
        "braid_commits_total",
        "counter",
        "transactions",
        "Transactions by outcome: committed, aborted, lease_lost.",
        "Aborts repeat: the log names the error; lease_lost is normal when members change.",
        ("outcome",),
        values=("committed", "aborted", "lease_lost"),
    ),
    Metric(
        "braid_precision_at",
        "gauge",
        "ratio",
        "Prequential precision at k, decayed over about the last 1,000 labelled events.",
        "A fall with drift alarms: the stream changes. A fall without: look at the labels' source.",
        ("k",),
    ),
    Metric(
        "braid_labels",
        "gauge",
        "labels",
        "Labels known, retired ones left out.",
        "Growing without end: a producer writes free text into labels.",
    ),
    Metric(
        "braid_alike_labels_total",
        "counter",
        "labels",
        "New labels that look like one known before but for case, accents, marks or alphabet.",
        "One label written in two ways, or one made to be taken for another: the drift topic"
        " names both; retire one.",
    ),
    Metric(
        "braid_refused_labels",
        "gauge",
        "labels",
        "Labels of events that were left out, learn.most_labels being known; since the start.",
        "A producer floods labels: find it. Or the space is that large: raise learn.most_labels.",
    ),
    Metric(
        "braid_capped_labels_total",
        "counter",
        "labels",
        "Labels not learnt since their source has taught them too often (learn.source_share).",
        "One source floods one label: look at who holds its token. Or one label really is most of"
        " what it sends: raise learn.source_share.",
    ),
    Metric(
        "braid_partitions",
        "gauge",
        "partitions",
        "Label partitions now.",
        "Falls and rises by half within minutes: the label structure is unstable.",
    ),
    Metric(
        "braid_drift_events_total",
        "counter",
        "events",
        "Drift events by kind.",
        "See the drift topic for the evidence of each.",
        ("kind",),
    ),
    Metric(
        "braid_suspicious_labels_total",
        "counter",
        "labels",
        "Suspicious labels told, by kind: given (the model finds it unlikely), missing (likely).",
        "At most learn.suspicious_share of the events; look at those told on the drift topic.",
        ("kind",),
    ),
    Metric(
        "braid_index_labels",
        "gauge",
        "labels",
        "Prototypes searchable in the index.",
        "Far below braid_labels for long: the index lags behind the prototypes.",
    ),
    Metric(
        "braid_evicted",
        "gauge",
        "entries",
        "Entries that gave way in the model's life, by what: exemplars (the oldest), cooccurrence"
        " (company of rare labels), prototypes.",
        "Exemplars always do once full. The others rise: raise learn.cooccurrence_bytes or"
        " index.prototype_bytes; braid check-config says what that takes.",
        ("what",),
    ),
    Metric(
        "braid_waiting_events",
        "gauge",
        "events",
        "Events that wait for labels, and labels that wait for their event, by what waits.",
        "At its limit (learn.waiting): late labels older than that are lost; raise it.",
        ("what",),
    ),
    Metric(
        "braid_late_labels_total",
        "counter",
        "events",
        "Late labels by outcome: joined, kept (their event has not come), dropped (room full).",
        "Dropped: labels come later than learn.waiting events; raise it.",
        ("outcome",),
        values=("joined", "kept", "dropped"),
    ),
    Metric(
        "braid_snapshot_seconds",
        "histogram",
        "seconds",
        "Time to write one snapshot.",
        "Slow disk, or a large model.",
    ),
    Metric(
        "braid_snapshot_stall_seconds",
        "histogram",
        "seconds",
        "Time that the stream stood still while a snapshot was begun.",
        "About 25 ms for each GB of the process; above that the machine lacks memory or cores.",
    ),
    Metric(
        "braid_snapshots_total",
        "counter",
        "snapshots",
        "Snapshots by outcome: written, failed.",
        "Failed: the log names the file; the stream goes on and restart takes longer.",
        ("outcome",),
        values=("written", "failed"),
    ),
    Metric(
        "braid_view_age_seconds",
        "gauge",
        "seconds",
        "Age of the view that the endpoint answers from.",
        "Above one second while events are learnt: the learner is overloaded.",
    ),
    Metric(
        "braid_http_requests_total",
        "counter",
        "requests",
        "HTTP requests by route and status.",
        "5xx: see the log. 429: over capacity; see braid_http_queue_events.",
        ("route", "status"),
    ),
    Metric(
        "braid_http_seconds",
        "histogram",
        "seconds",
        "Time from request to answer, by route.",
        "Compare with braid_http_queue_events: waiting or computing?",
        ("route",),
    ),
    Metric(
        "braid_http_refused_total",
        "counter",
        "requests",
        "HTTP requests refused for their token: missing, unknown, or without the scope.",
        "unknown rises: somebody guesses, or a token in use was taken out of serve.tokens_file.",
        ("reason",),
        values=("missing", "unknown", "scope"),
    ),
    Metric(
        "braid_http_queue_events",
        "gauge",
        "events",
        "Events that wait to be predicted by HTTP.",
        "At serve.queue: requests are refused with 429.",
    ),
)


class Metrics:
    """The catalogue's metrics in one registry.

    Parameters
    ----------
    registry
        Where they are registered; a new one by default, so that tests do not share.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        for metric in CATALOGUE:
            self._made[metric.name] = self._make(metric)

    def _make(self, metric: Metric) -> Counter | Gauge | Histogram:
        text = f"{metric.meaning} Unit: {metric.unit}."
        if metric.kind == "counter":
            made = Counter(metric.name, text, metric.labels, registry=self.registry)
            for value in metric.values:
                made.labels(value)
            return made
        if metric.kind == "gauge":
            return Gauge(metric.name, text, metric.labels, registry=self.registry)
        return Histogram(
            metric.name, text, metric.labels, registry=self.registry, buckets=metric.buckets
        )

    def exposition(self, http: bool) -> bytes:
        """The endpoint's own metrics in Prometheus' text format, or all others."""
        return b"".join(
            generate_latest(made)
            for name, made in self._made.items()
            if name.startswith(_HTTP) == http
        )

    def families(self, names: Iterable[str]) -> Iterator[Family]:
        """What these metrics hold now."""
        for name in names:
            yield from self._made[name].collect()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        made = self._made[name]
        assert isinstance(made, Counter)
        (made.labels(**labels) if labels else made).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        made = self._made[name]
        assert isinstance(made, Gauge)
        (made.labels(**labels) if labels else made).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add to a histogram."""
        made = self._made[name]
        assert isinstance(made, Histogram)
        (made.labels(**labels) if labels else made).observe(value)
