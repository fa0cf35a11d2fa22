"""The endpoint on a real server: every route, and what it does when something fails."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest

from stream.config import Settings, load
from stream.errors import SettingError
from stream.metrics import Metrics
from stream.serve import answers
from stream.serve.app import create_app
from stream.serve.server import EndpointServer
from tests.e2e.words import LABELS, Kept, Views, serving

VERSIONS = ("", "/versions/{number}")
ACTIONS = (("GET", ""), ("GET", "/ready"), ("POST", "/infer"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[SimpleNamespace]:
    with serving(load(environ={}, overrides=["serve.batch=8"]), Kept()) as made:
        yield made


def fails(response: httpx.Response, status: int, slug: str, field: str | None) -> dict[str, Any]:
    """Hold a response to RFC 9457 and to what was expected of it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = answers.Problem.model_validate_json(response.content)
    assert (problem.status, problem.type) == (status, f"/problems/{slug}")
    assert problem.detail
    assert [wrong.field for wrong in problem.errors] == ([field] if field else [])
    return problem.model_dump()


def count(endpoint: SimpleNamespace, route: str, status: int) -> float:
    # a request is counted after its answer, and before the next one is looked at
    endpoint.client.get("/livez")
    labels = {"route": route, "status": str(status)}
    return endpoint.metrics.registry.get_sample_value("braid_http_requests_total", labels) or 0.0


def test_predict_answers_each_event_from_its_own_payload(endpoint: SimpleNamespace) -> None:
    events = [
        {"id": "a", "text": "art music law"},
        {"features": {"cpu": 0.25}, "labels": ["cpu"]},
        {"vector": [0.5, 1]},
        {"text": ""},
    ]
    response = endpoint.client.post("/v1/predict", json={"events": events, "k": 2})
    assert response.status_code == 200, response.text
    found = answers.PredictResponse.model_validate_json(response.content).predictions
    assert [one.id for one in found] == ["a", "1", "2", "3"]
    assert [[label.label for label in one.top] for one in found] == [
        ["art", "music"],
        ["cpu"],
        ["vector"],
        [],
    ]
    assert [label.score for label in found[0].top] == [1.0, 0.5]
    assert found[0].chosen == ["art"]
    assert {one.position for one in found} == {endpoint.views.made}


def test_k_defaults_to_the_setting(endpoint: SimpleNamespace) -> None:
    text = " ".join(f"w{n}" for n in range(40))
    answer = endpoint.client.post("/v1/predict", json={"events": [{"text": text}]}).json()
    assert len(answer["predictions"][0]["top"]) == Settings().learn.top_k


def test_a_request_above_the_batch_is_answered_from_one_view(endpoint: SimpleNamespace) -> None:
    events = [{"text": f"w{n}"} for n in range(50)]
    found = endpoint.client.post("/v1/predict", json={"events": events}).json()["predictions"]
    assert [one["top"][0]["label"] for one in found] == [f"w{n}" for n in range(50)]
    assert len({one["position"] for one in found}) == 1


def test_a_large_body_is_checked_as_a_small_one_is(endpoint: SimpleNamespace) -> None:
    events = [{"text": f"w{n} " + "x" * 1_000} for n in range(200)]
    found = endpoint.client.post("/v1/predict", json={"events": events, "k": 1}).json()
    assert [one["chosen"] for one in found["predictions"]] == [[f"w{n}"] for n in range(200)]
    events[150] = {"text": 5}
    response = endpoint.client.post("/v1/predict", json={"events": events})
    fails(response, 422, "invalid-request", "events.150")


def test_events_and_feedback_go_to_the_inlet_as_they_came(endpoint: SimpleNamespace) -> None:
    event = {"id": "é", "text": "art", "labels": ["art"], "extra": [1]}
    endpoint.inlet.pairs.clear()
    response = endpoint.client.post("/v1/events", json={"events": [event, {"id": "b", "text": ""}]})
    assert (response.status_code, response.json()) == (202, {"accepted": 2})
    late = {"id": "é", "labels": []}
    response = endpoint.client.post("/v1/feedback", json={"events": [late]})
    assert (response.status_code, response.json()) == (202, {"accepted": 1})
    sent = [(key.decode(), orjson.loads(value)) for key, value in endpoint.inlet.pairs]
    assert sent == [("é", event), ("b", {"id": "b", "text": ""}), ("é", late)]


