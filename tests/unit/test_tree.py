"""What the repository promises about itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = {
    "stream", "indexes", "deploy", "tests", "pyproject.toml", "README.md", "requirements.txt",
    "Makefile", "LICENSE", "CHANGELOG.md",
}  # fmt: skip


def _tracked() -> list[Path]:
    asked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if asked.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in asked.stdout.splitlines() if (ROOT / line).exists()]


def test_top_level_holds_nothing_else() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in _tracked()}
    assert {name for name in top if not name.startswith(".")} == TOP


def test_no_python_file_is_over_400_lines() -> None:
    long = {
        path.relative_to(ROOT): count
        for path in _tracked()
        if path.suffix == ".py" and (count := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_no_address_of_a_package_index_and_no_pickle() -> None:
    hosts = re.compile(r"https?://[a-z0-9.-]*(pypi|pythonhosted|maven|npmjs|debian)\.[a-z]+")
    found = [
        path.relative_to(ROOT)
        for path in _tracked()
        if path.suffix in {".py", ".txt", ".toml", ".xml", ".md", ""}
        and hosts.search(path.read_text(errors="replace"))
    ]
    assert not found
    loads = [
        path.relative_to(ROOT)
        for path in _tracked()
        if path.suffix == ".py" and re.search(r"^\s*(import|from) pickle", path.read_text(), re.M)
    ]
    assert not loads


def test_every_pin_has_a_hash() -> None:
    text = (ROOT / "requirements.txt").read_text()
    pins = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert len(pins) > 50
    assert [pin for pin in pins if "--hash=sha256:" not in pin or "==" not in pin] == []
