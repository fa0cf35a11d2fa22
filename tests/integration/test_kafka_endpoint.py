"""From POST /v1/events over Kafka to the predictions, with the endpoint on either side."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import orjson
import pytest

from stream.config import Kafka, Topics
from stream.source.kafka import create_topics
from tests.integration.running import published, running

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("apart", [False, True], ids=["inside", "process"])
def test_events_that_came_by_http_are_tagged(
    member: Callable[..., Kafka], topics: Topics, apart: bool
) -> None:
    kafka = member()
    create_topics(kafka, topics, partitions=1)
    with running(kafka, topics, serve__process=apart) as address:
        events = [
            {"id": f"e{n}", "text": f"word{n % 3}", "labels": [f"l{n % 3}"]} for n in range(9)
        ]
        answer = httpx.post(f"{address}/v1/events", json={"events": events}, timeout=30)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 9})
        seen = [orjson.loads(record.value)["id"] for record in published(
            kafka, topics.predictions, len(events)
        )]  # fmt: skip
        assert seen == [event["id"] for event in events]
        cold_start(address)


def cold_start(address: str) -> None:
    """A label that is only described is predicted before its first event; then it is retired."""
    told = {"description": "tide tables and lighthouses"}
    asked = {"events": [{"text": "a lighthouse with tide tables"}], "labels": ["sea/coast"]}
    with httpx.Client(base_url=address, timeout=30) as client:
        assert client.put("/v1/labels/sea/coast", json=told).status_code == 202
        found = until(lambda: client.get("/v1/labels/sea/coast"), 200).json()
        assert (found["events"], found["description"]) == (0, told["description"])
        (one,) = until(lambda: client.post("/v1/predict", json=asked), 200).json()["predictions"]
        other = {**asked, "events": [{"text": "word1"}]}
        (unlike,) = client.post("/v1/predict", json=other).json()["predictions"]
        assert one["top"][0]["score"] > 2 * unlike["top"][0]["score"]
        assert client.delete("/v1/labels/sea/coast").status_code == 202
        refused = until(lambda: client.post("/v1/predict", json=asked), 422).json()
        assert "is retired" in refused["detail"]


def until(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """The first answer with that status."""
    end = time.monotonic() + 60
    while (answer := ask()).status_code != status:
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)
    return answer