def test_one_bad_event_keeps_the_whole_request_from_the_inlet(endpoint: SimpleNamespace) -> None:
    endpoint.inlet.pairs.clear()
    events = [{"id": "a", "text": "x"}, {"id": "b"}]
    fails(
        endpoint.client.post("/v1/events", json={"events": events}),
        422,
        "invalid-request",
        "events.1",
    )
    assert endpoint.inlet.pairs == []


def test_an_inlet_that_fails_is_503_and_asks_to_retry(endpoint: SimpleNamespace) -> None:
    endpoint.inlet.down = True
    try:
        response = endpoint.client.post("/v1/events", json={"events": [{"id": "a", "text": "x"}]})
    finally:
        endpoint.inlet.down = False
    fails(response, 503, "unavailable", None)
    assert response.headers["retry-after"] == "1"
    assert "10.0.0.7" not in response.text


def test_labels_are_found_by_name_and_by_prefix(endpoint: SimpleNamespace) -> None:
    get = endpoint.client.get
    label = answers.Label.model_validate_json(get("/v1/labels/law/eu").content)
    assert (label.label, label.id, label.partition) == ("law/eu", 2**62, -1)
    assert get("/v1/labels/law%2Feu").json()["label"] == "law/eu"
    assert get("/v1/labels").json() == {"labels": list(LABELS), "more": False}
    assert get("/v1/labels?prefix=art&limit=1").json() == {"labels": ["art"], "more": True}
    assert get("/v1/labels?prefix=zz").json() == {"labels": [], "more": False}


def test_partitions_come_in_pages(endpoint: SimpleNamespace) -> None:
    page = answers.Partitions.model_validate_json(
        endpoint.client.get("/v1/partitions?limit=2&offset=3").content
    )
    assert [partition.id for partition in page.partitions] == [3, 4]
    assert page.total == 5


def test_drift_and_model_are_told(endpoint: SimpleNamespace) -> None:
    drift = answers.Drifts.model_validate_json(endpoint.client.get("/v1/drift?limit=2").content)
    assert [event.scope for event in drift.events] == ["partition/1", "partition/2"]
    model = endpoint.client.get("/v1/model").json()
    assert answers.ModelInfo.model_validate(model).position == endpoint.views.made
    assert model["index"]["labels"] == 4
    told = endpoint.client.get("/v1/generations").json()
    found = answers.Generations.model_validate(told)
    assert [(one.number, one.state) for one in found.generations] == [(2, "in use"), (1, "before")]
    assert [one.kind for one in found.verdicts] == ["rollback"]


def test_the_index_lists_every_route(endpoint: SimpleNamespace) -> None:
    routes = endpoint.client.get("/").json()["routes"]
    assert {(route["method"], route["path"]) for route in routes} == {
        ("POST", "/v1/predict"),
        ("POST", "/v1/events"),
        ("POST", "/v1/feedback"),
        ("GET", "/v1/generations"),
        ("POST", "/v1/generations/rollback"),
        ("POST", "/v1/generations/resume"),
        *(("GET", f"/v1/{name}") for name in ("labels", "labels/{label}", "partitions")),
        *((method, "/v1/labels/{label}") for method in ("PUT", "DELETE")),
        *(("GET", f"/v1/{name}") for name in ("partitions/tree", "drift", "model")),
        *(("GET", f"/v2{rest}") for rest in ("", "/health/live", "/health/ready")),
        *((m, f"/v2/models/{{name}}{v}{a}") for v in VERSIONS for m, a in ACTIONS),
        *(("GET", path) for path in ("/", "/livez", "/readyz", "/metrics")),
    }
    assert all(route["what"] for route in routes)


def test_the_examples_of_the_openapi_file_run(endpoint: SimpleNamespace) -> None:
    document = endpoint.client.get("/openapi.json").json()
    for path, name in (
        ("/v1/predict", "PredictRequest"),
        ("/v1/events", "EventsRequest"),
        ("/v1/feedback", "FeedbackRequest"),
    ):
        examples = document["components"]["schemas"][name]["examples"]
        assert examples
        for example in examples:
            assert endpoint.client.post(path, json=example).is_success
    shown = document["paths"]["/v1/predict"]["post"]["responses"]["422"]["content"]
    assert list(shown) == ["application/problem+json"]
    assert "Problem" in document["components"]["schemas"]


