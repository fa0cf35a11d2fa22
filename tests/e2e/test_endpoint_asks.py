"""What a predict request may ask beyond texts: a threshold, a few labels, reasons; and labels
described and retired by HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import orjson
import pytest

from stream.config import load
from stream.serve.answers import PredictResponse, Tree
from tests.e2e.test_endpoint import fails
from tests.e2e.words import Kept, serving


@pytest.fixture(scope="module")
def endpoint() -> Iterator[SimpleNamespace]:
    with serving(load(environ={}, overrides=["serve.batch=8"]), Kept()) as made:
        yield made


def asked(endpoint: SimpleNamespace, text: str, **more: object) -> dict[str, object]:
    answer = endpoint.client.post("/v1/predict", json={"events": [{"text": text}], **more})
    assert answer.status_code == 200, answer.text
    PredictResponse.model_validate_json(answer.content)
    return answer.json()["predictions"][0]


def tops(found: dict[str, object]) -> list[str]:
    return [one["label"] for one in found["top"]]


def test_labels_below_the_threshold_are_left_out_of_the_top_alone(
    endpoint: SimpleNamespace,
) -> None:
    found = asked(endpoint, "a b c d", threshold=0.34)
    assert (tops(found), found["chosen"]) == (["a", "b"], ["a"])
    assert tops(asked(endpoint, "a b c d", threshold=1)) == ["a"]


def test_only_the_labels_named_are_answered(endpoint: SimpleNamespace) -> None:
    assert tops(asked(endpoint, "x art y music", labels=["music", "art"], k=1)) == ["art"]


@pytest.mark.parametrize("body", [{}, {"explain": False}])
def test_reasons_are_given_only_where_asked_for(
    endpoint: SimpleNamespace, body: dict[str, object]
) -> None:
    assert "explanation" not in asked(endpoint, "a b", **body)
    found = asked(endpoint, "a b", explain=True, k=1)["explanation"]
    assert [one["label"] for one in found["labels"]] == ["a"]
    assert found["exemplars"] == [{"similarity": 0.5, "ago": 3, "labels": ["art"]}]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"labels": []}, "labels"),
        ({"labels": ["art", "never seen"]}, "labels.1"),
        ({"labels": ["l"] * 101}, "labels"),
        ({"labels": [""]}, "labels.0"),
        ({"explain": 1}, "explain"),
        ({"k": 0}, "k"),
        ({"k": 1_000_000}, "k"),
    ],
)
def test_what_cannot_be_asked_is_told(
    endpoint: SimpleNamespace, more: dict[str, object], field: str
) -> None:
    answer = endpoint.client.post("/v1/predict", json={"events": [{"text": "a"}], **more})
    fails(answer, 422, "invalid-request", field)


def test_reasons_for_many_events_are_too_much(endpoint: SimpleNamespace) -> None:
    body = {"events": [{"text": "a"}] * 17, "explain": True}
    fails(endpoint.client.post("/v1/predict", json=body), 422, "invalid-request", "explain")


def test_reasons_that_break_fail_their_own_request(endpoint: SimpleNamespace) -> None:
    body = {"events": [{"text": "odd"}], "explain": True}
    fails(endpoint.client.post("/v1/predict", json=body), 500, "internal", None)
    assert tops(asked(endpoint, "odd")) == ["odd"]


def test_the_tree_has_each_node_after_its_parent(endpoint: SimpleNamespace) -> None:
    nodes = Tree.model_validate(endpoint.client.get("/v1/partitions/tree").json()).nodes
    assert [(node.id, node.parent) for node in nodes] == [(9, None), (4, 9), (2, 9)]
    assert len(endpoint.client.get("/v1/partitions/tree?limit=2").json()["nodes"]) == 2
    fails(
        endpoint.client.get("/v1/partitions/tree?limit=0"), 422, "invalid-request", "limit"
    )  # fmt: skip


def test_labels_are_described_and_retired(endpoint: SimpleNamespace) -> None:
    client, told = endpoint.client, endpoint.inlet.told
    told.clear()
    label = "law/eu%20%C3%A4%0A."
    answer = client.put(f"/v1/labels/{label}", json={"description": "Law of the Union"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    assert client.delete("/v1/labels/art").status_code == 202
    (key, value), retired = told
    assert key.decode() == "law/eu ä\n."
    assert orjson.loads(value) == {"label": "law/eu ä\n.", "text": "Law of the Union"}
    assert retired == (b"art", None)


@pytest.mark.parametrize(
    ("body", "status", "slug", "field"),
    [
        ({}, 422, "invalid-request", "description"),
        ({"description": ""}, 422, "invalid-request", "description"),
        ({"description": None}, 422, "invalid-request", "description"),
        ({"description": "x", "more": 1}, 422, "invalid-request", "more"),
        ({"description": "x" * 1_100_000}, 422, "invalid-request", "label"),
    ],
)
def test_a_description_is_checked(
    endpoint: SimpleNamespace, body: dict[str, object], status: int, slug: str, field: str
) -> None:
    fails(endpoint.client.put("/v1/labels/art", json=body), status, slug, field)


def test_a_label_that_is_too_long_is_refused(endpoint: SimpleNamespace) -> None:
    long = "/v1/labels/" + "x" * 1_025
    fails(endpoint.client.delete(long), 422, "invalid-request", "label")
    fails(endpoint.client.put(long, json={"description": "x"}), 422, "invalid-request", "label")


def test_without_a_way_in_labels_are_refused() -> None:
    with serving(load(environ={}), None) as made:
        fails(made.client.delete("/v1/labels/art"), 503, "no-inlet", None)
