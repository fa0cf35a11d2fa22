"""From POST /v1/events over Kafka to the predictions, with the endpoint on either side."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice

import httpx
import orjson
import pytest
from kafka import KafkaConsumer

from stream.config import Kafka, Topics
from stream.source.kafka import create_topics

pytestmark = pytest.mark.kafka
BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]


@pytest.mark.parametrize("apart", [False, True], ids=["inside", "process"])
def test_events_that_came_by_http_are_tagged(
    member: Callable[..., Kafka], topics: Topics, apart: bool
) -> None:
    kafka = member()
    create_topics(kafka, topics, partitions=1)
    given = {f"topics.{name}": value for name, value in topics.model_dump().items()}
    for name in ("bootstrap_servers", "group", "session_timeout_ms", "poll_interval_ms"):
        given[f"kafka.{name}"] = getattr(kafka, name)
    given |= {"serve.port": 0, "serve.process": apart}
    words = [word for pair in given.items() for word in ("--set", "{}={}".format(*pair))]
    service = subprocess.Popen([*BRAID, "run", *words], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    said = ""
    try:
        for line in service.stdout:
            said += line
            if found := re.search(r"http://\S+?(?=,|\s)", line):
                break
        else:
            pytest.fail(said)
        events = [
            {"id": f"e{n}", "text": f"word{n % 3}", "labels": [f"l{n % 3}"]} for n in range(9)
        ]
        answer = httpx.post(f"{found[0]}/v1/events", json={"events": events}, timeout=30)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 9})
        reader = KafkaConsumer(
            topics.predictions, bootstrap_servers=kafka.bootstrap_servers,
            auto_offset_reset="earliest", isolation_level="read_committed",
            consumer_timeout_ms=60_000,
        )  # fmt: skip
        with reader:
            seen = [orjson.loads(record.value)["id"] for record in islice(reader, len(events))]
        assert seen == [event["id"] for event in events]
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
    finally:
        service.kill()
        service.communicate()
