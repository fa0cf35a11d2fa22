"""Every expression of every panel and rule, asked of a real Prometheus that scrapes a service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.grafana import build
from stream.catalogue import CATALOGUE
from tests.deploy.tools import Prometheus
from tests.faults.tour import until
from tests.faults.world import free_ports, ready

PLACE = Path(__file__).resolve().parents[2] / "deploy"
BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]
TOKEN = "a-token-of-these-tests"
SCRAPES_S = 12.0
SILENT = {"braid_dead_letters_total", "braid_suspicious_labels_total"}
"""Metrics without a sample where nothing goes wrong."""


def panels() -> list[tuple[str, str, str]]:
    """Dashboard, panel and expression."""
    found = []
    for path in sorted((PLACE / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            found += [(path.stem, panel["title"], one["expr"]) for one in panel["targets"]]
    return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has watched a service at work for a while."""
    folder = tmp_path_factory.mktemp("watched")
    (port,) = free_ports(1)
    (folder / "tokens").write_text(f"tests admin {TOKEN}\n")
    sets = (
        f"serve.port={port}", f"serve.tokens_file={folder / 'tokens'}",
        f"checkpoint.folder={folder / 'state'}", "checkpoint.interval_s=2",
    )  # fmt: skip
    words = ["run", "--source", "synthetic", *(w for one in sets for w in ("--set", one))]
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen([*BRAID, *words], stdout=log, stderr=log)
    prometheus = None
    try:
        until(lambda: ready(port), lambda: None)
        prometheus = Prometheus(f"127.0.0.1:{port}", folder / "prometheus")
        until(prometheus.ready, lambda: None)
        end = time.monotonic() + SCRAPES_S
        number = 0
        while time.monotonic() < end:
            number += 1
            load(f"http://127.0.0.1:{port}", number)
            time.sleep(0.1)
        yield prometheus
    finally:
        service.terminate()
        service.wait(60)
        if prometheus is not None:
            prometheus.close()


def load(address: str, number: int) -> None:
    """Each way that a client may come, with a token and without."""
    who = {"authorization": f"Bearer {TOKEN}"}
    event = {"id": f"test-{number}", "text": "some words of no label"}
    for path, body in (
        ("predict", {"events": [event]}),
        ("events", {"events": [{**event, "misspelt": 1}]}),
        (
            "feedback",
            {"events": [{"id": event["id"], "labels": ["Café" if number % 2 else "cafe"]}]},
        ),
    ):
        answer = httpx.post(f"{address}/v1/{path}", json=body, headers=who)
        assert answer.status_code in (200, 202, 429), answer.text
    assert httpx.post(f"{address}/v1/predict", json={"events": [event]}).status_code == 401


def test_what_is_committed_is_what_the_tables_say() -> None:
    kept = {path.stem: path.read_text() for path in (PLACE / "grafana" / "dashboards").iterdir()}
    assert kept == {name: build.text(name) for name in build.DASHBOARDS}


def test_every_metric_has_its_panel() -> None:
    shown = {name for *_, text in panels() for name in re.findall(r"\bbraid_[a-z_]+", text)}
    shown = {name.removesuffix("_bucket") for name in shown}
    assert shown == {metric.name for metric in CATALOGUE}


def test_every_panel_and_rule_can_be_evaluated(watched: Prometheus) -> None:
    empty = []
    for board, title, text in panels():
        asked = text.replace("$__rate_interval", "10s").replace("$instance", ".*")
        found = watched.ask(asked)
        if not any(is_number(one) for one in found) and not any(name in text for name in SILENT):
            empty.append((board, title, asked))
    assert empty == []
    rules = yaml.safe_load((PLACE / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        watched.ask(rule["expr"])


def is_number(sample: dict[str, Any]) -> bool:
    """Whether a sample has a value; a quantile of nothing has none."""
    return bool(sample["value"][1] != "NaN")
