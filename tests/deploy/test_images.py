"""Both Dockerfiles, as far as they can be looked at without a container engine."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("Dockerfile", "Dockerfile.gpu")
KNOWN = {
    "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK",
    "ENTRYPOINT", "CMD",
}  # fmt: skip


def instructions(name: str) -> list[tuple[str, str]]:
    """Each instruction and its arguments; continued lines are joined."""
    lines = (ROOT / "deploy" / name).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


@pytest.mark.parametrize("name", FILES)
def test_instructions_are_known_and_bases_pinned(name: str) -> None:
    found = instructions(name)
    assert {one for one, _ in found} <= KNOWN
    bases = [words.split()[0] for one, words in found if one == "FROM"]
    assert len(bases) == 2, "one to build in, one to run"
    assert len(set(bases)) == 1, "kernels are of the Python that compiled them"
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_is_there(name: str) -> None:
    for one, words in instructions(name):
        if one == "COPY" and not words.startswith("--from="):
            assert all((ROOT / source).exists() for source in words.split()[:-1]), words


@pytest.mark.parametrize("name", FILES)
def test_extras_are_known_and_pinned(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = " ".join(words for one, words in instructions(name) if one == "RUN")
    (extras,) = re.findall(r"'\.\[([\w,]+)\]' -c requirements\.txt", text)
    lock = (ROOT / "requirements.txt").read_text()
    for need in [one for e in extras.split(",") for one in project["optional-dependencies"][e]]:
        package = re.split(r"[<>=]", need)[0]
        assert re.search(rf"^{re.escape(package)}==", lock, re.MULTILINE), package


@pytest.mark.parametrize("name", FILES)
def test_it_runs_as_another_user_and_says_how_it_is(name: str) -> None:
    last = dict(instructions(name))
    assert re.fullmatch(r"(\d{4,}):\1", last["USER"])
    port = last["EXPOSE"]
    command = json.loads(last["HEALTHCHECK"].partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    ast.parse(command[2])
    assert f"http://127.0.0.1:{port}/livez" in command[2]
    assert json.loads(last["ENTRYPOINT"]) == ["entrypoint"]
    assert json.loads(last["CMD"]) == ["run"]
    assert f"BRAID_CHECKPOINT__FOLDER={last['VOLUME']}" in last["ENV"]


def test_the_gpu_image_differs_in_its_extra_and_what_the_runtime_is_to_bring() -> None:
    plain, gpu = (instructions(name) for name in FILES)
    own = " NVIDIA_DRIVER_CAPABILITIES=compute,utility"
    assert [(one, w.replace("[gpu,", "[cpu,").replace(own, "")) for one, w in gpu] == plain
