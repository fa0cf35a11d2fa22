"""`braid run` on Kafka, as a process of its own, until the end of the block."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any

import pytest
from kafka import KafkaConsumer

from stream.config import Kafka, Topics

BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]


@contextmanager
def running(
    kafka: Kafka, topics: Topics, stderr: IO[bytes] | None = None, **own: object
) -> Iterator[str]:
    """The endpoint's address; `own` are settings with `__` for the dot."""
    given = {f"topics.{name}": value for name, value in topics.model_dump().items()}
    for name in ("bootstrap_servers", "group", "session_timeout_ms", "poll_interval_ms"):
        given[f"kafka.{name}"] = getattr(kafka, name)
    given |= {"serve.port": 0} | {name.replace("__", "."): value for name, value in own.items()}
    words = [word for pair in given.items() for word in ("--set", "{}={}".format(*pair))]
    service = subprocess.Popen(
        [*BRAID, "run", *words], stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    assert service.stdout is not None
    said = ""
    try:
        for line in service.stdout:
            said += line
            if found := re.search(r"http://\S+?(?=,|\s)", line):
                break
        else:
            pytest.fail(said)
        yield found[0]
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
    finally:
        service.kill()
        service.communicate()


def published(kafka: Kafka, topic: str, most: int) -> list[Any]:
    """The first `most` records of a topic, once they are committed."""
    reader = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest",
        isolation_level="read_committed", consumer_timeout_ms=60_000,
    )  # fmt: skip
    with reader:
        return list(islice(reader, most))
