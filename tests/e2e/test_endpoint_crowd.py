"""The endpoint with many clients at once: batches, and refusals when it is full."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import httpx

from stream.config import load
from stream.errors import InvalidRecord
from stream.metrics import Metrics
from stream.serve.answers import Problem
from stream.serve.app import create_app
from stream.serve.server import EndpointServer
from stream.types import Example, Prediction, Scored


class Gate:
    """View and view source in one; while shut, `predict` waits, so that a crowd gathers."""

    position = 5

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.calls: list[list[str | None]] = []

    def current(self) -> Gate:
        return self

    def predict(
        self, examples: Sequence[Example], k: int, among: Sequence[str] = ()
    ) -> list[Prediction]:
        self.entered.set()
        assert self.open.wait(60)
        self.calls.append([one.text for one in examples])
        if any(one.text == "bad" for one in examples):
            raise InvalidRecord("payload_kind", "not in this stream")
        top = [Scored(f"l{n}", 1 / (n + 1)) for n in range(k)]
        return [
            Prediction(one.id, (Scored(one.text or "", 1.0), *top)[:k], (), 5) for one in examples
        ]


@contextmanager
def crowd(*overrides: str) -> Iterator[SimpleNamespace]:
    view, metrics = Gate(), Metrics()
    settings = load(environ={}, overrides=overrides)
    server = EndpointServer(create_app(settings, view, None, metrics), "127.0.0.1", 0)
    address = server.start()
    try:
        with (
            httpx.Client(base_url=address, timeout=60) as client,
            ThreadPoolExecutor(16) as threads,
        ):

            def ask(body: dict[str, object]) -> Future[httpx.Response]:
                return threads.submit(client.post, "/v1/predict", json=body)

            yield SimpleNamespace(view=view, metrics=metrics, client=client, ask=ask, server=server)
            view.open.set()
    finally:
        view.open.set()
        server.stop()


def shut(made: SimpleNamespace) -> Future[httpx.Response]:
    """Shut the gate with one request behind it; return that request."""
    made.view.open.clear()
    made.view.entered.clear()
    held: Future[httpx.Response] = made.ask({"events": [{"id": "held", "text": "held"}]})
    assert made.view.entered.wait(60)
    return held


def until(condition: Callable[[], bool]) -> None:
    while not condition():  # the suite's timeout bounds it
        threading.Event().wait(0.005)


def waiting(made: SimpleNamespace) -> float:
    return made.metrics.registry.get_sample_value("braid_http_queue_events") or 0.0


def overloaded(response: httpx.Response) -> Problem:
    assert response.status_code == 429, response.text
    assert int(response.headers["retry-after"]) >= 1
    problem = Problem.model_validate_json(response.content)
    assert problem.type == "/problems/overloaded"
    return problem


def test_requests_that_meet_are_predicted_together_and_answered_apart() -> None:
    with crowd() as made:
        held = shut(made)
        asked = [
            made.ask({"events": [{"text": f"{n}a"}, {"text": f"{n}b"}], "k": n + 1})
            for n in range(10)
        ]
        until(lambda: waiting(made) == 20)
        made.view.open.set()
        assert held.result().json()["predictions"][0]["id"] == "held"
        for n, answer in enumerate(asked):
            found = answer.result().json()["predictions"]
            assert [one["top"][0]["label"] for one in found] == [f"{n}a", f"{n}b"]
            assert [len(one["top"]) for one in found] == [n + 1, n + 1]
        assert [len(call) for call in made.view.calls] == [1, 20]
        assert waiting(made) == 0


def test_a_bad_event_spoils_only_its_own_request() -> None:
    with crowd() as made:
        held = shut(made)
        good = [made.ask({"events": [{"text": f"t{n}"}]}) for n in range(3)]
        bad = made.ask({"events": [{"text": "x"}, {"text": "y"}, {"text": "bad"}, {"text": "z"}]})
        until(lambda: waiting(made) == 7)
        made.view.open.set()
        assert held.result().is_success
        assert [one.result().json()["predictions"][0]["top"][0]["label"] for one in good] == [
            "t0",
            "t1",
            "t2",
        ]
        assert bad.result().status_code == 422
        problem = Problem.model_validate_json(bad.result().content)
        assert problem.errors[0].field == "events.2"
        assert "payload_kind" in problem.errors[0].message


def test_above_the_queue_requests_are_told_to_come_again() -> None:
    with crowd("serve.queue=3") as made:
        held = shut(made)
        queued = made.ask({"events": [{"text": "a"}, {"text": "b"}]})
        until(lambda: waiting(made) == 2)
        overloaded(made.ask({"events": [{"text": "c"}, {"text": "d"}]}).result())
        last = made.ask({"events": [{"text": "e"}]})
        until(lambda: waiting(made) == 3)
        assert made.client.get("/livez").is_success  # the loop is free while the worker is not
        made.view.open.set()
        assert [one.result().status_code for one in (held, queued, last)] == [200, 200, 200]


def test_above_the_number_under_way_requests_are_not_even_read() -> None:
    with crowd("serve.in_flight=2") as made:
        held = shut(made)
        queued = made.ask({"events": [{"text": "a"}]})
        until(lambda: waiting(made) == 1)
        assert "2 requests" in overloaded(made.ask({"events": "no list"}).result()).detail
        assert made.client.get("/readyz").status_code != 429  # the operator still sees in
        made.view.open.set()
        assert [held.result().status_code, queued.result().status_code] == [200, 200]
        assert made.ask({"events": [{"text": "b"}]}).result().is_success


def test_a_request_larger_than_the_queue_is_wrong_rather_than_early() -> None:
    with crowd("serve.queue=3") as made:
        response = made.ask({"events": [{"text": "x"}] * 4}).result()
        assert response.status_code == 422
        assert response.json()["errors"] == [{"field": "events", "message": "4 events, limit 3"}]


def test_past_the_deadline_requests_are_told_to_come_again() -> None:
    with crowd("serve.deadline_ms=30") as made:
        held = shut(made)
        queued = made.ask({"events": [{"text": "given up"}]})
        assert "30 ms" in overloaded(held.result()).detail
        overloaded(queued.result())
        until(lambda: waiting(made) == 0)
        made.view.open.set()
        until(lambda: made.ask({"events": [{"text": "next"}]}).result().is_success)
        texts = [text for call in made.view.calls for text in call]
        assert texts[0] == "held"
        assert "next" in texts
        assert "given up" not in texts


def test_a_stop_answers_the_requests_under_way() -> None:
    with crowd() as made:
        held = shut(made)
        queued = made.ask({"events": [{"text": "a"}]})
        until(lambda: waiting(made) == 1)
        stopping = threading.Thread(target=made.server.stop)
        stopping.start()
        until(lambda: refuses_connections(str(made.client.base_url)))
        made.view.open.set()
        assert [held.result().status_code, queued.result().status_code] == [200, 200]
        stopping.join()


def refuses_connections(url: str) -> bool:
    try:
        httpx.get(f"{url}/livez")
    except httpx.TransportError:
        return True
    return False
