"""The README tells the truth: commands, routes, topics, settings, event fields."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

from typer.main import get_command

from stream.cli import app
from stream.clock import SystemClock
from stream.codec import FIELDS, Codec
from stream.config import Limits, Settings, Topics, load, names
from stream.metrics import Metrics
from stream.serve.app import create_app
from stream.views import Publisher

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def _commands() -> list[list[str]]:
    lines = re.findall(r"^\$ (braid .+)$", README, re.M)
    return [shlex.split(line, comments=True) for line in lines]


def test_every_braid_command_and_option_exists() -> None:
    root = get_command(app)
    assert len(_commands()) >= 4
    for line in _commands():
        command = root
        rest = line[1:]
        while hasattr(command, "commands") and rest:
            command = command.commands[rest.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word.strip("[]") for word in rest if word.strip("[]").startswith("--")}
        assert used <= known, line


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", README)) <= targets


def test_routes_are_those_of_the_endpoint() -> None:
    publisher = Publisher(1.0, SystemClock(), Metrics())
    served = create_app(load(environ={}), publisher, None, Metrics())
    have = {
        f"{method.upper()} {path.replace(':path', '')}"
        for path, item in served.openapi()["paths"].items()
        for method in item
    }
    told = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`?]*)", README))
    assert told <= have
    assert {route for route in have if " /v1" in route} <= told


def test_topics_and_event_fields() -> None:
    for _, topic in Topics():
        assert f"`{topic}`" in README
    table = README.split("| field | type | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.M)) == FIELDS


def test_the_example_event_decodes() -> None:
    for text in re.findall(r"```json\n(.+?)\n```", README, re.S):
        assert Codec(Limits()).example(json.loads(text), 0.0).labels


def test_settings_named_exist() -> None:
    known = set(names())
    sections = "|".join(Settings.model_fields)
    told = set(re.findall(rf"`(?:--set )?((?:{sections})\.[a-z_]+)(?:=[^`]*)?`", README))
    assert told
    assert told <= known | {"serve.host", "serve.port"}


def test_help_of_make_lists_targets() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "demo" in shown.stdout
