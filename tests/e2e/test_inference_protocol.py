"""The Open Inference Protocol: what a gateway that speaks it asks and gets."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from stream.config import load
from stream.serve.inference import InferResponse
from tests.e2e.test_endpoint import fails
from tests.e2e.words import Kept, serving

INFER = "/v2/models/braid/infer"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[SimpleNamespace]:
    with serving(load(environ={}, overrides=["serve.body_bytes=20000"]), Kept()) as made:
        yield made


def texts(*given: str, **more: Any) -> dict[str, Any]:
    tensor = {"name": "text", "shape": [len(given)], "datatype": "BYTES", "data": list(given)}
    return {"inputs": [tensor | more]}


def test_a_gateway_finds_out_what_there_is(endpoint: SimpleNamespace) -> None:
    client = endpoint.client
    assert client.get("/v2").json()["name"] == "braidstream"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/models/braid", "/v2/models/braid/versions/1"):
        told = client.get(path).json()
        assert (told["name"], told["versions"]) == ("braid", ["1"])
        assert {one["name"]: one["datatype"] for one in told["inputs"]} == {
            "text": "BYTES",
            "vector": "FP32",
        }
        assert client.get(f"{path}/ready").json() == {"name": "braid", "ready": True}


@pytest.mark.parametrize("path", [INFER, "/v2/models/braid/versions/1/infer"])
def test_texts_are_tagged_in_rows(endpoint: SimpleNamespace, path: str) -> None:
    body = texts("art music law", "x") | {"id": "q", "parameters": {"k": 2}}
    answer = endpoint.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    InferResponse.model_validate_json(answer.content)
    told = answer.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("braid", "1", "q")
    out = {one["name"]: one for one in told["outputs"]}
    assert [one["shape"] for one in told["outputs"]] == [[2, 2]] * 3
    assert out["labels"]["data"] == ["art", "music", "x", ""]
    assert out["scores"]["data"] == [1.0, 0.5, 1.0, 0.0]
    assert out["chosen"]["data"] == [True, False, True, False]


def test_vectors_flat_and_nested(endpoint: SimpleNamespace) -> None:
    for data in ([0.25, 1, 0.75, 1], [[0.25, 1], [0.75, 1]]):
        tensor = {"name": "vector", "shape": [2, 2], "datatype": "FP32", "data": data}
        body = {"inputs": [tensor], "outputs": [{"name": "scores"}]}
        (out,) = endpoint.client.post(INFER, json=body).json()["outputs"]
        assert (out["name"], out["data"]) == ("scores", [0.25, 0.75])


@pytest.mark.parametrize(
    ("path", "body", "status", "slug", "field"),
    [
        ("/v2/models/other/infer", texts("a"), 404, "not-found", "name"),
        ("/v2/models/braid/versions/2/infer", texts("a"), 404, "not-found", "number"),
        (INFER, {"inputs": []}, 422, "invalid-request", "inputs"),
        (INFER, texts("a", datatype="FP32"), 422, "invalid-request", "inputs.0.datatype"),
        (INFER, texts("a", shape=[2]), 422, "invalid-request", "inputs.0.shape"),
        (INFER, texts("a", name="image"), 422, "invalid-request", "inputs.0.name"),
        (INFER, texts("a", data=[1]), 422, "invalid-request", "events.0"),
        (INFER, texts("a", data=[[["a"]]]), 422, "invalid-request", "events.0"),
        (INFER, texts("a", name="vector"), 422, "invalid-request", "inputs.0"),
        (
            INFER,
            texts("a", name="vector", datatype="FP32", shape=[2, 2], data=[1.0]),
            422,
            "invalid-request",
            "inputs.0.shape",
        ),
        (INFER, texts("a") | {"parameters": {"k": 0}}, 422, "invalid-request", "parameters.k"),
        (INFER, texts("x" * 30_000), 413, "too-large", "body"),
    ],
)
def test_what_does_not_fit_is_told(
    endpoint: SimpleNamespace, path: str, body: dict[str, Any], status: int, slug: str, field: str
) -> None:
    problem = fails(endpoint.client.post(path, json=body), status, slug, field)
    assert problem


def test_the_protocols_own_error_is_in_the_problem(endpoint: SimpleNamespace) -> None:
    told = endpoint.client.post(INFER, json={"inputs": []}).json()
    assert told["error"] == told["detail"]
    assert "error" not in endpoint.client.post("/v1/predict", json={}).json()


def test_not_ready_is_503(endpoint: SimpleNamespace) -> None:
    endpoint.views.reason = "no view yet"
    try:
        for path in ("/v2/health/ready", "/v2/models/braid/ready"):
            fails(endpoint.client.get(path), 503, "not-ready", None)
    finally:
        endpoint.views.reason = ""
