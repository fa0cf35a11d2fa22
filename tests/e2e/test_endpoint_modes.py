"""The endpoint in a process of its own answers as the one beside the pipeline does."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from stream.clock import SystemClock
from stream.config import Index, Learn, Serve, Settings
from stream.errors import BraidError, Unavailable
from stream.metrics import Metrics
from stream.pipeline import Item, Pipeline
from stream.serve.app import create_app
from stream.serve.server import EndpointServer
from stream.shared.process import EndpointProcess
from stream.shared.publisher import SharedPublisher
from stream.types import Description, DriftEvent, Example
from stream.views import Publisher
from tests.generations_harness import Scripted, promoted

DRIFT = [DriftEvent("split", f"partition/{n}", n, {"into": [n, n + 1]}) for n in range(3)]


def chosen(small_labels: int, port: int = 0) -> Settings:
    learn = Learn(
        small_labels=small_labels, exemplar_bytes=400_000, hash_bits=12, linear_bytes=65_536
    )
    index = Index(dimension=32, worth=0, background=False)
    return Settings(learn=learn, index=index, serve=Serve(port=port))


class Kept:
    """An inlet that keeps what it is sent, or fails when told to."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.failure: Exception | None = None

    def send(self, events: Sequence[tuple[bytes, bytes]]) -> None:
        if self.failure is not None:
            raise self.failure
        self.pairs += events

    def describe(self, labels: Sequence[tuple[bytes, bytes | None]]) -> None:
        self.pairs += labels


class Both:
    """One pipeline, and both endpoints over it."""

    def __init__(self, small_labels: int) -> None:
        settings, clock, metrics = chosen(small_labels), SystemClock(), Metrics()
        self.pipeline, self.inlet = Pipeline(settings), Kept()
        self.plain, self.shared = Publisher(60, clock, metrics), SharedPublisher(60, clock, metrics)
        self.learn(300)
        self.server = EndpointServer(
            create_app(settings, self.plain, self.inlet, metrics), "127.0.0.1", 0
        )
        self.process = EndpointProcess(settings, self.shared, self.inlet, kafka=False)
        self.clients: list[httpx.Client] = []
        for address in (self.server.start(), self.process.start()):
            self.clients.append(httpx.Client(base_url=address, timeout=30))

    def learn(self, events: int) -> None:
        start = self.pipeline.model.position
        for n in range(start, start + events):
            label = f"l{n % 30}"
            text = f"topic{label} word{label} n{n % 3}"
            self.pipeline.step([Item(Example(str(n), text=text, labels=(label, "all/ä")))])
        self.pipeline.step([Item(Description("told", f"words of position {start}"))])
        for publisher in (self.plain, self.shared):
            publisher.note(DRIFT, True)
            publisher.refresh(self.pipeline, 7, force=True)

    def ask(self, method: str, path: str, body: Any = None) -> list[tuple[int, Any]]:
        return [
            (answer.status_code, answer.json())
            for answer in (one.request(method, path, json=body) for one in self.clients)
        ]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.process.stop()
        self.server.stop()
        self.shared.close()


