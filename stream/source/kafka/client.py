"""Makes kafka-python's clients from our settings; the one place that knows their options.

Every timeout is a share of `poll_interval_ms`, so that no call outlives the interval in which
the pipeline must show that it is alive.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from stream.config import Kafka
from stream.source.kafka.faults import transactional_id, translate

# At DEBUG the client logs its configuration and each request as bytes, the password included.
for _name in (
    "kafka.admin.client", "kafka.net.sasl", "kafka.net.connection", "kafka.protocol.parser",
):  # fmt: skip
    logging.getLogger(_name).addFilter(lambda record: record.levelno >= logging.INFO)

MOST_BYTES = 64 * 1024 * 1024  # the topics decide what is too large, not the client
LEAST_S = 0.005


class _Member(KafkaConsumer):  # type: ignore[misc]  # the client is untyped
    """A consumer that mends two faults of the client's membership (seen in 3.0.12).

    It joins anew when the topic's partitions look changed; if they look as before again while
    the join outlasts a poll, it forgets to end the join, and sits in the group without
    partitions or heartbeats for good.

    While a heartbeat is overdue its rounds do not wait at all. They would take a core and a
    half, and tens of thousands of wake-ups a second, from brokers that are slow as it is.
    """

    def _poll_once(self, timer: Any, max_records: int, update_offsets: bool = True) -> Any:
        begun, group = time.monotonic(), self._coordinator
        if group.rejoining and not group.need_rejoin():  # its round timed out
            group.request_rejoin()
        records = super()._poll_once(timer, max_records, update_offsets)
        spent = time.monotonic() - begun
        if not records and not timer.expired and spent < LEAST_S:
            time.sleep(LEAST_S - spent)
        return records


class _Reader(KafkaConsumer):  # type: ignore[misc]
    """A consumer whose partitions may be paused and resumed.

    The client puts aside what it had fetched of a partition when that was paused (kafka-python
    3.0.12), and takes it up again only where no drained batch is left lying in its place. Else
    the partition is neither delivered nor fetched for good.
    """

    def _poll_once(self, timer: Any, max_records: int, update_offsets: bool = True) -> Any:
        if not self._fetcher._next_partition_records:
            self._fetcher._next_partition_records = None
        return super()._poll_once(timer, max_records, update_offsets)


def common(settings: Kafka) -> dict[str, Any]:
    """Options that every client shares."""
    config: dict[str, Any] = {
        "bootstrap_servers": [one.strip() for one in settings.bootstrap_servers.split(",")],
        "client_id": f"{settings.group}-{settings.member}",
        "security_protocol": settings.security_protocol,
        "ssl_check_hostname": settings.ssl_check_hostname,
        "metadata_max_age_ms": settings.metadata_max_age_ms,
        "bootstrap_timeout_ms": settings.poll_interval_ms // 2,
        "request_timeout_ms": settings.poll_interval_ms // 2,
        "reconnect_backoff_max_ms": 1_000,
    }
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        if (file := getattr(settings, name)) is not None:
            config[name] = str(file)
    if settings.security_protocol.startswith("SASL") and settings.sasl_password is not None:
        config["sasl_mechanism"] = settings.sasl_mechanism
        config["sasl_plain_username"] = settings.sasl_username
        config["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return config


def reader(settings: Kafka) -> Any:
    """A consumer without a group, for all partitions."""
    return _open(
        _Reader,
        settings,
        "Read",
        **_consumer(settings),
        auto_offset_reset="none",
        # Other requests wait behind a fetch on the same connection: keep its wait short.
        fetch_max_wait_ms=100,
    )


def member(settings: Kafka) -> Any:
    """A consumer that is a static member of the group, and fetches nothing."""
    return _open(
        _Member,
        settings,
        "Read",
        **_consumer(settings),
        auto_offset_reset="earliest",
        group_id=settings.group,
        group_instance_id=settings.member,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=min(3_000, settings.session_timeout_ms // 3),
        # Half of the budget; the other half is spent before polling stops (see lease.py).
        max_poll_interval_ms=settings.poll_interval_ms // 2,
    )


def asker(settings: Kafka) -> Any:
    """A consumer that asks for the group's offsets and never joins it."""
    return _open(
        KafkaConsumer, settings, "Read", **_consumer(settings), group_id=settings.group
    )  # fmt: skip


def publisher(settings: Kafka) -> Any:
    """A transactional producer."""
    budget = settings.transaction_timeout_ms
    return _open(
        KafkaProducer,
        settings,
        "Write",
        **_producer(settings),
        transactional_id=transactional_id(settings),
        transaction_timeout_ms=budget,
        delivery_timeout_ms=budget * 8 // 10,
        request_timeout_ms=budget * 4 // 10,
        retry_backoff_ms=5,  # slept whenever the transaction before is still being completed
    )


def producer(settings: Kafka, linger_ms: int = 0) -> Any:
    """An idempotent producer outside of transactions."""
    return _open(
        KafkaProducer,
        settings,
        "Write",
        **_producer(settings),
        linger_ms=linger_ms,
        delivery_timeout_ms=settings.poll_interval_ms,
        request_timeout_ms=settings.poll_interval_ms // 3,
    )


def admin(settings: Kafka) -> Any:
    """A client that makes topics."""
    return _open(KafkaAdminClient, settings, "Create")


def close_producer(made: Any, timeout_s: float) -> None:
    """Close a producer in any state; one with undelivered records refuses `close` alone."""
    try:
        made.close(timeout=timeout_s)
    except KafkaError:
        sender = made._sender  # the public close leaves its thread running when its flush fails
        sender.force_close()
        sender.join(timeout_s)


def _consumer(settings: Kafka) -> dict[str, Any]:
    return {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }


def _producer(settings: Kafka) -> dict[str, Any]:
    return {
        "acks": "all",
        "enable_idempotence": True,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
        "batch_size": 128 * 1024,
        "max_request_size": MOST_BYTES,
        "max_block_ms": settings.poll_interval_ms // 2,
    }


def _open(make: Callable[..., Any], settings: Kafka, right: str, **own: Any) -> Any:
    """Construct a client; one that cannot connect leaves no thread or socket behind."""
    nets: list[Any] = []

    def net(**config: Any) -> Any:
        nets.append(KafkaNetClient(**config))
        return nets[-1]

    try:
        return make(kafka_client=net, **{**common(settings), **own})
    except (KafkaError, OSError) as error:
        for one in nets:
            one.close()
        raise translate(error, settings, right) from error
