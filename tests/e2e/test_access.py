"""Tokens with scopes, and TLS, on a real server."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from starlette.types import ASGIApp

from stream.clock import ManualClock
from stream.config import load
from stream.errors import SettingError
from stream.metrics import Metrics
from stream.serve.access import Keys, read
from stream.serve.app import create_app
from stream.serve.server import EndpointServer
from stream.types import Example, Prediction
from tests.certificates import certificate
from tests.e2e.words import GENERATIONS

ASKER, TELLER, CHIEF = "asker-secret-0001", "teller-secret-002", "chief-secret-0003"
HASHED = "sha256:" + sha256(CHIEF.encode()).hexdigest()
FILE = f"# who may ask\nasker predict {ASKER}\nteller feedback,predict {TELLER} # both\n"
ONE = {"events": [{"id": "a", "text": "x"}]}
TAUGHT = {"events": [{"id": "a", "text": "x", "labels": ["l"]}]}


class View:
    def predict(
        self, examples: Sequence[Example], k: int, among: Sequence[str] = ()
    ) -> list[Prediction]:
        return [Prediction(one.id, (), (), 0) for one in examples]

    def drift(self) -> list[object]:
        return []

    def partitions(self) -> list[object]:
        return []

    def generations(self) -> dict[str, object]:
        return GENERATIONS


@contextmanager
def serving(app: ASGIApp, **tls: Path) -> Iterator[str]:
    server = EndpointServer(app, "127.0.0.1", 0, **tls)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[SimpleNamespace]:
    file = tmp_path / "tokens"
    file.write_text(f"{FILE}chief admin {HASHED}\n")
    settings = load(environ={}, overrides=[f"serve.tokens_file={file}"])
    clock, metrics = ManualClock(), Metrics()
    views = SimpleNamespace(current=View, status=lambda: {"ready": True}, order=lambda what: None)
    sent: list[tuple[bytes, bytes]] = []
    inlet = SimpleNamespace(send=sent.extend, describe=sent.extend)
    app = create_app(settings, views, inlet, metrics, clock)
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield SimpleNamespace(client=client, file=file, clock=clock, metrics=metrics, sent=sent)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(
    ("secret", "path", "body", "status"),
    [
        (ASKER, "/v1/predict", ONE, 200),
        (TELLER, "/v1/predict", ONE, 200),
        (CHIEF, "/v1/predict", ONE, 200),
        (ASKER, "/v1/events", TAUGHT, 403),
        (ASKER, "/v1/feedback", TAUGHT, 403),
        (TELLER, "/v1/events", TAUGHT, 202),
        (CHIEF, "/v1/events", TAUGHT, 202),
        (ASKER, "/v1/drift", None, 200),
        (HASHED, "/v1/drift", None, 401),  # the digest in the file opens nothing
        (ASKER + "x", "/v1/drift", None, 401),
        ("x", "/v1/partitions", None, 401),
        (ASKER, "/v1/nowhere", None, 404),
    ],
)
def test_each_scope_opens_its_own(
    guarded: SimpleNamespace, secret: str, path: str, body: object, status: int
) -> None:
    method = "GET" if body is None else "POST"
    answer = guarded.client.request(method, path, json=body, headers=bearer(secret))
    assert answer.status_code == status, answer.text
    if status in {401, 403}:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert len(secret) < 2 or secret not in answer.text
    if status == 403:
        assert "lacks the scope feedback" in answer.json()["detail"]


@pytest.mark.parametrize(("secret", "status"), [(ASKER, 403), (TELLER, 403), (CHIEF, 202)])
def test_what_labels_mean_is_said_by_an_admin_alone(
    guarded: SimpleNamespace, secret: str, status: int
) -> None:
    put = guarded.client.put("/v1/labels/a", json={"description": "x"}, headers=bearer(secret))
    delete = guarded.client.delete("/v1/labels/a", headers=bearer(secret))
    assert [put.status_code, delete.status_code] == [status, status]
    if status == 403:
        assert "lacks the scope admin" in put.json()["detail"]
    assert len(guarded.sent) == (2 if status == 202 else 0)


@pytest.mark.parametrize(("secret", "status"), [(ASKER, 403), (TELLER, 403), (CHIEF, 202)])
def test_an_admin_alone_goes_back(
    guarded: SimpleNamespace, secret: str, status: int
) -> None:  # fmt: skip
    for word in ("rollback", "resume"):
        answer = guarded.client.post(f"/v1/generations/{word}", headers=bearer(secret))
        assert answer.status_code == status, answer.text
    assert guarded.client.get("/v1/generations", headers=bearer(secret)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/events", "/v1/feedback"])
def test_what_is_taught_bears_the_name_of_its_token(guarded: SimpleNamespace, path: str) -> None:
    event = {"id": "a", "labels": ["x"], "source": "somebody else"}
    answer = guarded.client.post(path, json={"events": [event]}, headers=bearer(CHIEF))
    assert answer.status_code == 202, answer.text
    ((key, value),) = guarded.sent
    assert key == b"a"
    assert orjson.loads(value) == event | {"source": "chief"}


@pytest.mark.parametrize("headers", [[], [("authorization", f"Basic {ASKER}")]])
def test_without_a_token_probes_alone_are_open(
    guarded: SimpleNamespace, headers: list[tuple[str, str]]
) -> None:
    client = guarded.client
    for path in ("/livez", "/readyz", "/v2/health/ready", "/metrics", "/", "/openapi.json"):
        assert client.get(path, headers=headers).status_code == 200, path
    for path in ("/v1/predict", "/v1/nowhere", "/v2/models"):
        refused = client.post(path, json=ONE, headers=headers)
        assert refused.status_code == 401
        assert "Authorization: Bearer" in refused.json()["detail"]
    assert 'braid_http_refused_total{reason="missing"} 3.0' in client.get("/metrics").text


def test_two_tokens_at_once_are_none(guarded: SimpleNamespace) -> None:
    both = [("authorization", f"Bearer {ASKER}"), ("authorization", f"Bearer {CHIEF}")]
    assert guarded.client.get("/v1/drift", headers=both).status_code == 401


def test_refused_before_the_body_comes(guarded: SimpleNamespace) -> None:
    url = urlsplit(str(guarded.client.base_url))
    assert url.hostname is not None
    with socket.create_connection((url.hostname, url.port), timeout=30) as raw:
        raw.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 5000000\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 401")


def test_changed_file_is_followed_and_a_broken_one_is_not(
    guarded: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    def status(secret: str) -> int:
        guarded.clock.advance(1.1)
        return int(guarded.client.get("/v1/drift", headers=bearer(secret)).status_code)

    new = "another-secret-0004"
    assert (status(ASKER), status(new)) == (200, 401)
    guarded.file.write_text(f"asker predict {new}\n")
    assert (status(ASKER), status(new)) == (401, 200)
    with caplog.at_level(logging.INFO):
        guarded.file.write_text(f"asker predict {new}\nbroken everything my-own-secret-0005\n")
        assert status(new) == 200
        guarded.file.unlink()
        assert status(new) == 200
    assert "line 2" in caplog.text
    assert "secret-000" not in caplog.text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no token"),
        ("# nothing\n\n", "holds no token"),
        ("a predict", "line 1: write NAME"),
        (f"\na predict {ASKER} more", "line 2: write NAME"),
        (f"a predict,write {ASKER}", "line 1: scopes are predict, feedback, admin"),
        ("a predict tooshort", "at least 16 characters"),
        ("a predict sha256:abc", "64 hex digits"),
        (f"a predict {ASKER}\na admin {CHIEF}", "line 2: give each token a name of its own"),
    ],
)
def test_wrong_line_is_named_and_its_secret_is_not(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(SettingError, match=why) as refused:
        read(file)
    assert not any(secret in str(refused.value) for secret in (ASKER, CHIEF, "tooshort"))


def test_comments_end_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("#a predict commented-out-0001\na predict with#in-it-0000002 #the end\n")
    assert Keys(file, ManualClock()).find(b"with#in-it-0000002") is not None
    assert len(read(file)) == 1


def test_file_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"serve\.tokens_file.*readable"):
        Keys(tmp_path / "absent", ManualClock())


@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_open_house_is_warned_of(host: str, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    app_settings = load(environ={}, overrides=[f"serve.host={host}"])
    create_app(app_settings, SimpleNamespace(), None, Metrics())
    assert ("serve.tokens_file" in caplog.text) == warns


def test_openapi_says_where_a_token_is_asked_for(guarded: SimpleNamespace) -> None:
    document = guarded.client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer"}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            asked = path.startswith(("/v1/", "/v2")) and "/health/" not in path
            assert ("security" in operation) == asked
            assert ({"401", "403"} <= operation["responses"].keys()) == asked


def test_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "one")
    app = create_app(load(environ={}), SimpleNamespace(current=View), SimpleNamespace(), Metrics())
    with serving(app, certfile=cert, keyfile=key) as address:
        assert address.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(base_url=address, verify=trusting, timeout=30) as client:
            assert client.post("/v1/predict", json=ONE).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/livez", timeout=30)  # signed by nobody it knows
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http{address.removeprefix('https')}/livez", timeout=30)


def test_wrong_certificates_are_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "one")
    _, other = certificate(tmp_path, "two")
    _, locked = certificate(tmp_path, "locked", "-passout", "pass:word")
    for certfile, keyfile in ((cert, other), (cert, locked), (key, cert), (tmp_path / "no", key)):
        with pytest.raises(SettingError, match=r"serve\.tls_certfile"):
            EndpointServer(lambda: None, "127.0.0.1", 0, certfile, keyfile)  # type: ignore[arg-type, misc]
    with pytest.raises(SettingError, match=r"serve\.tls_keyfile"):
        EndpointServer(lambda: None, "127.0.0.1", 0, None, key)  # type: ignore[arg-type, misc]