@pytest.fixture(scope="module", params=[512, 8], ids=["small", "extreme"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    made = Both(request.param)
    try:
        yield made
    finally:
        made.close()
    assert not made.shared.folder.exists()


def until(ready: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not ready():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


TEXTS = [{"text": "topicl3 wordl3"}, {"id": "x", "text": "n1 n2"}, {"features": {"n1": 1.5}}]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/labels", 200),
        ("/v1/labels?prefix=l1&limit=3", 200),
        ("/v1/labels?prefix=zz", 200),
        ("/v1/labels/l7", 200),
        ("/v1/labels/all/ä", 200),
        ("/v1/labels/told", 200),
        ("/v1/labels/never", 404),
        ("/v1/partitions", 200),
        ("/v1/partitions/tree", 200),
        ("/v1/drift?limit=2", 200),
        ("/v1/model", 200),
        ("/v1/generations", 200),
        ("/readyz", 200),
        ("/livez", 200),
        ("/", 200),
        ("/nothing", 404),
    ],
)
def test_what_is_read(both: Both, path: str, status: int) -> None:
    one, other = both.ask("GET", path)
    assert one == other
    assert one[0] == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"events": TEXTS}, 200),
        ({"events": TEXTS[:1], "k": 1}, 200),
        ({"events": TEXTS * 40, "k": 100}, 200),
        ({"events": TEXTS, "threshold": 0.05, "labels": ["l3", "l7", "told", "all/ä"]}, 200),
        ({"events": TEXTS, "explain": True}, 200),
        ({"events": TEXTS, "explain": True, "labels": ["l9", "told"]}, 200),
        ({"events": TEXTS, "labels": ["l9", "never"]}, 422),
        ({"events": [*TEXTS, {"vector": [1.0]}]}, 422),
        ({"events": [{"id": "a"}]}, 422),
    ],
)
def test_what_is_predicted(both: Both, body: dict[str, Any], status: int) -> None:
    one, other = both.ask("POST", "/v1/predict", body)
    assert one == other
    assert one[0] == status


def test_both_follow_the_pipeline_and_tell_its_metrics(both: Both) -> None:
    both.learn(40)
    position = both.pipeline.model.position
    until(lambda: [found["position"] for _, found in both.ask("GET", "/readyz")] == [position] * 2)
    one, other = both.ask("POST", "/v1/predict", {"events": TEXTS})
    assert one == other
    assert one[1]["predictions"][0]["position"] == position
    assert both.ask("GET", "/v1/labels/told")[0] == both.ask("GET", "/v1/labels/told")[1]
    names = []
    for client in both.clients:
        lines = client.get("/metrics").text.splitlines()
        names.append({line.split("{")[0].split(" ")[0] for line in lines if line[:1] != "#"})
    assert names[0] == names[1]


def test_every_answer_is_of_one_published_state(both: Both) -> None:
    asked = [Example(str(n), text=f"topicl{n} wordl{n} n1") for n in range(70)]  # two batches
    body = {"events": [{"id": one.id, "text": one.text} for one in asked], "k": 3}
    wanted: dict[int, list[Any]] = {}
    answered: list[Any] = []
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            answered.append(both.clients[1].post("/v1/predict", json=body).json()["predictions"])

    def note() -> None:
        found = both.plain.current().predict(asked, 3)
        wanted[found[0].position] = [
            [(one.label, one.score) for one in prediction.top] for prediction in found
        ]

    note()
    thread = threading.Thread(target=keep_asking)
    thread.start()
    try:
        for _ in range(25):
            both.learn(20)
            note()
    finally:
        done.set()
        thread.join()
    seen = set()
    for predictions in answered:
        position = predictions[0]["position"]
        seen.add(position)
        assert {one["position"] for one in predictions} == {position}
        told = [[(one["label"], one["score"]) for one in each["top"]] for each in predictions]
        assert told == wanted[position]
    assert len(seen) > 2


def test_events_reach_the_inlet_and_its_failures_the_client(both: Both) -> None:
    sent = {"events": [{"id": "ä", "text": "t", "labels": ["l1"]}, {"id": "b", "text": "u"}]}
    for client in both.clients:
        both.inlet.pairs.clear()
        assert client.post("/v1/events", json=sent).status_code == 202
        assert [key.decode() for key, _ in both.inlet.pairs] == ["ä", "b"]
        for failure in (Unavailable("no broker"), RuntimeError("a bug")):
            both.inlet.failure = failure
            assert client.post("/v1/events", json=sent).status_code in {500, 503}
            both.inlet.failure = None
        assert client.post("/v1/events", json=sent).status_code == 202


