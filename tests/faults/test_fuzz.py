"""Many thousand cases against the codec, and against a running service by its OpenAPI file."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stream.clock import SystemClock
from stream.config import Topics
from stream.metrics import Metrics
from stream.runner import Runner
from stream.serve.app import create_app
from stream.serve.server import EndpointServer
from stream.sink import NullSink
from stream.source.local import LocalSource
from stream.source.synthetic import Planted, SyntheticStream
from stream.views import Publisher
from tests.faults.conftest import Ledger
from tests.property.test_codec_property import anything, dumps, judge, nearly
from tests.recovery.world import settings as small
from tests.source_harness import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3_600)]

CASES = int(os.environ.get("FUZZ_CASES", "20000"))
COUNTED = Counter[str]()
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip
SETTINGS = settings(
    max_examples=max(1, CASES // 12), deadline=None, derandomize=False,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class Service:
    """A real model on a local stream, which goes on with what comes in by HTTP."""

    def __init__(self) -> None:
        events = SyntheticStream(Planted(labels=40, seed=1))
        self.source = LocalSource(lambda at: islice(events.records(), at, 500), Topics(), 500)
        self.source.finished = lambda: False  # type: ignore[method-assign]  # more may come in
        self.metrics, clock = Metrics(), SystemClock()
        self.publisher = Publisher(0.25, clock, self.metrics)
        self.stop = threading.Event()
        self.runner = Runner(
            small(), self.source, NullSink(), None, self.publisher, self.metrics, clock
        )
        self.thread = threading.Thread(target=self.runner.run, args=(self.stop,), daemon=True)
        self.app = create_app(small(), self.publisher, self.source, self.metrics)
        self.server = EndpointServer(self.app, "127.0.0.1", 0)
        self.session = requests.Session()

    def __enter__(self) -> Service:
        self.thread.start()
        until(lambda: self.runner.progress.events >= 500)
        self.address = self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.server.stop()
        self.stop.set()
        self.thread.join()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as made:
        yield made


UNUSED = Publisher(1.0, SystemClock(), Metrics())
SCHEMA = from_dict(create_app(small(), UNUSED, None, Metrics()).openapi())


@SCHEMA.parametrize()
@SETTINGS
def test_the_endpoint_keeps_to_its_openapi_file(case: schemathesis.Case, service: Service) -> None:
    COUNTED[f"{case.method} {case.path}"] += 1
    case.call_and_validate(service.address, service.session, checks=CHECKS, timeout=30)
    assert service.thread.is_alive()


@settings(SETTINGS, max_examples=CASES // 4)
@given(st.binary(max_size=400), st.none() | st.binary(max_size=30))
def test_any_bytes(value: bytes, key: bytes | None) -> None:
    COUNTED["codec, bytes"] += 1
    judge(value, key)


@settings(SETTINGS, max_examples=CASES // 4)
@given(anything | nearly)
def test_any_json(value: Any) -> None:
    COUNTED["codec, JSON"] += 1
    judge(dumps(value), b"key")


def test_so_many_cases(ledger: Ledger) -> None:
    ledger.say(f"fuzzing: {sum(COUNTED.values()):,} cases, " + ", ".join(
        f"{n:,} {what}" for what, n in sorted(COUNTED.items()) if n > 10
    ))  # fmt: skip
    assert sum(COUNTED.values()) >= CASES
