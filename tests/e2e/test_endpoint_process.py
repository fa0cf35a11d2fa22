"""The endpoint in a process of its own: answers, takes events, dies and comes back."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]
WORDS = [
    "run", "--source", "synthetic:2000", "--set", "serve.port=0", "--set", "serve.process=true",
]  # fmt: skip


def wait_for(ready: Callable[[], bool], timeout: float = 120) -> None:
    end = time.monotonic() + timeout
    while not ready():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


@pytest.fixture
def running() -> Iterator[tuple[subprocess.Popen[str], str]]:
    service = subprocess.Popen([*BRAID, *WORDS], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    try:
        address = ""
        for line in service.stdout:
            if found := re.search(r"http://\S+?(?=,)", line):
                address = found[0]
                break
        assert address, "the address of the endpoint is printed"
        yield service, address
    finally:
        service.kill()
        service.communicate()


def child_of(service: subprocess.Popen[str]) -> int:
    found = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    every = {
        int(pid)
        for task in Path(f"/proc/{service.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
    }
    assert len(every) == 1, (found, every)
    return every.pop()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def left(service: subprocess.Popen[str]) -> list[Path]:
    return list(Path("/dev/shm").glob(f"braid-{service.pid}-*"))


def test_it_answers_takes_events_and_ends_with_the_service(
    running: tuple[subprocess.Popen[str], str],
) -> None:
    service, address = running
    wait_for(lambda: httpx.get(f"{address}/v1/model").json()["position"] > 1_500)
    sent = {"events": [{"id": f"e{n}", "text": "zzyzzyx", "labels": ["mine"]} for n in range(5)]}
    assert httpx.post(f"{address}/v1/events", json=sent).status_code == 202

    def tagged() -> bool:
        body = {"events": [{"text": "zzyzzyx"}], "k": 3}
        answer = httpx.post(f"{address}/v1/predict", json=body).json()
        return any(one["label"] == "mine" for one in answer["predictions"][0]["top"])

    wait_for(tagged)
    assert httpx.get(f"{address}/v1/labels/mine").json()["events"] >= 1
    told = httpx.get(f"{address}/metrics").text
    assert re.search(r"^braid_position_events [1-9]", told, re.M)
    assert re.search(r'^braid_http_requests_total\{route="/v1/predict"', told, re.M)
    assert told.count("# HELP braid_http_seconds ") == 1
    assert left(service) or not Path("/dev/shm").exists()
    service.send_signal(signal.SIGTERM)
    assert service.wait(60) == 0
    assert not answers(address)
    assert left(service) == []


def test_a_killed_endpoint_comes_back_and_one_without_a_service_ends(
    running: tuple[subprocess.Popen[str], str],
) -> None:
    service, address = running
    wait_for(lambda: answers(address))
    first = child_of(service)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: answers(address) and child_of(service) != first)
    body = {"events": [{"text": "words"}]}
    assert httpx.post(f"{address}/v1/predict", json=body).status_code == 200
    second = child_of(service)
    service.kill()
    wait_for(lambda: not Path(f"/proc/{second}").exists(), 30)
    assert left(service) == []


def test_a_start_that_fails_leaves_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = [*WORDS, "--set", f"serve.port={port}"]
        service = subprocess.Popen([*BRAID, *words], stderr=subprocess.PIPE, text=True)
        _, said = service.communicate(timeout=120)
    assert service.returncode == 1
    assert "serve.port" in said.splitlines()[-1]
    assert left(service) == []
