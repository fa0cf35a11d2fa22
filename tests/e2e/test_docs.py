"""The pages of `deploy/docs` tell the truth: every block is run, every link leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from typer.main import get_command

from stream.catalogue import CATALOGUE
from stream.cli import app
from stream.clock import SystemClock
from stream.codec import Codec
from stream.config import Limits, Settings, Topics, load, names
from stream.metrics import Metrics
from stream.serve.app import create_app
from stream.views import Publisher
from tests.e2e.blocks import LANGUAGES, Reader, blocks

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "deploy" / "docs"
PAGES = [DOCS / f"{name}.md" for name in ("tutorial", "operations", "algorithm")]
TARGETS = [ROOT / "README.md", *sorted((ROOT / "deploy").rglob("*.md"))]
FIGURE_BYTES = 150_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes a reader of a page, who has ports and topics of their own."""
    if shutil.which("curl") is None:
        pytest.skip("the pages use curl")

    def make(page: Path, kafka: str = "", topics: Topics | None = None) -> Reader:
        port = free_port()
        instead = {"127.0.0.1:8080": f"127.0.0.1:{port}"}
        environ = {"BRAID_SERVE__PORT": str(port), "PROJECT": str(ROOT)}
        if topics is not None:
            instead |= {"127.0.0.1:9092": kafka}
            instead |= {old: new for (_, old), (_, new) in zip(Topics(), topics, strict=True)}
            environ |= {f"BRAID_TOPICS__{name.upper()}": topic for name, topic in topics}
            environ |= {"BRAID_KAFKA__GROUP": topics.events}
        return Reader(tmp_path, page.name, instead, environ)

    return make


@pytest.mark.kafka
def test_the_tutorial_on_kafka(reader: Any, kafka: str, topics: Topics) -> None:
    with reader(PAGES[0], kafka, topics) as one:
        for block in blocks(PAGES[0].read_text()):
            one.do(block)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_every_block_of_the_page(reader: Any, page: Path) -> None:
    with reader(page) as one:
        for block in blocks(page.read_text()):
            one.do(block)
        one.stop()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_are_of_a_language_that_is_tested(page: Path) -> None:
    found = blocks(page.read_text())
    assert len(re.findall(r"^```", page.read_text(), re.M)) % 2 == 0
    assert {block.language for block in found} <= LANGUAGES
    assert {block.role for block in found} <= {"", "service", "kafka", "stopped", "braid.toml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_json_fits_what_it_is_an_example_of(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.language == "json":
            body = json.loads(block.body)
            fits_a_request(body) if "events" in body else fits_a_topic(body)


def fits_a_topic(body: dict[str, Any]) -> None:
    """An event, or the description of a label."""
    if body.keys() != {"label", "text"}:
        Codec(Limits()).example(body, 0.0)


def fits_a_request(body: dict[str, Any]) -> None:
    """A body that the OpenAPI document knows by its fields."""
    schemas = endpoint().openapi()["components"]["schemas"]
    known = [one["properties"].keys() for name, one in schemas.items() if name.endswith("Request")]
    assert any(body.keys() <= fields for fields in known), body


def endpoint() -> Any:
    metrics = Metrics()
    return create_app(load(environ={}), Publisher(1.0, SystemClock(), metrics), None, metrics)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_named_exists(page: Path) -> None:
    text = page.read_text()
    sections = "|".join(Settings.model_fields)
    told = set(re.findall(rf"`(?:--set )?((?:{sections})\.[a-z_]+)(?:=[^`]*)?`", text))
    assert told <= set(names()) | {topic for _, topic in Topics()}
    routes = set(re.findall(r"`(?:GET|POST|PUT|DELETE) (/[^`?]*)", text))
    assert routes <= {path.replace(":path", "") for path in endpoint().openapi()["paths"]}
    metrics = set(re.findall(r"`(braid_[a-z_]+)`", text))
    assert metrics <= {one.name for one in CATALOGUE}
    for path in re.findall(r"`((?:stream|indexes|tests|deploy)/[\w./*-]+)`", text):
        assert list(ROOT.glob(path)), path


def test_figures_are_drawn_and_small() -> None:
    text = PAGES[2].read_text()
    shown = set(re.findall(r"\(figures/([\w-]+\.svg)\)", text))
    have = sorted((DOCS / "figures").glob("*.svg"))
    assert {path.name for path in have} == shown
    assert all(path.stat().st_size < FIGURE_BYTES for path in have)
    kept = json.loads((DOCS / "figures" / "figures.json").read_text())
    assert {path.stem for path in have} <= kept.keys()
    assert text.count("draw_figures.py") >= len(have)


def anchors(path: Path) -> set[str]:
    """What headings of a page can be linked by."""
    bare = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    found = set()
    for heading in re.findall(r"^#+ (.+)$", bare, re.M):
        kept = re.sub(r"[^\w\- ]", "", re.sub(r"\[(.+?)\]\(.+?\)", r"\1", heading).lower())
        found.add(kept.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", TARGETS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    bare = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", bare):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def commands(group: Any = None, before: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every command by its words."""
    found: dict[str, Any] = {}
    for name, command in (group or get_command(app)).commands.items():
        words = (*before, name)
        nested = hasattr(command, "commands")
        found |= commands(command, words) if nested else {" ".join(words): command}
    return found


@pytest.mark.parametrize("words", commands())
def test_every_command_shows_an_example_that_parses(words: str) -> None:
    wide = CliRunner(env={"COLUMNS": "200"})
    shown = wide.invoke(get_command(app), [*words.split(), "--help"])
    assert shown.exit_code == 0
    examples = re.findall(r"^\W*Example: (.*\bbraid .*\S)\s*$", shown.output, re.M)
    assert examples, shown.output
    for example in examples:
        parsed = [word for word in shlex.split(example) if not word.startswith("BRAID_")]
        assert parsed[: 1 + len(words.split())] == ["braid", *words.split()]
        command, rest = commands()[words], parsed[1 + len(words.split()) :]
        command.make_context(words, rest).close()
