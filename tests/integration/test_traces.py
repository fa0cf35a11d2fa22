"""Traces from the header of a Kafka record to its prediction, and the log beside them.

The collector is an HTTP server that reads what OTLP exporters send.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from kafka import KafkaProducer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from stream.config import Kafka, Topics
from stream.source.kafka import create_topics
from tests.integration.running import published, running

pytestmark = pytest.mark.kafka
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE[::-1]}-{PARENT}-00"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """Its URL, and the spans that came."""
    spans: list[Any] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans
        server.shutdown()


def test_a_record_is_followed_to_its_prediction(
    member: Callable[..., Kafka], topics: Topics, collector: tuple[str, list[Any]], tmp_path: Path
) -> None:
    kafka, (url, spans) = member(), collector
    create_topics(kafka, topics, partitions=1)
    headers = [[("traceparent", SAMPLED.encode())], [("traceparent", NOT_SAMPLED.encode())], []]
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    for n, given in enumerate(headers):
        event = orjson.dumps({"id": f"e{n}", "text": "x", "labels": ["l"]})
        producer.send(topics.events, event, f"e{n}".encode(), headers=given)
    producer.send(topics.labels, b"{", b"l").get(30)
    producer.close()
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        running(kafka, topics, stderr, traces__endpoint=url, log__format="json") as address,
    ):
        made = published(kafka, topics.predictions, 3)
        ask = {"events": [{"text": "x"}]}
        httpx.post(f"{address}/v1/predict", json=ask, headers={"traceparent": SAMPLED}, timeout=30)
    first, second, third = (dict(record.headers) for record in made)
    (predicted,) = (span for span in spans if span.name == "predict")
    assert (predicted.trace_id.hex(), predicted.parent_span_id.hex()) == (TRACE, PARENT)
    assert first["traceparent"].decode() == f"00-{TRACE}-{predicted.span_id.hex()}-01"
    assert second["traceparent"].decode().startswith(f"00-{TRACE[::-1]}-")
    assert "traceparent" not in third
    attributes = {one.key: one.value for one in predicted.attributes}
    assert attributes["messaging.kafka.offset"].int_value == made[0].offset == 0
    assert attributes["braid.event.id"].string_value == "e0"
    (request,) = (span for span in spans if span.name == "POST /v1/predict")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    lines = [orjson.loads(line) for line in log.read_text().splitlines()]
    assert not [line for line in lines if line["logger"].startswith("kafka")]
    assert all({"ts", "level", "logger", "message"} <= line.keys() for line in lines)
    (told,) = (line for line in lines if "offset" in line)
    assert told["position"] >= 0
