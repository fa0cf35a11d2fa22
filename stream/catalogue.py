"""The metric catalogue: one table, from which the metrics and their documentation are made.

No label id, partition id or event id is ever a metric label: their number is unbounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

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
        "braid_possible_labels_total",
        "counter",
        "clusters",
        "Clusters of events that no label explains, told as possible new labels.",
        "The drift topic has their terms and events: label some of them, or describe the label.",
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
        "braid_encoder_lost",
        "gauge",
        "texts",
        "Texts that the plugged encoder gave no vector, since the start, by reason: raised, shape,"
        " not_finite, slow, busy (still at others), cut_off.",
        "Rising: see the log for what failed first. slow, busy: give it more time"
        " (encoder.timeout_ms), shorter texts (encoder.characters), or a smaller model.",
        ("reason",),
    ),
    Metric(
        "braid_encoder_cut_off",
        "gauge",
        "encoders",
        "Whether the plugged encoder failed too often and is not asked any more: 1, else 0.",
        "1: the log says why; prototypes are learnt anew from the built-in embedding. Mend it, then"
        " start again.",
    ),
    Metric(
        "braid_index_generation",
        "gauge",
        "generations",
        "Number of the index's generation in use; 0 is the fixed projection.",
        "It rises with promotions and falls with a rollback; GET /v1/generations has the evidence.",
    ),
    Metric(
        "braid_encoder_verdicts_total",
        "counter",
        "challengers",
        "What came of challengers of the encoder, by outcome: promoted, refused (no better yet),"
        " diverged (begun anew), failed (no index could be made of it), rolled_back.",
        "diverged repeats: see the evidence on the drift topic; encoder.train=false does without."
        " failed: see the log.",
        ("outcome",),
        values=("promoted", "refused", "diverged", "failed", "rolled_back"),
    ),
    Metric(
        "braid_training_events_total",
        "counter",
        "events",
        "Labelled events that challengers were trained on.",
        "Standing still with encoder.train=true: see braid_training_restarts_total and the log.",
    ),
    Metric(
        "braid_training_passed_over_total",
        "counter",
        "events",
        "Labelled events that training was too slow for; the rest of the model learnt them.",
        "Most of them: challengers follow late; raise encoder.cpu_share, or train on a GPU.",
    ),
    Metric(
        "braid_training_busy_seconds_total",
        "counter",
        "seconds",
        "Seconds that training was at work, its pauses left out.",
        "Its rate stays below encoder.cpu_share times the processors; else the machine is crowded.",
    ),
    Metric(
        "braid_training_restarts_total",
        "counter",
        "processes",
        "Processes of training that ended by themselves; each time another is begun.",
        "Rising: the log has its last words; often memory: see braid_training_bytes.",
    ),
    Metric(
        "braid_training_bytes",
        "gauge",
        "bytes",
        "Memory that the process of training holds; 0 where there is none.",
        "Grows with the labels: braid check-config says by how much.",
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