@pytest.mark.parametrize("by", [0, 1], ids=["beside", "apart"])
def test_generations_come_and_go_back_by_either_endpoint(both: Both, by: int) -> None:
    def states() -> list[list[tuple[int, str]]]:
        answers = both.ask("GET", "/v1/generations")
        return [
            [(one["number"], one["state"]) for one in body["generations"]] for _, body in answers
        ]

    def follow(number: int) -> None:
        """Let the pipeline go on, without events, until a generation is in use in both views."""

        def there() -> bool:
            both.pipeline.step([])
            for publisher in (both.plain, both.shared):
                publisher.note([], True)
                publisher.refresh(both.pipeline, 7, force=True)
            return [each[:1] for each in states()] == [[(number, "in use")]] * 2

        until(there)

    def training() -> list[str]:
        return [body["training"]["state"] for _, body in both.ask("GET", "/v1/generations")]

    def order(what: str) -> tuple[int, Any]:
        return both.ask("POST", f"/v1/generations/{what}")[by]

    generations = both.pipeline.generations
    if generations.current is None:
        for what in ("rollback", "resume"):
            assert order(what)[0] == 409
        return
    school = Scripted()
    generations.training.school = None
    generations.enrol(lambda _: school)
    assert order("resume")[0] == 409
    if generations.before is None:
        status, problem = order("rollback")
        assert status == 409
        assert "no generation before" in problem["detail"]
    school.says.append(promoted(both.pipeline, 30))
    old, number = generations.current.number, generations.newest + 1
    follow(number)
    one, other = both.ask("POST", "/v1/predict", {"events": TEXTS})
    assert one == other
    assert training() == ["on", "on"]
    assert both.clients[by].post("/v1/generations/rollback").json() == {"from": number, "to": old}
    follow(old)
    one, other = both.ask("POST", "/v1/predict", {"events": TEXTS})
    assert one == other
    one, other = both.ask("GET", "/v1/generations")
    assert one == other
    assert one[1]["training"]["state"] == "held"
    assert one[1]["verdicts"][-1]["kind"] == "rollback"
    assert both.clients[by].post("/v1/generations/resume").status_code == 202
    until(lambda: follow(old) is None and training() == ["on", "on"])


def test_signals_of_a_terminal_are_the_services(both: Both) -> None:
    first = both.process.pid
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(first, number)
    assert both.ask("GET", "/livez")[1][0] == 200
    assert both.process.pid == first


def test_one_that_dies_comes_back_at_its_port(both: Both) -> None:
    first = both.process.pid
    os.kill(first, signal.SIGKILL)
    client = both.clients[1]

    def back() -> bool:
        try:
            return client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    until(lambda: both.process.pid != first and back())
    one, other = both.ask("POST", "/v1/predict", {"events": TEXTS})
    assert one == other


@pytest.fixture
def alone() -> Iterator[SimpleNamespace]:
    before = children()  # of other tests
    shared = SharedPublisher(60, SystemClock(), Metrics())
    try:
        shared.refresh(Pipeline(chosen(8)), 0, force=True)
        yield SimpleNamespace(shared=shared, children=lambda: children() - before)
    finally:
        shared.close()


def test_a_stop_during_a_restart_ends_the_new_one_too(alone: SimpleNamespace) -> None:
    process = EndpointProcess(chosen(8), alone.shared, None, kafka=False)
    process.start()
    first = process.pid
    os.kill(first, signal.SIGKILL)

    def starting() -> bool:
        return bool(alone.children() - {first})

    until(starting)
    process.stop()
    assert alone.children() == set()


def test_a_port_in_use_is_told_and_nothing_stays_behind(alone: SimpleNamespace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = EndpointProcess(chosen(8, port), alone.shared, None, kafka=False)
        with pytest.raises(BraidError, match=r"serve\.port"):
            process.start()
        process.stop()
    assert alone.children() == set()


def children() -> set[int]:
    """This process's, those that have ended but for their parent's look left out."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z":
                found.add(int(pid))
    return found
