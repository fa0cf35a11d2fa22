"""Alert rules: each fires in its own scene, alone, and has its section in the runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.catalogue import CATALOGUE
from tests.deploy.tools import promtool

PLACE = Path(__file__).resolve().parents[2] / "deploy"
ALERTS = PLACE / "prometheus" / "alerts.yml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
LONG = "x2000"
"""Minutes that a series goes on."""

EVENTS = ('braid_events_total{action="learnt"}', f"0+6000{LONG}")
REQUESTS = ('braid_http_requests_total{route="/v1/predict",status="200"}', f"0+600{LONG}")
SCENES: dict[str, list[tuple[str, str]]] = {
    "BraidDown": [('up{job="braid"}', f"0{LONG}")],
    "BraidStalled": [  # since its start: nothing was counted at all
        ("braid_lag_records", f"40+0{LONG}"),
    ],
    "BraidBehind": [EVENTS, ("braid_lag_records", f"9000+0{LONG}")],
    "BraidPartitionHeld": [EVENTS, ("braid_held_partitions", f"1+0{LONG}")],
    "BraidDeadLetters": [
        EVENTS,
        ('braid_dead_letters_total{reason="not_json"}', f"0+200{LONG}"),
        ('braid_dead_letters_total{reason="no_id"}', f"0+200{LONG}"),
        ('braid_events_total{action="predicted"}', f"0+6000{LONG}"),
    ],
    "BraidCommitWaits": [EVENTS, ("braid_commit_waiting_seconds", "0+0x37 20 28 0 0 0")],
    "BraidCommitsAborted": [EVENTS, ('braid_commits_total{outcome="aborted"}', f"0+1{LONG}")],
    "BraidSnapshotFailed": [EVENTS, ('braid_snapshots_total{outcome="failed"}', f"0+1{LONG}")],
    "BraidViewOld": [EVENTS, ("braid_view_age_seconds", f"30+0{LONG}")],
    "BraidHttpErrors": [
        REQUESTS,
        ('braid_http_requests_total{route="/v1/predict",status="500"}', f"0+10{LONG}"),
    ],
    "BraidHttpShedding": [
        REQUESTS,
        ('braid_http_requests_total{route="/v1/predict",status="429"}', f"0+10{LONG}"),
    ],
    "BraidHttpSlow": [
        ('braid_http_seconds_bucket{route="/v1/predict",le="0.25"}', f"0+90{LONG}"),
        ('braid_http_seconds_bucket{route="/v1/predict",le="0.5"}', f"0+100{LONG}"),
        ('braid_http_seconds_bucket{route="/v1/predict",le="+Inf"}', f"0+100{LONG}"),
    ],
    "BraidPrecisionFell": [
        EVENTS,
        ('braid_precision_at{k="1"}', f"0.8+0x1400 0.4+0{LONG}"),
        ('braid_precision_at{k="5"}', f"0.4+0x1400 0.2+0{LONG}"),
    ],
    "BraidLabelsRefused": [EVENTS, ("braid_refused_labels", f"0+3{LONG}")],
    "BraidLabelsCapped": [EVENTS, ("braid_capped_labels_total", f"0+3{LONG}")],
    "BraidEncoderCutOff": [EVENTS, ("braid_encoder_cut_off", f"1+0{LONG}")],
    "BraidTrainingEnds": [EVENTS, ("braid_training_restarts_total", f"0+1x10 10+0{LONG}")],
    "BraidChallengersDiverge": [
        EVENTS,
        ('braid_encoder_verdicts_total{outcome="diverged"}', f"0+1x5 5+0{LONG}"),
    ],
    "BraidTokensGuessed": [('braid_http_refused_total{reason="unknown"}', f"0+10{LONG}")],
    "BraidLateLabelsDropped": [
        EVENTS,
        ('braid_late_labels_total{outcome="dropped"}', f"0+3{LONG}"),
    ],
}
QUIET = [
    EVENTS,
    REQUESTS,
    ('up{job="braid"}', f"1+0{LONG}"),
    ("braid_lag_records", f"100+0{LONG}"),
    ("braid_held_partitions", f"0+0{LONG}"),
    ("braid_commit_waiting_seconds", f"0+0{LONG}"),
    ("braid_view_age_seconds", f"1+0{LONG}"),
    ("braid_refused_labels", f"7+0{LONG}"),
    ("braid_capped_labels_total", f"7+0{LONG}"),
    ("braid_encoder_cut_off", f"0+0{LONG}"),
    ("braid_training_restarts_total", f"0+0x20 1+0{LONG}"),
    ('braid_encoder_verdicts_total{outcome="diverged"}', f"0+0x20 1+0{LONG}"),
    ('braid_encoder_verdicts_total{outcome="refused"}', f"0+1{LONG}"),
    ('braid_precision_at{k="1"}', f"0.8+0{LONG}"),
    ('braid_dead_letters_total{reason="not_json"}', f"0+6{LONG}"),
    ('braid_commits_total{outcome="committed"}', f"0+600{LONG}"),
    ('braid_snapshots_total{outcome="written"}', f"0+1{LONG}"),
    ('braid_late_labels_total{outcome="joined"}', f"0+60{LONG}"),
    ('braid_http_refused_total{reason="missing"}', f"0+60{LONG}"),
    ('braid_http_refused_total{reason="unknown"}', f"0+1{LONG}"),
]


def test_every_alert_has_a_scene() -> None:
    assert list(SCENES) == [rule["alert"] for rule in RULES]


@pytest.mark.parametrize("name", [*SCENES, "none"])
def test_in_its_scene_an_alert_fires_and_no_other(name: str, tmp_path: Path) -> None:
    scene = SCENES.get(name, QUIET)
    series = [{"series": _on_one(what), "values": values} for what, values in scene]
    end = "25h" if name == "BraidPrecisionFell" else "40m"
    asked = []
    for rule in RULES:
        fires = [{}] if rule["alert"] == name else []
        asked.append({"alertname": rule["alert"], "eval_time": end, "exp_alerts": fires})
    found = _test(series, asked, tmp_path)
    # Of what fires all labels and words would have to be given; that it is there is enough, and
    # what differs says so.
    told = re.findall(r"alertname: *(\w+)", found)
    assert told == ([name] if name in SCENES else []), found
    if name in SCENES:
        assert 'instance="one"' in found
        rule = next(rule for rule in RULES if rule["alert"] == name)
        assert f'runbook_url="{rule["annotations"]["runbook_url"]}"' in found.replace("\\", "")


def test_rules_and_configuration_are_sound() -> None:
    for what, path in (("rules", ALERTS), ("config", PLACE / "prometheus" / "prometheus.yml")):
        subprocess.run([promtool(), "check", what, str(path)], check=True, capture_output=True)


def test_rules_ask_for_metrics_that_there_are() -> None:
    known = {metric.name for metric in CATALOGUE}
    known |= {f"{metric.name}_bucket" for metric in CATALOGUE if metric.kind == "histogram"}
    asked = {name for rule in RULES for name in re.findall(r"\bbraid_\w+", rule["expr"])}
    assert asked
    assert asked <= known


def test_every_alert_has_its_section_in_the_runbook() -> None:
    text = (PLACE / "runbook.md").read_text()
    sections = dict(re.findall(r"^## (Braid\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == [rule["alert"] for rule in RULES]
    for rule in RULES:
        anchor = rule["alert"].lower()
        assert rule["annotations"]["runbook_url"] == f"runbook.md#{anchor}"
        body = sections[rule["alert"]]
        assert all(f"**{part}.**" in body for part in ("Meaning", "First look", "Remedy")), anchor


def _on_one(series: str) -> str:
    name, _, labels = series.partition("{")
    return f'{name}{{instance="one"' + (f",{labels}" if labels else "}")


def _test(series: list[dict[str, str]], asked: list[dict[str, Any]], folder: Path) -> str:
    """What promtool says to a test: nothing where all is as asked for."""
    interval = {"interval": "1m", "input_series": series, "alert_rule_test": asked}
    body = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [interval]}
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(body))
    done = subprocess.run(
        [promtool(), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