def test_readiness_says_why_not_and_predict_refuses(endpoint: SimpleNamespace) -> None:
    assert endpoint.client.get("/readyz").json()["ready"] is True
    endpoint.views.reason = "reading the topic, 12 records behind"
    try:
        problem = fails(endpoint.client.get("/readyz"), 503, "not-ready", None)
        assert problem["detail"] == endpoint.views.reason
        body = {"events": [{"text": "x"}]}
        fails(endpoint.client.post("/v1/predict", json=body), 503, "not-ready", None)
        fails(endpoint.client.get("/v1/model"), 503, "not-ready", None)
        assert endpoint.client.get("/livez").status_code == 200
    finally:
        endpoint.views.reason = ""


def test_requests_are_counted_by_template(endpoint: SimpleNamespace) -> None:
    before = count(endpoint, "/v1/labels/{label}", 200), count(endpoint, "unmatched", 404)
    endpoint.client.get("/v1/labels/art")
    endpoint.client.get("/v1/labels/music")
    endpoint.client.get("/nowhere/at/all")
    assert count(endpoint, "/v1/labels/{label}", 200) == before[0] + 2
    assert count(endpoint, "unmatched", 404) == before[1] + 1
    before = count(endpoint, "/v1/model", 405), count(endpoint, "/v1/predict", 415)
    endpoint.client.delete("/v1/model")
    endpoint.client.post("/v1/predict", content=b"x")
    assert count(endpoint, "/v1/model", 405) == before[0] + 1
    assert count(endpoint, "/v1/predict", 415) == before[1] + 1
    response = endpoint.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert 'braid_http_requests_total{route="/v1/labels/{label}",status="200"}' in response.text
    assert 'braid_http_seconds_count{route="unmatched"}' in response.text


def test_a_failure_tells_no_internals_and_spoils_nothing(
    endpoint: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    before = count(endpoint, "/v1/predict", 500)
    response = endpoint.client.post("/v1/predict", json={"events": [{"text": "crash"}]})
    fails(response, 500, "internal", None)
    assert "secret" not in response.text
    assert count(endpoint, "/v1/predict", 500) == before + 1
    assert "secret path" in caplog.text
    assert endpoint.client.post("/v1/predict", json={"events": [{"text": "x"}]}).is_success


def test_a_client_that_leaves_in_the_middle_is_no_server_error(endpoint: SimpleNamespace) -> None:
    url = httpx.URL(endpoint.address)
    before = count(endpoint, "/v1/predict", 400)
    with socket.create_connection((url.host, url.port)) as half:
        half.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 1000\r\n\r\n{"events":'
        )
    while count(endpoint, "/v1/predict", 400) == before:  # the suite's timeout bounds it
        pass


def test_without_an_inlet_events_are_refused() -> None:
    with serving(Settings(), None) as endpoint:
        for path in ("/v1/events", "/v1/feedback"):
            response = endpoint.client.post(path, json={"events": [{"id": "a", "labels": []}]})
            fails(response, 503, "no-inlet", None)
            assert "retry-after" not in response.headers


def test_a_port_in_use_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = EndpointServer(create_app(Settings(), Views(), None, Metrics()), "127.0.0.1", port)
        with pytest.raises(SettingError, match="choose a free port") as caught:
            server.start()
    assert caught.value.setting == "serve.port"
    server.stop()


def test_answers_are_not_held_back_for_an_acknowledgement() -> None:
    server = EndpointServer(create_app(Settings(), Views(), None, Metrics()), "127.0.0.1", 0)
    with server._bind() as listening:  # asyncio sets TCP_NODELAY only where this is named
        assert listening.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize("host", ["no host", "x" * 100, "192.0.2.1"])
def test_a_host_that_is_not_ours_names_the_setting(host: str) -> None:
    server = EndpointServer(create_app(Settings(), Views(), None, Metrics()), host, 0)
    with pytest.raises(SettingError) as caught:
        server.start()
    assert caught.value.setting == "serve.host"


def test_the_server_leaves_signals_alone_and_stops_twice() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    server = EndpointServer(create_app(Settings(), Views(), None, Metrics()), "127.0.0.1", 0)
    address = server.start()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    server.stop()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
