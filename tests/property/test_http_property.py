"""Whatever a client sends, the endpoint answers, and never with a server error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream.config import load
from stream.metrics import Metrics
from stream.serve.answers import Problem
from stream.serve.app import create_app
from stream.serve.server import EndpointServer
from stream.types import Example, Prediction, Scored

PATHS = ("/v1/predict", "/v1/events", "/v1/feedback")
EXAMPLES = 60


class Echo:
    """A view that tags each event with its own id, and an inlet that takes everything."""

    def predict(
        self, examples: Sequence[Example], k: int, among: Sequence[str] = ()
    ) -> list[Prediction]:
        return [Prediction(one.id, (Scored(one.id, 1.0),), (), 0) for one in examples]

    def label(self, name: str) -> None:
        return None

    def labels(self, prefix: str, most: int) -> list[str]:
        return [prefix][:most]

    def partitions(self) -> list[Any]:
        return []

    def send(self, events: Sequence[tuple[bytes, bytes]]) -> None:
        assert all(orjson.loads(value)["id"].encode() == key for key, value in events)

    def describe(self, labels: Sequence[tuple[bytes, bytes | None]]) -> None:
        self.pairs += labels


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    serve = load(environ={}, overrides=["serve.body_bytes=50000", "serve.wait_ms=0"])
    app = create_app(serve, SimpleNamespace(current=Echo), Echo(), Metrics())
    server = EndpointServer(app, "127.0.0.1", 0)
    with httpx.Client(base_url=server.start(), timeout=30) as made:
        yield made
    server.stop()


def sound(response: httpx.Response) -> httpx.Response:
    """Not a server error; where it is an error, a whole problem document."""
    assert response.status_code < 500, response.text
    if not response.is_success:
        assert response.headers["content-type"] == "application/problem+json"
        assert Problem.model_validate_json(response.content).status == response.status_code
    return response


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
numbers = st.integers(-9, 9) | st.floats(width=32)
events = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=4) | values,
        "text": st.text(max_size=20) | values,
        "features": st.dictionaries(st.text(max_size=4), numbers, max_size=4) | values,
        "vector": st.lists(numbers, max_size=4) | values,
        "labels": st.lists(st.text(max_size=4), max_size=4) | values,
        "ts": values,
        "v": values,
        "other": values,
    },
)
bodies = st.fixed_dictionaries(
    {"events": st.lists(events, max_size=4) | st.lists(values, max_size=3) | values},
    optional={"k": st.integers() | values},
)


def dumped(value: Any) -> bytes:
    import json  # takes what orjson refuses: NaN, lone surrogates, huge integers

    return json.dumps(value).encode()


@settings(max_examples=EXAMPLES, deadline=None)
@given(path=st.sampled_from(PATHS), body=bodies | values)
@example(path="/v1/predict", body={"events": [{"text": "x", "ts": 10**400}]})
@example(path="/v1/events", body={"events": [{"id": "\ud800", "text": "x"}]})
def test_any_json_is_answered(client: httpx.Client, path: str, body: Any) -> None:
    headers = {"content-type": "application/json"}
    sound(client.post(path, content=dumped(body), headers=headers))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    path=st.sampled_from(PATHS),
    body=st.binary(max_size=200),
    kind=st.sampled_from(
        ["application/json", "text/plain", "application/x+json", "", ";", "a/b/c"]
    ),
)
def test_any_bytes_are_refused(client: httpx.Client, path: str, body: bytes, kind: str) -> None:
    response = sound(client.post(path, content=body, headers={"content-type": kind}))
    assert response.status_code in {400, 415, 422}


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    texts=st.lists(st.text(max_size=20), min_size=1, max_size=8),
    k=st.integers(1, 1000),
)
def test_every_valid_event_gets_its_answer(client: httpx.Client, texts: list[str], k: int) -> None:
    body = orjson.dumps({"events": [{"text": text} for text in texts], "k": k})
    response = client.post(
        "/v1/predict", content=body, headers={"content-type": "application/json"}
    )
    found = sound(response).json()["predictions"]
    assert [one["id"] for one in found] == [str(n) for n in range(len(texts))]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    parts=st.lists(st.sampled_from(["v1", "labels", "predict"]) | st.text(max_size=6), max_size=4),
    query=st.dictionaries(
        st.sampled_from(["prefix", "limit", "offset"]) | st.text(max_size=4),
        st.integers().map(str) | st.text(max_size=8),
        max_size=3,
    ),
)
def test_any_path_and_query_is_answered(
    client: httpx.Client, method: str, parts: list[str], query: dict[str, str]
) -> None:
    path = "/" + "/".join(parts)
    try:
        request = client.build_request(method, path.replace("?", "").replace("#", ""), params=query)
    except (httpx.InvalidURL, UnicodeEncodeError):  # the client itself refuses it
        return
    response = client.send(request)
    assert response.status_code < 500, response.text
