"""Tools of Prometheus, from Debian's package, unpacked into a folder of the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.world import free_ports

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "prometheus"


def promtool() -> str:
    """The path of promtool; skips the test where there is none and none can be had."""
    return _tool("promtool")


class Prometheus:
    """A real one, that scrapes one address every second.

    Parameters
    ----------
    target
        Host and port of what has `/metrics`.
    folder
        For its data; made here.
    """

    def __init__(self, target: str, folder: Path) -> None:
        folder.mkdir()
        (port,) = free_ports(1)
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": "braid", "static_configs": [{"targets": [target]}]},
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self._address = f"http://127.0.0.1:{port}"
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    _tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression gives now; what it cannot make sense of fails."""
        answer = httpx.get(f"{self._address}/api/v1/query", params={"query": expression})
        body = answer.json()
        assert body["status"] == "success", (expression, body)
        return list(body["data"]["result"])

    def ready(self) -> bool:
        """Whether it has scraped its target."""
        try:
            return any(one["value"][1] == "1" for one in self.ask("up"))
        except (httpx.HTTPError, ValueError):  # while it starts it answers in words
            return False

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


@cache
def _tool(name: str) -> str:
    if found := shutil.which(name):
        return found
    place = CACHE / "usr" / "bin" / name
    if not place.exists():
        _unpack()
    if not place.exists():
        pytest.skip(f"{name} is not installed, and Debian's package of it cannot be had here")
    return str(place)


def _unpack() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    for command in (["apt-get", "update", "-qq"], ["apt-get", "download", "-qq", "prometheus"]):
        subprocess.run(command, cwd=CACHE, capture_output=True, check=False, timeout=300)
    for package in CACHE.glob("prometheus_*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(CACHE)], check=False, capture_output=True)
        package.unlink()
