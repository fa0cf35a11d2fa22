"""A broker that demands TLS, a password and rights, and what is said where one is missing."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
)
from pydantic import SecretStr

from stream.config import Kafka, Topics
from stream.errors import AccessDenied
from stream.source.base import Outgoing
from stream.source.kafka import KafkaSink, KafkaSource, create_topics, produce
from stream.types import TopicPartition
from tests.certificates import certificate
from tests.source_harness import leased, take

pytestmark = pytest.mark.kafka

PASSWORDS = {"admin": "admins-own-words", "braid": "the-services-words"}
Right = tuple[ResourceType, str, ACLOperation]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Certificate and key of the brokers, and of somebody else."""
    folder = tmp_path_factory.mktemp("certificates")
    return {name: certificate(folder, name) for name in ("brokers", "other")}


@pytest.fixture(scope="module")
def locked(
    launcher: ModuleType, certificates: dict[str, tuple[Path, Path]]
) -> Iterator[tuple[Any, Any]]:
    """A cluster and its lock."""
    made, key = certificates["brokers"]
    lock = launcher.Lock(key, made, PASSWORDS)
    with launcher.Cluster(lock=lock) as cluster:
        yield cluster, lock


def settings(locked: tuple[Any, Any], topics: Topics, user: str = "braid", **own: Any) -> Kafka:
    cluster, lock = locked
    values: dict[str, Any] = {
        "bootstrap_servers": cluster.bootstrap,
        "group": topics.events,
        "session_timeout_ms": 1_000,
        "poll_interval_ms": 6_000,
        "transaction_timeout_ms": 3_000,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_username": user,
        "sasl_password": SecretStr(PASSWORDS[user]),
        "ssl_cafile": lock.certificate,
    }
    return Kafka.model_validate(values | own)


def rights(topics: Topics) -> dict[str, Right]:
    """All that a member needs."""
    topic, read, write = ResourceType.TOPIC, ACLOperation.READ, ACLOperation.WRITE
    return {
        "events": (topic, topics.events, read),
        "labels": (topic, topics.labels, read),
        "predictions": (topic, topics.predictions, write),
        "group": (ResourceType.GROUP, topics.events, read),
        "id": (ResourceType.TRANSACTIONAL_ID, f"{topics.events}-member-0", write),
    }


def grant(locked: tuple[Any, Any], wanted: list[Right]) -> None:
    cluster, lock = locked
    allow = ACLPermissionType.ALLOW
    acls = [
        ACL("User:braid", "*", operation, allow, ResourcePattern(kind, name))
        for kind, name, operation in wanted
    ]
    with KafkaAdminClient(bootstrap_servers=cluster.bootstrap, **lock.login("admin")) as admin:
        assert not admin.create_acls(acls)["failed"]


def used(kafka: Kafka, topics: Topics) -> None:
    """Read an event, publish a prediction, commit."""
    source = KafkaSource(kafka, topics)
    try:
        assert [record.value for record in take(source, 1)] == [b"v"]
        lease = leased(source, 1)
        sink = KafkaSink(kafka)
        try:
            out = [Outgoing(topics.predictions, b"k", b"p")]
            sink.commit(out, {TopicPartition(topics.events, 0): 1}, lease)
        finally:
            sink.close()
    finally:
        source.close()


def prepared(locked: tuple[Any, Any], topics: Topics) -> None:
    chief = settings(locked, topics, "admin")
    create_topics(chief, topics)
    produce(chief, topics.events, [(b"k", b"v")])


def test_with_these_rights_and_no_more_it_works(
    locked: tuple[Any, Any], topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(locked, topics)
    grant(locked, list(rights(topics).values()))
    with caplog.at_level(logging.DEBUG):
        used(settings(locked, topics), topics)
    assert not any(password in caplog.text for password in PASSWORDS.values())


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("events", "Describe on topic {topics.events}"),
        ("labels", "Describe on topic {topics.labels}"),
        ("predictions", "Write on topic {topics.predictions}"),
        ("group", "Read on group {topics.events}"),
        ("id", "Write on transactional id {topics.events}-member-0"),
    ],
)
def test_missing_right_is_named(
    locked: tuple[Any, Any], topics: Topics, missing: str, said: str
) -> None:
    prepared(locked, topics)
    grant(locked, [right for name, right in rights(topics).items() if name != missing])
    with pytest.raises(AccessDenied) as refused:
        used(settings(locked, topics), topics)
    assert said.format(topics=topics) in str(refused.value)
    assert "user braid" in str(refused.value)


@pytest.mark.parametrize(
    ("protocol", "signed_by", "password"),
    [
        ("SASL_SSL", "other", PASSWORDS["braid"]),
        ("SASL_SSL", "brokers", "a-guess-of-mine"),
        ("SASL_PLAINTEXT", "brokers", PASSWORDS["braid"]),
    ],
)
def test_refused_client_is_told_where_to_look(
    locked: tuple[Any, Any], topics: Topics, certificates: dict[str, tuple[Path, Path]],
    protocol: str, signed_by: str, password: str,
) -> None:  # fmt: skip
    """In a process of its own: the client leaves sockets with a failed handshake behind."""
    kafka = settings(locked, topics, ssl_cafile=certificates[signed_by][0])
    given = {f"KAFKA__{name.upper()}": value for name, value in kafka}
    given |= {"KAFKA__SECURITY_PROTOCOL": protocol, "KAFKA__SASL_PASSWORD": password}
    environ = os.environ | {
        f"BRAID_{name}": str(value) for name, value in given.items() if value is not None
    }
    told = subprocess.run(
        [sys.executable, "-c", "from stream.cli import main; main()", "topics", "create"],
        env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert told.returncode != 0
    assert "kafka.ssl_cafile" in told.stderr or "refused the login" in told.stderr, told.stderr
    assert "kafka.sasl_password" in told.stderr, told.stderr
    assert password not in told.stdout + told.stderr
