"""The dependencies: locked with hashes, installed as locked, licences that fit, known holes.

    python tests/audit.py

Run by `make check`. Known vulnerabilities are looked up with pip-audit, where its database can be
reached; where not, it says so and judges the rest.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import orjson

LOCK = Path(__file__).resolve().parent.parent / "requirements.txt"
_PIN = re.compile(r"([a-z0-9._-]+)==([^ ;\\]+)")
_OF_PYTHON = {"pip", "setuptools"}  # python -m venv brings its own
_COPYLEFT = re.compile(r"\b(A?GPL|GNU (Affero )?General)", re.IGNORECASE)
_LOOKED_INTO = {"docutils"}  # of its many licences the GPL is its Emacs mode's, not in the wheel
_WEAK = re.compile(r"LGPL|Lesser|exception", re.IGNORECASE)


def locked() -> tuple[dict[str, str], list[str]]:
    """Versions by name, and what is wrong with the lock."""
    versions: dict[str, str] = {}
    wrong: list[str] = []
    for entry in LOCK.read_text("utf-8").replace("\\\n", " ").splitlines():
        pin = _PIN.match(entry)
        if pin is None:
            wrong += [f"requirements.txt: not pinned: {entry[:60]}"] * bool(entry.strip("# "))
            continue
        versions[pin[1]] = pin[2]
        if "--hash=sha256:" not in entry:
            wrong.append(f"requirements.txt: {pin[1]} has no hash")
    return versions, wrong


def installed(versions: dict[str, str]) -> list[str]:
    """What is installed otherwise than locked, or under a licence that does not fit ours."""
    wrong = []
    for one in distributions():
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
        if name in versions and versions[name] != one.version and name not in _OF_PYTHON:
            wrong.append(f"{name} {one.version} is installed, {versions[name]} is locked")
        if name not in versions or name in _LOOKED_INTO:
            continue
        if _COPYLEFT.search(text := licence(one)) and not _WEAK.search(text):
            wrong.append(f"{name}: licence {text[:80]!r} does not fit Apache-2.0")
    return wrong


def licence(one: Distribution) -> str:
    """What a distribution says of its licence, in a line."""
    said = one.metadata.get_all("Classifier") or []
    known = [text for text in said if text.startswith("License ::")]
    given = one.metadata.get("License-Expression") or one.metadata.get("License") or ""
    return " ".join([given.partition("\n")[0], *known])


def holes() -> tuple[list[str], str]:
    """Known vulnerabilities of what is locked, and a line on what was looked up."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCK), "-f", "json"]
    command += ["--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, check=False)
    try:
        found: list[dict[str, Any]] = orjson.loads(done.stdout)["dependencies"]
    except (orjson.JSONDecodeError, KeyError):
        return [], f"vulnerabilities: not looked up ({done.stderr.decode()[-200:].strip()})"
    looked = [one for one in found if "vulns" in one]
    wrong = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {hole['fix_versions'] or '-'}"
        for one in looked
        for hole in one["vulns"]
    ]
    if not looked:
        return wrong, "vulnerabilities: not looked up, the database cannot be reached from here"
    return wrong, f"vulnerabilities: {len(looked)} of {len(found)} dependencies looked up"


def main() -> int:
    """Print what is wrong; 1 where anything is."""
    versions, wrong = locked()
    wrong += installed(versions)
    found, said = holes()
    print(f"audit: {len(versions)} dependencies locked; {said}")
    for line in wrong + found:
        print(f"audit: {line}", file=sys.stderr)
    return 1 if wrong or found else 0


if __name__ == "__main__":
    sys.exit(main())
