"""The client against the real endpoint, both ways of asking."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from stream.client import AsyncClient, Client, ClientError, Scored
from stream.config import load
from tests.e2e.words import Kept, serving

TOKEN = "a-token-of-these-tests"
SOON_S = 1.5


class Both:
    """A client, and the asynchronous one asked as if it were not."""

    def __init__(self, kind: type[Client | AsyncClient], address: str, **more: Any) -> None:
        self._kind, self._address, self._more = kind, address, more

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any, **named: Any) -> Any:
            if self._kind is Client:
                with Client(self._address, **self._more) as client:
                    return getattr(client, name)(*args, **named)
            return asyncio.run(self._later(name, *args, **named))

        return ask

    async def _later(self, name: str, *args: Any, **named: Any) -> Any:
        async with AsyncClient(self._address, **self._more) as client:
            return await getattr(client, name)(*args, **named)


@pytest.fixture(params=[Client, AsyncClient])
def kind(request: pytest.FixtureRequest) -> type[Client | AsyncClient]:
    return request.param


@pytest.fixture
def endpoint() -> Iterator[SimpleNamespace]:
    with serving(load(environ={}), Kept()) as made:
        yield made


def test_texts_and_events_are_tagged(kind: type, endpoint: SimpleNamespace) -> None:
    first, second = Both(kind, endpoint.address).predict(
        ["art music law", {"id": "x", "vector": [0.5, 1]}], k=2
    )
    assert (first.id, first.chosen, first.position) == ("0", ("art",), 1)
    assert first.top == (Scored("art", 1.0), Scored("music", 0.5))
    assert (second.id, second.top) == ("x", (Scored("vector", 0.5),))


def test_events_and_labels_are_sent(kind: type, endpoint: SimpleNamespace) -> None:
    client = Both(kind, endpoint.address)
    assert client.send([{"id": "a", "text": "late gothic"}, {"id": "b", "text": "x"}]) == 2
    assert client.teach({"a": ["art"], "b": []}) == 2
    assert [key for key, _ in endpoint.inlet.pairs] == [b"a", b"b", b"a", b"b"]
    assert b'"labels":["art"]' in endpoint.inlet.pairs[2][1]


def test_labels_are_picked_explained_described_and_retired(
    kind: type, endpoint: SimpleNamespace
) -> None:
    client = Both(kind, endpoint.address)
    (found,) = client.predict(["art x music"], labels=["music", "art"], threshold=0.4, explain=True)
    assert [one.label for one in found.top] == ["art"]
    assert [(one.label, one.partition) for one in found.explanation.labels] == [("art", 7)]
    assert found.explanation.exemplars[0].labels == ("art",)
    client.describe("law/eu ä", "Law of the Union")
    client.retire("law/../art")
    assert [key for key, _ in endpoint.inlet.told] == ["law/eu ä".encode(), b"law/../art"]


def test_generations_go_back_and_training_goes_on(kind: type, endpoint: SimpleNamespace) -> None:
    client = Both(kind, endpoint.address)
    assert client.roll_back() == (2, 1)
    client.resume()
    assert endpoint.views.orders == [{"what": "rollback", "from": 2}, {"what": "resume"}]
    endpoint.views.settled = "a snapshot is served here"
    with pytest.raises(ClientError, match="a snapshot is served here") as refused:
        client.roll_back()
    assert (refused.value.status, refused.value.retriable) == (409, False)


def test_it_asks_again_once_the_service_is_ready(kind: type, endpoint: SimpleNamespace) -> None:
    endpoint.views.reason = "no view yet"
    timer = threading.Timer(SOON_S, setattr, (endpoint.views, "reason", ""))
    timer.start()
    begun = time.monotonic()
    assert Both(kind, endpoint.address).predict(["art"])[0].chosen == ("art",)
    assert time.monotonic() - begun > SOON_S
    timer.join()


def test_it_gives_up_in_the_endpoints_words(kind: type, endpoint: SimpleNamespace) -> None:
    endpoint.views.reason = "no view yet"
    with pytest.raises(ClientError, match="no view yet") as refused:
        Both(kind, endpoint.address, retries=0).predict(["art"])
    assert refused.value.status == 503
    assert refused.value.retriable
    assert refused.value.problem["type"] == "/problems/not-ready"
    with pytest.raises(ClientError):  # the pause of a second that is asked for is too long
        Both(kind, endpoint.address, patience_s=0.5).predict(["art"])


def test_what_is_wrong_with_a_request_is_not_asked_again(
    kind: type, endpoint: SimpleNamespace
) -> None:
    with pytest.raises(ClientError) as refused:
        Both(kind, endpoint.address).predict([{"text": "x", "vector": [1]}])
    assert (refused.value.status, refused.value.retriable) == (422, False)
    with pytest.raises(TypeError, match=r"pass a list"):
        Both(kind, endpoint.address).predict("art")


def test_a_token_is_shown(kind: type, tmp_path: Any) -> None:
    (tmp_path / "tokens").write_text(f"app predict {TOKEN}\n")
    settings = load(environ={}, overrides=[f"serve.tokens_file={tmp_path / 'tokens'}"])
    with serving(settings, Kept()) as made:
        assert Both(kind, made.address, token=TOKEN).predict(["art"])[0].chosen == ("art",)
        for token, status in ((None, 401), ("another-token-altogether", 401)):
            with pytest.raises(ClientError) as refused:
                Both(kind, made.address, token=token).predict(["art"])
            assert refused.value.status == status


def test_nobody_there(kind: type, endpoint: SimpleNamespace) -> None:
    with pytest.raises(ClientError, match="cannot be reached") as refused:
        Both(kind, "http://127.0.0.1:9", retries=1).predict(["art"])
    assert (refused.value.status, refused.value.retriable) == (0, True)
