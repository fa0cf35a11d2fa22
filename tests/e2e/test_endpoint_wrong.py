"""Every way to ask the endpoint wrongly: each has its status, its type, and names the field."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import SimpleNamespace

import httpx
import pytest

from stream import errors
from stream.config import load
from stream.errors import InvalidRecord
from stream.metrics import Metrics
from stream.serve.answers import Problem
from stream.serve.app import create_app
from stream.serve.problems import KINDS, kind_of
from stream.serve.server import EndpointServer
from stream.types import Example, Prediction


class TwoEntries:
    """A view of a stream whose vectors have two entries, and that knows no label."""

    def predict(
        self, examples: Sequence[Example], k: int, among: Sequence[str] = ()
    ) -> list[Prediction]:
        if any(one.vector is not None and one.vector.shape != (2,) for one in examples):
            raise InvalidRecord("vector_length", "the stream's vectors have 2 entries")
        return [Prediction(one.id, (), (), 0) for one in examples]

    def label(self, name: str) -> None:
        return None


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    settings = load(
        environ={},
        overrides=["serve.body_bytes=20000", "limits.record_bytes=5000", "serve.body_s=1"],
    )
    views = SimpleNamespace(current=TwoEntries)
    inlet = SimpleNamespace(send=lambda pairs: pytest.fail("nothing here may be sent on"))
    server = EndpointServer(create_app(settings, views, inlet, Metrics()), "127.0.0.1", 0)
    address = server.start()
    try:
        with httpx.Client(base_url=address, timeout=30) as made:
            yield made
    finally:
        server.stop()


def refused(response: httpx.Response, status: int, slug: str) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert (problem.status, problem.type) == (status, f"/problems/{slug}")
    assert problem.detail
    return problem


def deep(levels: int) -> bytes:
    return b'{"events":[{"id":"a","text":"x","more":' + b"[" * levels + b"]" * levels + b"}]}"


ONE = b'{"events":[{"id":"a","text":"x"}]}'
Case = tuple[str, str, bytes, dict[str, str], int, str, str]
WRONG: list[Case] = [
    ("GET", "/nowhere", b"", {}, 404, "not-found", "path"),
    ("GET", "/v1/model/", b"", {}, 404, "not-found", "path"),
    ("GET", "/v1/labels/", b"", {}, 404, "not-found", "label"),
    ("GET", "/v1/labels/no%ff%00such", b"", {}, 404, "not-found", "label"),
    ("GET", "/v1/labels?limit=0", b"", {}, 422, "invalid-request", "limit"),
    ("GET", "/v1/labels?prefix=" + "a" * 2000, b"", {}, 422, "invalid-request", "prefix"),
    ("GET", "/v1/partitions?limit=1000000", b"", {}, 422, "invalid-request", "limit"),
    ("GET", "/v1/partitions?offset=-1", b"", {}, 422, "invalid-request", "offset"),
    ("GET", "/v1/drift?limit=x", b"", {}, 422, "invalid-request", "limit"),
    ("GET", "/v1/predict", b"", {}, 405, "method-not-allowed", "method"),
    ("DELETE", "/v1/model", b"", {}, 405, "method-not-allowed", "method"),
    ("POST", "/v1/predict", ONE, {"content-type": "text/plain"}, 415, "", "content-type"),
    ("POST", "/v1/predict", ONE, {"content-type": ""}, 415, "", "content-type"),
    ("POST", "/v1/predict", ONE, {"content-encoding": "gzip"}, 415, "", "content-encoding"),
    ("POST", "/v1/predict", b" " * 20_001, {}, 413, "too-large", "body"),
    ("POST", "/v1/predict", b"", {}, 400, "malformed", "body"),
    ("POST", "/v1/predict", b'{"events":', {}, 400, "malformed", "body"),
    ("POST", "/v1/predict", b'{"events":[{"vector":[NaN]}]}', {}, 400, "malformed", "body"),
    ("POST", "/v1/predict", b'{"events":[{"text":"\xff"}]}', {}, 400, "malformed", "body"),
    ("POST", "/v1/predict", deep(5_000), {}, 400, "malformed", "body"),
    ("POST", "/v1/events", deep(500), {}, 422, "invalid-request", "events.0"),
    ("POST", "/v1/predict", b"[1]", {}, 422, "invalid-request", "body"),
    ("POST", "/v1/predict", b"{}", {}, 422, "invalid-request", "events"),
    ("POST", "/v1/predict", b'{"events":[]}', {}, 422, "invalid-request", "events"),
    ("POST", "/v1/predict", b'{"events":[1,2,3]}', {}, 422, "invalid-request", "events.0"),
    ("POST", "/v1/predict", ONE[:-1] + b',"q":1}', {}, 422, "invalid-request", "q"),
    ("POST", "/v1/predict", ONE[:-1] + b',"k":0}', {}, 422, "invalid-request", "k"),
    ("POST", "/v1/predict", ONE[:-1] + b',"k":1000000}', {}, 422, "invalid-request", "k"),
    ("POST", "/v1/predict", ONE[:-1] + b',"k":true}', {}, 422, "invalid-request", "k"),
    ("POST", "/v1/predict", ONE[:-1] + b',"k":"5"}', {}, 422, "invalid-request", "k"),
    ("POST", "/v1/predict", b'{"events":[{}]}', {}, 422, "invalid-request", "events.0"),
    ("POST", "/v1/predict", b'{"events":[{"labels":[]}]}', {}, 422, "", "events.0"),
    ("POST", "/v1/predict", b'{"events":[{"text":"x","vector":[1]}]}', {}, 422, "", "events.0"),
    (
        "POST",
        "/v1/predict",
        b'{"events":[{"text":"x"},{"vector":[1,2,3]}]}',
        {},
        422,
        "",
        "events.1",
    ),
    ("POST", "/v1/predict", b'{"events":[' + b"{}," * 1000 + b"{}]}", {}, 422, "", "events"),
    (
        "POST",
        "/v1/predict",
        b"{" + b",".join(b'"%d":1' % n for n in range(999)) + b"}",
        {},
        422,
        "",
        "body",
    ),
    ("POST", "/v1/events", b'{"events":[{"text":"x"}]}', {}, 422, "", "events.0"),
    (
        "POST",
        "/v1/events",
        b'{"events":[{"id":"a","text":"%s"}]}' % (b"x" * 6000),
        {},
        422,
        "",
        "events.0",
    ),
    ("POST", "/v1/events", ONE[:-1] + b',"k":1}', {}, 422, "", "k"),
    ("POST", "/v1/feedback", ONE, {}, 422, "", "events.0"),
    ("POST", "/v1/feedback", b'{"events":[{"id":"a"}]}', {}, 422, "", "events.0"),
    ("POST", "/v1/feedback", b'{"events":[{"id":"a","labels":[""]}]}', {}, 422, "", "events.0"),
]
SLUGS = {415: "unsupported-media-type", 422: "invalid-request"}


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[1][:24]}-{case[6]}")
def test_what_does_not_fit_is_refused_by_name(client: httpx.Client, case: Case) -> None:
    method, path, body, headers, status, slug, field = case
    sent = {"content-type": "application/json"} | headers
    response = client.request(method, path, content=body, headers=sent)
    problem = refused(response, status, slug or SLUGS[status])
    assert [wrong.field for wrong in problem.errors] == [field]
    assert problem.errors[0].message
    if status == 405:
        assert response.headers["allow"] in {"POST", "GET"}


def test_a_large_body_is_cut_off_without_a_length_too(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 1_000

    response = client.post(
        "/v1/predict", content=chunks(), headers={"content-type": "application/json"}
    )
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert refused(response, 413, "too-large").errors[0].field == "body"


def test_an_announced_large_body_is_refused_before_it_is_sent(client: httpx.Client) -> None:
    url = client.base_url
    with socket.create_connection((url.host, url.port), timeout=60) as raw:
        raw.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 20001\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_drips_is_cut_off(client: httpx.Client) -> None:
    url = client.base_url
    with socket.create_connection((url.host, url.port), timeout=60) as raw:
        raw.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2000\r\n\r\n"
        )
        for _ in range(1_000):
            raw.sendall(b" ")
            if select.select([raw], [], [], 0.05)[0]:
                break
        said = b""
        while part := raw.recv(4_096):  # to the end: the connection is closed
            said += part
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"/problems/too-slow" in said
        assert b"within 1 s" in said


def test_a_head_that_drips_is_cut_off() -> None:
    server = EndpointServer(
        create_app(load(environ={}), SimpleNamespace(), None, Metrics()), "127.0.0.1", 0, head_s=0.5
    )
    url = httpx.URL(server.start())
    try:
        for first in (b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"):
            with socket.create_connection((url.host, url.port), timeout=60) as raw:
                raw.sendall(first)
                if first:  # the second request of a connection is held to it too
                    assert raw.recv(4_096).startswith(b"HTTP/1.1 200 ")
                with suppress(ConnectionError):
                    for letter in b"GET /livez HTTP/1.1\r\nX: " + b"x" * 1_000:
                        raw.sendall(bytes([letter]))
                        if select.select([raw], [], [], 0.02)[0] and not raw.recv(4_096):
                            break
                    else:
                        pytest.fail("all of it was taken")
    finally:
        server.stop()


def test_a_head_that_swells_is_cut_off() -> None:
    app = create_app(load(environ={}), SimpleNamespace(), None, Metrics())
    server = EndpointServer(app, "127.0.0.1", 0)
    url = httpx.URL(server.start())
    try:
        with (
            socket.create_connection((url.host, url.port), timeout=60) as raw,
            suppress(ConnectionError),
        ):
            raw.sendall(b"GET /livez HTTP/1.1\r\n")
            for n in range(4_000):
                raw.sendall(b"X-%d: " % n + b"x" * 1_000 + b"\r\n")
            raw.sendall(b"\r\n")
            said = b""
            while part := raw.recv(4_096):
                said += part
            assert not said or said.startswith(b"HTTP/1.1 400 ")
    finally:
        server.stop()


@pytest.mark.parametrize("pause_s", [0.0, 0.1])
def test_an_offer_to_upgrade_to_http_2_is_passed_over(client: httpx.Client, pause_s: float) -> None:
    url = client.base_url
    head = (
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        f"Content-Length: {len(ONE)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port), timeout=60) as raw:
        raw.sendall(head.encode())
        time.sleep(pause_s)
        raw.sendall(ONE)
        assert raw.recv(4_096).startswith(b"HTTP/1.1 200 ")


def test_a_body_in_chunks_is_read_whole(client: httpx.Client) -> None:
    response = client.post(
        "/v1/predict",
        content=iter([ONE[:9], ONE[9:]]),
        headers={"content-type": "application/json"},
    )
    assert response.json()["predictions"][0]["id"] == "a"


def test_the_table_has_a_fitting_row_for_every_error() -> None:
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.BraidError):
            kind = kind_of(error.__new__(error)) if error is not errors.InvalidRequest else None
            if kind is not None and error.retriable:
                assert kind.status in {429, 503}, error
            if kind is not None and kind.status == 500:
                assert kind.say, error  # a server error keeps its own words to the log
    assert len({(kind.status, kind.slug) for kind in KINDS.values()}) == len(
        {kind.slug for kind in KINDS.values()}
    )
