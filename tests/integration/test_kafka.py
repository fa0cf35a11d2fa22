"""What only a real Kafka shows."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.coordinator.base import MemberState

from stream.clock import SystemClock
from stream.commits import Committer, Job
from stream.config import Kafka, Topics
from stream.errors import CommitFailed, Fenced, LeaseLost, SourceError, Unavailable
from stream.metrics import Metrics
from stream.source.base import Outgoing, Unpublishable
from stream.source.kafka import KafkaInlet, KafkaSink, KafkaSource, create_topics, produce
from stream.types import TopicPartition
from tests.source_harness import leased, take, until

pytestmark = pytest.mark.kafka
Member = Callable[..., Kafka]

# Polls like a member until it is killed; tells when it holds a lease.
MEMBER = """
import sys
from stream.clock import SystemClock
from stream.commits import Committer, Job
from stream.config import Kafka, Topics
from stream.source.kafka import KafkaSource
topics = Topics(events=sys.argv[2], labels=sys.argv[3])
source = KafkaSource(Kafka.model_validate_json(sys.argv[1]), topics)
while True:
    source.poll(10, 0.05)
    print(len(source.lease().published), flush=True)
"""


def test_topics_are_made_once_and_as_they_should_be(member: Member, topics: Topics) -> None:
    names = {getattr(topics, field) for field in Topics.model_fields}
    assert create_topics(member(), topics, partitions=3) == dict.fromkeys(names, True)
    assert create_topics(member(), topics, partitions=9) == dict.fromkeys(names, False)
    with KafkaAdminClient(bootstrap_servers=member().bootstrap_servers) as admin:
        found = {one["name"]: len(one["partitions"]) for one in admin.describe_topics(list(names))}
    assert found[topics.events] == found[topics.predictions] == 3
    assert found[topics.labels] == 1


def test_brokers_words_are_passed_on(member: Member, topics: Topics) -> None:
    with pytest.raises(SourceError, match=topics.events):
        create_topics(member(), topics, replication=99)


def test_absent_topic_is_named(member: Member, topics: Topics) -> None:
    with pytest.raises(SourceError, match=topics.events) as failure:
        KafkaSource(member(), topics)
    assert "braid topics create" in failure.value.remedy


def test_brokers_out_of_reach(topics: Topics) -> None:
    nowhere = Kafka(
        bootstrap_servers="127.0.0.1:1",
        poll_interval_ms=3_000,
        session_timeout_ms=1_000,
        transaction_timeout_ms=1_000,
    )
    for make in (
        lambda: KafkaSource(nowhere, topics),
        lambda: KafkaSink(nowhere),
        lambda: KafkaInlet(nowhere, topics),
        lambda: create_topics(nowhere, topics),
    ):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
            make()


def test_inlet_and_replay_deliver_everything(member: Member, topics: Topics) -> None:
    create_topics(member(), topics, partitions=2)
    inlet = KafkaInlet(member("inlet"), topics)
    inlet.send([(b"id-%d" % n, b"posted") for n in range(10)])
    inlet.close()
    told: list[int] = []
    sent = produce(
        member("replay"),
        topics.events,
        ((b"id-%d" % (n % 10), b"replayed") for n in range(1_200)),
        on_sent=told.append,
    )
    assert sent == 1_200 == told[-1]
    assert told == sorted(told)
    assert produce(member("replay"), topics.events, [(b"k", b"v")] * 3, rate=100.0) == 3
    source = KafkaSource(member(), topics)
    places: dict[bytes | None, set[int]] = {}
    for record in take(source, 1_213):
        places.setdefault(record.key, set()).add(record.partition)
    source.close()
    assert all(len(partitions) == 1 for partitions in places.values())
    with pytest.raises(SourceError):
        produce(member("replay"), topics.events, [(b"k", b"x" * 2_000_000)])


def test_gap_is_accepted_where_told_to(
    member: Member, topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    create_topics(member(), topics, partitions=1)
    produce(member(), topics.events, [(b"k", b"%d" % n) for n in range(5)])
    at = TopicPartition(topics.events, 0)
    with KafkaAdminClient(bootstrap_servers=member().bootstrap_servers) as admin:
        admin.delete_records({KafkaPartition(*at): 3})
    source = KafkaSource(member(accept_gap=True), topics)
    source.seek({at: 1})
    assert [record.value for record in take(source, 2)] == [b"3", b"4"]
    assert "offsets 1 to 2 are gone" in caplog.text
    source.seek({at: 4})
    assert [record.value for record in take(source, 1)] == [b"4"]
    source.close()


def test_fenced_sink_stays_fenced(member: Member, topics: Topics) -> None:
    create_topics(member(), topics)
    source, first = KafkaSource(member(), topics), KafkaSink(member())
    lease = leased(source, 1)
    out = [Outgoing(topics.predictions, b"id", b"v")]
    first.commit(out, {TopicPartition(topics.events, 0): 1}, lease)
    second = KafkaSink(member())
    for _ in range(2):  # trying again must not fence the second in its turn
        with pytest.raises(Fenced):
            first.commit(out, {}, lease)
    second.commit(out, {TopicPartition(topics.events, 0): 2}, lease)
    for one in (first, second, source):
        one.close()


def test_killed_member_hands_over(member: Member, topics: Topics) -> None:
    create_topics(member(), topics, partitions=2)
    command = [sys.executable, "-c", MEMBER, member("b").model_dump_json()]
    with subprocess.Popen(
        [*command, topics.events, topics.labels], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        until(lambda: other.stdout is not None and int(other.stdout.readline()) == 2)
        source, sink = KafkaSource(member("a"), topics), KafkaSink(member("a"))
        mine = leased(source, 1)
        at = next(iter(mine.published))
        sink.commit([Outgoing(topics.predictions, b"id", b"v")], {at: 7}, mine)
        other.kill()
        other.communicate()
    whole = leased(source, 2)
    assert whole.published[at] == 7
    with pytest.raises(LeaseLost):
        sink.commit([], {at: 8}, mine)
    sink.commit([], {at: 8}, whole)
    source.close()
    sink.close()


def test_hanging_pipeline_loses_its_lease(member: Member, topics: Topics) -> None:
    create_topics(member(), topics)
    quick = {"poll_interval_ms": 6_000, "transaction_timeout_ms": 3_000}
    hung, sink = KafkaSource(member("hung", **quick), topics), KafkaSink(member("hung", **quick))
    old = leased(hung, 1)
    spare = KafkaSource(member("spare", **quick), topics)

    def settled() -> bool:  # the group prefers the first name; both must poll to agree on it
        hung.poll(1, 0.02)
        spare.poll(1, 0.02)
        return hung.lease() is not old and len(hung.lease().published) == 1

    until(settled)
    held = hung.lease()
    taken = leased(spare, 1)  # only the spare polls from here on
    assert taken.published == {TopicPartition(topics.events, 0): 0}
    with pytest.raises(LeaseLost):
        sink.commit([], {TopicPartition(topics.events, 0): 1}, held)
    for one in (hung, spare, sink):
        one.close()


def test_forgotten_join_is_made_up_for(member: Member, topics: Topics) -> None:
    """The client forgets a join whose reason goes away while it lasts; see `client.member`."""
    create_topics(member(), topics)
    source = KafkaSource(member(), topics)
    old = leased(source, 1)
    group = source._keeper._consumer._coordinator
    group._disable_heartbeat()
    group.state, group.rejoining = MemberState.REBALANCING, True

    def anew() -> bool:
        source.poll(1, 0.02)
        return source.lease() is not old and len(source.lease().published) == 1

    until(anew)
    source.close()


def test_killed_broker_comes_back_with_its_data(launcher: ModuleType, topics: Topics) -> None:
    with launcher.Cluster() as cluster:
        settings = Kafka(
            bootstrap_servers=cluster.bootstrap, group=topics.events, session_timeout_ms=1_000
        )
        create_topics(settings, topics)
        produce(settings, topics.events, [(b"k", b"%d" % n) for n in range(5)])
        source, sink = KafkaSource(settings, topics), KafkaSink(settings)
        take(source, 5)
        at = TopicPartition(topics.events, 0)
        sink.commit([Outgoing(topics.predictions, b"id", b"v")], {at: 5}, leased(source, 1))
        cluster.kill()
        cluster.restart()
        produce(settings, topics.events, [(b"k", b"more")])
        assert [r.value for r in take(source, 1)] == [b"more"]

        def committed() -> bool:  # the session may have ended meanwhile: the lease comes anew
            source.poll(1, 0.05)
            try:
                sink.commit([], {at: 6}, source.lease())
            except CommitFailed:
                return False
            return True

        until(committed)
        source.close()
        sink.close()
        reader = KafkaConsumer(
            topics.predictions,
            bootstrap_servers=cluster.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        assert [r.value for batch in reader.poll(10_000).values() for r in batch] == [b"v"]
        reader.close()


def test_launcher_is_a_program(launcher: ModuleType) -> None:
    assert launcher.__file__ is not None
    with subprocess.Popen(
        [sys.executable, Path(launcher.__file__), "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        lines = iter(program.stdout.readline, "")
        address = next(line for line in lines if line.startswith("BRAID_BOOTSTRAP_SERVERS="))
        assert "127.0.0.1:" in address
        program.send_signal(signal.SIGTERM)
        said, _ = program.communicate()
        assert said.endswith("stopped\n")
        assert program.returncode == 0


def test_record_too_large_is_named_so_that_the_others_can_go(
    member: Member, topics: Topics
) -> None:
    """One over its topic's limit, and one over the client's; what is small stands between."""
    create_topics(member(), topics)
    source, sink = KafkaSource(member(), topics), KafkaSink(member())
    lease = leased(source, 1)
    at = {TopicPartition(topics.events, 0): 3}
    small = Outgoing(topics.predictions, b"id", b"v")
    large = Outgoing(topics.predictions, b"large", b"x" * 1_200_000)
    huge = Outgoing(topics.predictions, b"huge", b"x" * (64 * 1024 * 1024))
    nothing = Outgoing(topics.predictions, None, None)
    for records, place in (([small, large, small], 1), ([small, small, huge], 2)):
        with pytest.raises(Unpublishable) as refused:
            sink.commit(records, at, lease)
        assert refused.value.places == (place,)
        assert topics.predictions in str(refused.value)
    committer = Committer(sink, 4, 60.0, topics.dead_letters, Metrics(), SystemClock())
    committer.submit(Job([small, large, nothing, huge], at, lease))
    committer.drain()
    assert take_values(member(), topics.predictions) == [b"v", b""]
    assert take_values(member(), topics.dead_letters) == [b"x" * 1_000] * 2
    committer.close()
    source.close()


def take_values(settings: Kafka, topic: str) -> list[bytes | None]:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=settings.bootstrap_servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        consumer_timeout_ms=2_000,
    )
    found = [record.value for record in consumer]
    consumer.close()
    return found
