"""The committed OpenAPI file: it is what the service says, its examples run, and each status that
it documents is given, by each route, when there is cause."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from jsonschema import Draft202012Validator

from stream.config import load
from stream.errors import NotReady
from tests.e2e.words import Kept, WordView, serving

FILE = Path(__file__).resolve().parents[2] / "deploy" / "openapi.json"
DOCUMENT: dict[str, Any] = orjson.loads(FILE.read_bytes())
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
CASES = [
    pytest.param(method, path, operation, int(status), id=f"{method} {path} {status}")
    for method, path, operation in OPERATIONS
    for status in operation["responses"]
]
ASKER, TELLER = "asker-secret-0001", "teller-secret-002"


class Worlds:
    """A service for each kind of trouble, started when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._open, self._made, self._folder = ExitStack(), {}, folder
        self.gate, self.entered = Event(), Event()

    def __getitem__(self, kind: str) -> SimpleNamespace:
        if kind not in self._made:
            self._made[kind] = getattr(self, f"_{kind}")()
        return self._made[kind]

    def _start(self, *overrides: str, inlet: Kept | None = None) -> SimpleNamespace:
        chosen = ["serve.body_bytes=20000", *overrides]
        return self._open.enter_context(
            serving(load(environ={}, overrides=chosen), Kept() if inlet is None else inlet)
        )

    def _plain(self) -> SimpleNamespace:
        return self._start()

    def _settled(self) -> SimpleNamespace:
        made = self._start()
        made.views.settled = "no stream here that could obey"
        return made

    def _slow(self) -> SimpleNamespace:
        return self._start("serve.body_s=0.1")

    def _guarded(self) -> SimpleNamespace:
        file = self._folder / "tokens"
        file.write_text(f"asker predict {ASKER}\nteller feedback {TELLER}\n")
        return self._start(f"serve.tokens_file={file}")

    def _broken(self) -> SimpleNamespace:
        def fail(*_: object) -> None:
            raise RuntimeError("a bug")

        inlet = Kept()
        inlet.send = inlet.describe = fail  # type: ignore[method-assign]
        made = self._start(inlet=inlet)
        made.views.current = fail
        return made

    def _unready(self) -> SimpleNamespace:
        def fail(*_: object) -> None:
            raise NotReady("no view yet")

        inlet = Kept()
        inlet.send = inlet.describe = fail  # type: ignore[method-assign]
        made = self._start(inlet=inlet)
        made.views.reason = "no view yet"
        return made

    def _full(self) -> SimpleNamespace:
        """One request may be under way, and one is."""
        made, worlds = self._start("serve.in_flight=1", "serve.deadline_ms=600000"), self

        class Gate(WordView):
            def predict(self, *given: Any) -> Any:
                worlds.entered.set()
                worlds.gate.wait()
                return super().predict(*given)

        made.views.current = lambda: Gate(1)
        body = {"events": [{"text": "held"}]}
        asked = {"json": body, "timeout": None}
        Thread(target=httpx.post, args=(f"{made.address}/v1/predict",), kwargs=asked).start()
        assert self.entered.wait(60)
        return made

    def close(self) -> None:
        self.gate.set()
        self._open.close()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    made = Worlds(tmp_path_factory.mktemp("worlds"))
    try:
        yield made
    finally:
        made.close()


def schema_of(operation: dict[str, Any]) -> dict[str, Any] | None:
    """Of the request's body, None where there is none."""
    body = operation.get("requestBody")
    if body is None:
        return None
    name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return DOCUMENT["components"]["schemas"][name]


def filled(path: str) -> str:
    """A path with parameters that exist."""
    for name, value in (("label", "art"), ("name", "braid"), ("number", "1")):
        path = path.replace(f"{{{name}}}", value)
    return path


def conforms(operation: dict[str, Any], answer: httpx.Response) -> None:
    """Hold an answer to the schema that is documented for its status."""
    content = operation["responses"][str(answer.status_code)].get("content", {})
    media = answer.headers["content-type"].partition(";")[0]
    assert media in content
    if schema := content[media].get("schema"):
        whole = {**schema, "components": DOCUMENT["components"]}
        Draft202012Validator(whole).validate(answer.json())


def test_it_is_what_the_service_says(worlds: Worlds) -> None:
    told = worlds["plain"].client.get("/openapi.json").json()
    assert told == DOCUMENT, "make openapi"


def test_each_example_runs(worlds: Worlds) -> None:
    client, ran = worlds["plain"].client, 0
    for method, path, operation in OPERATIONS:
        schema = schema_of(operation)
        for example in [] if schema is None else schema["examples"]:
            answer = client.request(method, filled(path), json=example)
            assert answer.is_success, answer.text
            conforms(operation, answer)
            ran += 1
    assert ran >= 7


def provoke(
    worlds: Worlds, method: str, path: str, operation: dict[str, Any], status: int
) -> httpx.Response:
    """The answer of a service that has cause for the status."""
    schema, url = schema_of(operation), filled(path)
    body = None if schema is None else orjson.dumps(schema["examples"][0])
    headers = {} if body is None else {"content-type": "application/json"}
    kinds = {401: "guarded", 403: "guarded", 409: "settled", 429: "full", 500: "broken"}
    kinds |= {503: "unready"}
    world = worlds[kinds.get(status, "plain")]
    if status == 400:
        body = b"{"
    elif status == 403:
        wrong = TELLER if "events" not in path and "feedback" not in path else ASKER
        headers["authorization"] = f"Bearer {wrong}"
    elif status == 404:
        url = path.replace("{label}", "nobody").replace("{name}", "other").replace("{number}", "1")
    elif status == 408:
        return dripped(worlds["slow"], method, url)
    elif status == 413:
        body = b" " * 30_000
    elif status == 415:
        headers["content-type"] = "text/plain"
    elif status == 422:
        body, url = unfit(method, url, body)
    return world.client.request(method, url, content=body, headers=headers)


def unfit(method: str, url: str, body: bytes | None) -> tuple[bytes | None, str]:
    """A request that is read and does not fit."""
    if method == "GET":
        return body, f"{url}?limit=0"
    if method == "DELETE":
        return body, url + "x" * 2_000
    return b"[]", url


def dripped(world: SimpleNamespace, method: str, url: str) -> httpx.Response:
    """The answer to a body that never comes whole."""
    where = httpx.URL(world.address)
    head = f"{method} {url} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((where.host, where.port), timeout=60) as raw:
        raw.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        said = b""
        with suppress(ConnectionError):
            while part := raw.recv(4_096):
                said += part
    top, _, content = said.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    return httpx.Response(int(lines[0].split()[1]), headers=fields, content=content)


@pytest.mark.parametrize(("method", "path", "operation", "status"), CASES)
def test_each_documented_status_is_given(
    worlds: Worlds, method: str, path: str, operation: dict[str, Any], status: int
) -> None:
    answer = provoke(worlds, method, path, operation, status)
    assert answer.status_code == status, answer.text
    if path != "/metrics":
        conforms(operation, answer)
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
