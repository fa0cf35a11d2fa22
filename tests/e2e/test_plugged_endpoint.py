"""An encoder of a package of its own in a whole service, HTTP in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]
WORDS = [
    "run", "--source", "synthetic:2000", "--set", "serve.port=0", "--set", "serve.process=true",
    "--set", "encoder.plugin=toy", "--set", "encoder.timeout_ms=10000", "--set", "index.worth=0",
]  # fmt: skip


def wait_for(ready: Callable[[], bool], timeout: float = 120) -> None:
    end = time.monotonic() + timeout
    while not ready():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.2)


@pytest.fixture
def address(toy_folder: object) -> Iterator[str]:
    service = subprocess.Popen([*BRAID, *WORDS], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    try:
        found = None
        for line in service.stdout:
            if found := re.search(r"http://\S+?(?=,)", line):
                break
        assert found, "the address of the endpoint is printed"
        yield found[0]
    finally:
        service.kill()
        service.communicate()


def test_a_label_is_found_by_words_that_only_the_encoder_knows(address: str) -> None:
    def index() -> str:
        return str(httpx.get(f"{address}/v1/model").json()["index"]["plugin"])

    wait_for(lambda: index() == "toy")
    events = [{"id": f"e{n}", "text": f"zzy{n:07d}", "labels": ["mine"]} for n in range(5)]
    assert httpx.post(f"{address}/v1/events", json={"events": events}).status_code == 202

    def tagged() -> bool:
        body = {"events": [{"text": "zzyunheard"}], "k": 20}
        answer = httpx.post(f"{address}/v1/predict", json=body).json()
        return any(one["label"] == "mine" for one in answer["predictions"][0]["top"])

    wait_for(tagged)
    told = httpx.get(f"{address}/metrics").text
    assert re.search(r"^braid_encoder_cut_off 0", told, re.M)
    assert httpx.get(f"{address}/readyz").json()["problems"] == []


def test_an_encoder_that_is_not_there_ends_the_start_by_name() -> None:
    words = [word.replace("=toy", "=nobody") for word in WORDS]
    service = subprocess.run([*BRAID, *words], capture_output=True, text=True, check=False)
    assert service.returncode != 0
    said = service.stderr.splitlines()[-1]
    assert "encoder.plugin='nobody'" in said
    assert "sentence-transformers" in said
