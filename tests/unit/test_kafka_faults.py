"""What the Kafka client's errors become."""

from __future__ import annotations

import pytest
from kafka import errors as kafka_errors

from stream.config import Kafka
from stream.errors import AccessDenied, RetentionGap, SourceError, Unavailable
from stream.source.kafka.client import common
from stream.source.kafka.faults import translate

SETTINGS = Kafka(
    group="g",
    member="m",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-256",
    sasl_username="alice",
    sasl_password="secret",
    ssl_cafile="ca.pem",
)


@pytest.mark.parametrize(
    ("error", "right", "says"),
    [
        (kafka_errors.TopicAuthorizationFailedError({"b", "a"}), "Read", "Read on topic a, b"),
        (kafka_errors.TopicAuthorizationFailedError("a"), "Write", "Write on topic a"),
        (kafka_errors.GroupAuthorizationFailedError("g"), "Write", "Read on group g"),
        (
            kafka_errors.TransactionalIdAuthorizationFailedError(),
            "Read",
            "Write on transactional id g-m",
        ),
        (kafka_errors.ClusterAuthorizationFailedError(), "Create", "Create on cluster"),
        (kafka_errors.ClusterAuthorizationFailedError(), "Write", "IdempotentWrite on cluster"),
        (kafka_errors.SaslAuthenticationFailedError("no"), "Read", "refused the login of user al"),
    ],
)
def test_missing_right_is_named(error: Exception, right: str, says: str) -> None:
    for wrapped in (error, kafka_errors.KafkaError("cannot go on", error)):
        meant = translate(wrapped, SETTINGS, right)
        assert isinstance(meant, AccessDenied)
        assert says in str(meant)
        assert "user alice" in str(meant)
        assert "secret" not in f"{meant} {meant.remedy}"
        assert meant.remedy


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (kafka_errors.KafkaTimeoutError("slow"), Unavailable),
        (kafka_errors.NodeNotReadyError(), Unavailable),
        (ConnectionRefusedError(), Unavailable),
        (kafka_errors.OffsetOutOfRangeError({("t", 0): 5}), RetentionGap),
        (kafka_errors.UnsupportedCodecError("zstd"), SourceError),
    ],
)
def test_other_errors_keep_their_meaning(error: Exception, kind: type[Exception]) -> None:
    assert type(translate(error, SETTINGS)) is kind


def test_security_settings_reach_the_client() -> None:
    config = common(SETTINGS)
    assert config["security_protocol"] == "SASL_SSL"
    assert config["sasl_mechanism"] == "SCRAM-SHA-256"
    assert config["sasl_plain_username"] == "alice"
    assert config["sasl_plain_password"] == "secret"
    assert config["ssl_cafile"] == "ca.pem"
    assert "ssl_keyfile" not in config
    assert "sasl_mechanism" not in common(Kafka())
