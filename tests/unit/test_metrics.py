"""The metric catalogue: well formed, used, and all there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stream.catalogue import CATALOGUE
from stream.metrics import Metrics

STREAM = Path(__file__).resolve().parents[2] / "stream"
NAMES = [metric.name for metric in CATALOGUE]
USED = re.compile(r"""\.(?:count|set|observe)\(\s*["'](\w+)["']|"(braid_training_\w+)": """)


def uses() -> set[str]:
    files = [path for path in STREAM.rglob("*.py") if path.name != "metrics.py"]
    return {
        name
        for path in files
        for names in USED.findall(path.read_text())
        for name in names
        if name.startswith("braid_")
    }


def test_names_are_unique_and_prefixed_and_tell_their_kind() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for metric in CATALOGUE:
        assert re.fullmatch(r"braid(_[a-z0-9]+)+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.unit
        assert metric.meaning.endswith(".")
        assert metric.remedy


def test_labels_are_bounded() -> None:
    """Never an id: not of a label, a partition or an event."""
    allowed = {"action", "reason", "part", "outcome", "k", "kind", "what", "route", "status"}
    assert {label for metric in CATALOGUE for label in metric.labels} <= allowed


def test_every_metric_is_used_and_no_other() -> None:
    assert uses() == set(NAMES)


def test_nothing_else_is_registered() -> None:
    families = {family.name for family in Metrics().registry.collect()}
    assert families == {name.removesuffix("_total") for name in NAMES}


def test_registries_are_not_shared() -> None:
    one, two = Metrics(), Metrics()
    one.count("braid_unknown_fields_total", 3)
    assert one.registry.get_sample_value("braid_unknown_fields_total") == 3
    assert two.registry.get_sample_value("braid_unknown_fields_total") == 0


def test_kinds_do_what_they_say() -> None:
    metrics = Metrics()
    metrics.count("braid_commits_total", outcome="aborted")
    metrics.set("braid_lag_records", 4)
    metrics.observe("braid_commit_seconds", 0.3)
    value = metrics.registry.get_sample_value
    assert value("braid_commits_total", {"outcome": "aborted"}) == 1
    assert value("braid_lag_records") == 4
    assert value("braid_commit_seconds_sum") == 0.3


def test_a_counter_follows_what_is_counted_elsewhere() -> None:
    metrics, name = Metrics(), "braid_training_events_total"
    values = []
    for total in (5, 5, 9, 2):  # the last of another process
        metrics.reach(name, total)
        values.append(metrics.registry.get_sample_value(name))
    assert values == [5, 5, 9, 2]


def test_unknown_names_and_wrong_labels_are_refused() -> None:
    metrics = Metrics()
    with pytest.raises(KeyError):
        metrics.count("braid_no_such_total")
    with pytest.raises(ValueError, match="label"):
        metrics.count("braid_commits_total", other="x")
