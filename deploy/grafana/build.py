"""Write the four dashboards: `python deploy/grafana/build.py`. The tables below are their source.

A panel is a title, a unit of Grafana's, and expressions with their legends. `$__rate_interval`
and the variable `$instance` are Grafana's to fill in.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stream.catalogue import CATALOGUE

PLACE = Path(__file__).parent / "dashboards"
WIDTH, HEIGHT = 8, 8
COLUMNS = 24 // WIDTH
_ON = 'instance=~"$instance"'

Panel = tuple[str, str, list[tuple[str, str]]]


def rate(name: str, by: str = "instance", more: str = "") -> str:
    """Per second, summed."""
    return f"sum by ({by}) (rate({name}{{{_ON}{more}}}[$__rate_interval]))"


def quantiles(name: str, more: str = "") -> list[tuple[str, str]]:
    """The median, and what one in a hundred is over."""
    buckets = rate(f"{name}_bucket", "instance, le", more)
    return [
        (f"histogram_quantile({q}, {buckets})", f"{{{{instance}}}} {legend}")
        for q, legend in ((0.5, "p50"), (0.99, "p99"))
    ]


def each(name: str, by: str) -> list[tuple[str, str]]:
    """A rate for each value of a label."""
    return [(rate(name, f"instance, {by}"), f"{{{{instance}}}} {{{{{by}}}}}")]


def gauge(name: str, by: str = "") -> list[tuple[str, str]]:
    """As it is."""
    legend = "{{instance}}" + (f" {{{{{by}}}}}" if by else "")
    return [(f"{name}{{{_ON}}}", legend)]


DASHBOARDS: dict[str, list[Panel]] = {
    "service": [
        ("Members up", "short", [(f'sum(up{{job="braid",{_ON}}})', "up")]),
        ("Requests", "reqps", each("braid_http_requests_total", "status")),
        ("Requests by route", "reqps", each("braid_http_requests_total", "route")),
        ("Time to predict", "s", quantiles("braid_http_seconds", ',route="/v1/predict"')),
        ("Events waiting to be predicted", "short", gauge("braid_http_queue_events")),
        ("Refused for their token", "reqps", each("braid_http_refused_total", "reason")),
        ("Age of the model that answers", "s", gauge("braid_view_age_seconds")),
        ("Events tagged and learnt", "short", each("braid_events_total", "action")),
        ("Records not read yet", "short", gauge("braid_lag_records")),
    ],
    "stream": [
        ("Events", "short", each("braid_events_total", "action")),
        ("Records not read yet", "short", gauge("braid_lag_records")),
        ("Records in a micro-batch", "short", quantiles("braid_batch_records")),
        ("Time of a micro-batch", "s", quantiles("braid_step_seconds")),
        ("Time of a transaction", "s", quantiles("braid_commit_seconds")),
        ("Transaction under way since", "s", gauge("braid_commit_waiting_seconds")),
        ("Transactions", "short", each("braid_commits_total", "outcome")),
        ("Dead letters", "short", each("braid_dead_letters_total", "reason")),
        ("Partitions held", "short", gauge("braid_held_partitions")),
        ("Unknown fields", "short", [(rate("braid_unknown_fields_total"), "{{instance}}")]),
        ("Late labels", "short", each("braid_late_labels_total", "outcome")),
        ("Waiting for labels or events", "short", gauge("braid_waiting_events", "what")),
        ("Snapshots", "short", each("braid_snapshots_total", "outcome")),
        ("Time to write a snapshot", "s", quantiles("braid_snapshot_seconds")),
        ("Standstill for a snapshot", "s", quantiles("braid_snapshot_stall_seconds")),
    ],
    "model": [
        ("Precision at k", "percentunit", gauge("braid_precision_at", "k")),
        ("Labelled events learnt, in all", "short", gauge("braid_position_events")),
        ("Labels", "short", gauge("braid_labels")),
        ("Label partitions", "short", gauge("braid_partitions")),
        ("Alarms, splits, merges, new labels", "short", each("braid_drift_events_total", "kind")),
        ("Suspicious labels", "short", each("braid_suspicious_labels_total", "kind")),
        ("Possible labels", "short", [(rate("braid_possible_labels_total"), "{{instance}}")]),
        ("Labels that look alike", "short", [(rate("braid_alike_labels_total"), "{{instance}}")]),
        ("Labels left out", "short", gauge("braid_refused_labels")),
        ("Labels over their share", "short", [(rate("braid_capped_labels_total"), "{{instance}}")]),
    ],
    "index": [
        ("Prototypes that can be found", "short", gauge("braid_index_labels")),
        (
            "Share of the labels that can be found",
            "percentunit",
            [(f"braid_index_labels{{{_ON}}} / (braid_labels{{{_ON}}} > 0)", "{{instance}}")],
        ),
        ("Given way to others", "short", gauge("braid_evicted", "what")),
        ("Texts without a vector", "short", gauge("braid_encoder_lost", "reason")),
        ("Encoder cut off", "short", gauge("braid_encoder_cut_off")),
        ("Time of a micro-batch", "s", quantiles("braid_step_seconds")),
        ("Generation in use", "short", gauge("braid_index_generation")),
        ("Verdicts on challengers", "short", each("braid_encoder_verdicts_total", "outcome")),
        (
            "Events trained on and passed over",
            "short",
            [
                (rate("braid_training_events_total"), "{{instance}} trained on"),
                (rate("braid_training_passed_over_total"), "{{instance}} passed over"),
            ],
        ),
        (
            "Training at work",
            "percentunit",
            [(rate("braid_training_busy_seconds_total"), "{{instance}}")],
        ),
        ("Ends of training", "short", [(rate("braid_training_restarts_total"), "{{instance}}")]),
        ("Memory of training", "bytes", gauge("braid_training_bytes")),
    ],
}


def dashboard(name: str) -> dict[str, Any]:
    """The JSON that Grafana imports."""
    meaning = {metric.name: f"{metric.meaning} {metric.remedy}" for metric in CATALOGUE}
    panels = []
    for place, (title, unit, asked) in enumerate(DASHBOARDS[name]):
        row, column = divmod(place, COLUMNS)
        words = [text for metric, text in meaning.items() if metric in asked[0][0]]
        panels.append(
            {
                "id": place + 1,
                "type": "timeseries",
                "title": title,
                "description": max(words, key=len, default=""),
                "datasource": {"type": "prometheus", "uid": "${source}"},
                "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": row * HEIGHT},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [
                    {"refId": "AB"[at], "expr": expression, "legendFormat": legend}
                    for at, (expression, legend) in enumerate(asked)
                ],
            }
        )
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Source"}
    instance = {
        "name": "instance", "type": "query", "label": "Member", "refresh": 2, "multi": True,
        "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": "label_values(braid_position_events, instance)",
    }  # fmt: skip
    others = [
        {"type": "link", "title": other, "url": f"/d/braid-{other}", "keepTime": True}
        for other in DASHBOARDS
        if other != name
    ]
    return {
        "uid": f"braid-{name}",
        "title": f"Braidstream: {name}",
        "tags": ["braidstream"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, instance]},
        "links": others,
        "panels": panels,
    }


def text(name: str) -> str:
    """As it is written."""
    return json.dumps(dashboard(name), indent=1) + "\n"


def main() -> None:
    """Write them all."""
    for name in DASHBOARDS:
        (PLACE / f"{name}.json").write_text(text(name))


if __name__ == "__main__":
    main()
