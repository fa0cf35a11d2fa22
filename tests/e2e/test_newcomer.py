"""From nothing to the first prediction over HTTP with the README's commands, just as they stand."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import orjson

from tests.kafka_fixtures import absent

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
START = re.search(r"^\$ (make demo.*)$", README, re.M)
ASK = re.search(r"^\$ (curl (?:.*\\\n)*.*)$", README, re.M)
PORT = 8080


def test_the_commands_of_the_readme_bring_a_prediction() -> None:
    assert START is not None
    assert ASK is not None
    try:
        socket.create_server(("127.0.0.1", PORT)).close()
    except OSError:
        absent(f"port {PORT} is in use, and the README's commands name it")
    demo = subprocess.Popen(
        ["bash", "-c", START[1]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert demo.stdout is not None
        line = next(text for text in demo.stdout if "endpoint at" in text)
        assert f":{PORT} " in line
        end, answer = time.monotonic() + 60, b""
        while not answer:
            assert time.monotonic() < end
            told = subprocess.run(["bash", "-c", ASK[1]], stdout=subprocess.PIPE, check=True).stdout
            (made,) = orjson.loads(told)["predictions"]
            answer = told if made["top"] else b""  # there is nothing before it has learnt a little
        assert len(made["top"]) == 3
        assert made["position"] > 0
    finally:
        os.killpg(demo.pid, signal.SIGTERM)
        demo.communicate()
