"""The compose file, as far as it can be tried without a container engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from stream.cli import app
from stream.config import load

PLACE = Path(__file__).resolve().parents[2] / "deploy"
FILE: dict[str, Any] = yaml.safe_load((PLACE / "compose.yaml").read_text())
OURS = [name for name, one in FILE["services"].items() if one.get("image") == "braidstream"]


def test_images_are_pinned() -> None:
    for name, service in FILE["services"].items():
        if name not in OURS:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_what_is_mounted_and_built_is_there() -> None:
    for name, service in FILE["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in FILE["volumes"] or (PLACE / source).exists(), (name, volume)
    for name in OURS:
        build = FILE["services"][name]["build"]
        assert (PLACE / build["context"] / build["dockerfile"]).exists()


def test_kafka_keeps_its_data_where_the_volume_is() -> None:
    kafka = FILE["services"]["kafka"]
    assert f"kafka:{kafka['environment']['KAFKA_LOG_DIRS']}" in kafka["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_settings_and_commands_are_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FILE["services"][name]
    for setting, value in service["environment"].items():
        monkeypatch.setenv(setting, value)
    assert load(None).kafka.bootstrap_servers == "kafka:9092"
    asked = CliRunner().invoke(app, [*service["command"], "--help"])
    assert asked.exit_code == 0, asked.output


@pytest.mark.parametrize("name", OURS)
def test_the_root_is_read_only_and_tmp_is_not(name: str) -> None:
    service = FILE["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]


def test_prometheus_asks_where_the_service_is() -> None:
    config = yaml.safe_load((PLACE / "prometheus" / "prometheus.yml").read_text())
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert name in OURS
    assert FILE["services"][name]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}" in (PLACE / "Dockerfile").read_text()
