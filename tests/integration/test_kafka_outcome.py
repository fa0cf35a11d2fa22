"""A commit whose answer never came: the group's offsets tell whether it went through."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from stream.config import Kafka, Topics
from stream.errors import CommitFailed, Fenced
from stream.source.base import Lease, Outgoing
from stream.source.kafka import KafkaSink, KafkaSource, create_topics
from stream.types import TopicPartition
from tests.integration.running import published

pytestmark = pytest.mark.kafka


def leased(source: KafkaSource) -> Lease:
    end = time.monotonic() + 60
    while not source.lease().published:
        assert time.monotonic() < end
        source.poll(1, 0.1)
    return source.lease()


@pytest.mark.parametrize("went_through", [True, False])
def test_it_is_published_once_whatever_became_of_the_commit(
    member: Callable[..., Kafka],
    topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
    went_through: bool,
) -> None:
    kafka = member()
    create_topics(kafka, topics, partitions=1)
    source, sink = KafkaSource(kafka, topics), KafkaSink(kafka)
    at, commit = TopicPartition(topics.events, 0), KafkaProducer.commit_transaction
    lost = iter([True])

    def silent(producer: KafkaProducer) -> None:
        if not next(lost, False):
            commit(producer)
            return
        if went_through:
            commit(producer)
        raise KafkaError("no answer")

    try:
        lease = leased(source)
        sink.commit([Outgoing(topics.predictions, b"0", b"zero")], {at: 3}, lease)
        monkeypatch.setattr(KafkaProducer, "commit_transaction", silent)
        one = [Outgoing(topics.predictions, b"1", b"one")]
        if went_through:
            sink.commit(one, {at: 5}, lease)
        else:
            with pytest.raises(CommitFailed) as failed:
                sink.commit(one, {at: 5}, lease)
            assert failed.value.retriable
            sink.commit(one, {at: 5}, lease)
        sink.commit([Outgoing(topics.predictions, b"2", b"two")], {at: 6}, lease)
        seen = [record.value for record in published(kafka, topics.predictions, 3)]
        assert seen == [b"zero", b"one", b"two"]
    finally:
        sink.close()
        source.close()


def test_where_somebody_moved_the_offsets_the_process_ends(
    member: Callable[..., Kafka], topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = member()
    create_topics(kafka, topics, partitions=1)
    source, sink = KafkaSource(kafka, topics), KafkaSink(kafka)
    at = TopicPartition(topics.events, 0)

    def silent(producer: KafkaProducer) -> None:
        raise KafkaError("no answer")

    try:
        lease = leased(source)
        other = KafkaSink(member("b"))
        other.commit([], {at: 9}, lease)
        other.close()
        monkeypatch.setattr(KafkaProducer, "commit_transaction", silent)
        with pytest.raises(Fenced, match="not known"):
            sink.commit([Outgoing(topics.predictions, b"1", b"one")], {at: 5}, lease)
    finally:
        sink.close()
        source.close()
