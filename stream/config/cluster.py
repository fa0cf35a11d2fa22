"""The Kafka cluster and its topics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from stream.config.section import Section


class Kafka(Section):
    """The cluster, and this member's place in the group."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """host:port, comma separated."""
    group: str = Field("braid", min_length=1, max_length=200)
    """Consumer group that shares the predicting; also the head of transactional ids."""
    member: str = Field("member-0", min_length=1, max_length=100)
    """This member's stable name; two live members must not share one."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """SASL mechanism; required with a SASL protocol."""
    sasl_username: str | None = None
    """SASL user."""
    sasl_password: SecretStr | None = None
    """SASL password; never printed."""
    ssl_cafile: Path | None = None
    """PEM of the authority that signed the brokers' certificates."""
    ssl_certfile: Path | None = None
    """PEM of this client's certificate."""
    ssl_keyfile: Path | None = None
    """PEM of this client's key."""
    ssl_check_hostname: bool = True
    """Whether the broker's name must fit its certificate."""
    session_timeout_ms: int = Field(10_000, ge=1_000)
    """Milliseconds without a heartbeat until the group gives our partitions away."""
    poll_interval_ms: int = Field(30_000, ge=3_000)
    """Milliseconds in which a micro-batch must be done; the budget of all other timeouts."""
    transaction_timeout_ms: int = Field(10_000, ge=1_000)
    """Milliseconds until the broker aborts a transaction left open."""
    metadata_max_age_ms: int = Field(5_000, ge=100)
    """Milliseconds between looks for new partitions."""
    merge_ms: int = Field(50, ge=0, le=10_000)
    """Milliseconds that a record of one events partition waits for older ones of the others that
    are read to their end, so that all members learn in one order. One that cannot be read, such as
    while a producer's transaction is open on it, is waited for up to 2 seconds. Of no effect on a
    topic with one partition; 0 does not merge."""
    accept_gap: bool = False
    """Whether to go on, with a warning, where retention has removed records that were not read yet;
    off, the start is refused and names them."""

    @model_validator(mode="after")
    def _fits(self) -> Kafka:
        if self.security_protocol.startswith("SASL") and (
            self.sasl_mechanism is None or self.sasl_username is None or self.sasl_password is None
        ):
            raise ValueError(
                "security_protocol with SASL needs sasl_mechanism, sasl_username and sasl_password"
            )
        if self.transaction_timeout_ms > self.poll_interval_ms // 2:
            raise ValueError("transaction_timeout_ms must be at most half of poll_interval_ms")
        if self.session_timeout_ms > self.poll_interval_ms:
            raise ValueError("session_timeout_ms must be at most poll_interval_ms")
        return self


class Topics(Section):
    """Names of the topics."""

    events: str = "braid.events"
    """In: events and feedback, keyed by event id."""
    labels: str = "braid.labels"
    """In, compacted: label descriptions, keyed by label."""
    predictions: str = "braid.predictions"
    """Out: one prediction for each event."""
    drift: str = "braid.drift"
    """Out: alarms, splits, merges, new labels."""
    dead_letters: str = "braid.dead-letters"
    """Out: records that could not be used, byte for byte."""

    @model_validator(mode="after")
    def _differ(self) -> Topics:
        chosen = [getattr(self, name) for name in type(self).model_fields]
        if len(set(chosen)) < len(chosen):
            raise ValueError("give each topic a name of its own, else outputs are read as inputs")
        for name in chosen:
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) or name in {".", ".."}:
                raise ValueError(f"{name!r}: use 1 to 249 letters, digits, dots, '_' or '-'")
        return self
