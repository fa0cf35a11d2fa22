"""What every source and sink keeps to; run on memory and on a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.config import Topics
from stream.errors import CommitFailed, Fenced, LeaseLost, RetentionGap
from stream.source.base import Lease, Outgoing
from stream.types import TopicPartition
from tests.source_harness import (
    SMALL_TOPIC_BYTES,
    Harness,
    KafkaHarness,
    MemoryHarness,
    leased,
    starts,
    take,
    until,
    values,
)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def h(request: pytest.FixtureRequest, topics: Topics) -> Iterator[Harness]:
    harness: Harness
    if request.param == "memory":
        harness = MemoryHarness(topics)
    else:
        harness = KafkaHarness(topics, request.getfixturevalue("member"))
    yield harness
    harness.close()


def test_records_come_whole_once_and_in_order(h: Harness) -> None:
    h.produce(0, *(b"%d" % n for n in range(20)))
    h.produce(1, b"x", None, b"y")
    records = take(h.source(), 23)
    assert values(records) == {
        TopicPartition(h.topics.events, 0): [b"%d" % n for n in range(20)],
        TopicPartition(h.topics.events, 1): [b"x", None, b"y"],
    }
    assert [r.offset for r in records if r.partition == 0] == list(range(20))
    assert {r.key for r in records} == {b"key"}
    assert {r.headers for r in records} == {(("h", b"1"),)}
    assert all(r.timestamp_ms > 0 for r in records)


def test_offsets_may_have_gaps_and_lag_ends_at_zero(h: Harness) -> None:
    h.produce(0, b"before")
    h.gap(0)
    h.produce(0, b"after")
    h.gap(0)
    source = h.source()
    assert source.lag() >= 2
    records = take(source, 2)
    assert [r.value for r in records] == [b"before", b"after"]
    assert records[1].offset > records[0].offset + 1
    until(lambda: not source.poll(10, 0.05) and source.lag() == 0)


def test_seek_goes_back_and_forth(h: Harness) -> None:
    at = TopicPartition(h.topics.events, 0)
    h.produce(0, *(b"%d" % n for n in range(10)))
    source = h.source()
    source.poll(4, 5.0)  # some are delivered, others perhaps buffered
    source.seek({at: 3})
    assert [r.offset for r in take(source, 7)] == list(range(3, 10))
    source.seek({at: 0})
    source.seek({at: 8})
    assert [r.offset for r in take(source, 2)] == [8, 9]
    source.seek({at: 10})
    h.produce(0, b"new")
    assert [r.value for r in take(source, 1)] == [b"new"]


def test_retention_gap_is_refused(h: Harness) -> None:
    at = TopicPartition(h.topics.events, 0)
    h.produce(0, *(b"%d" % n for n in range(5)))
    source = h.source()
    take(source, 5)
    h.trim(0, 3)
    with pytest.raises(RetentionGap, match="starts at offset 3"):
        source.seek({at: 2})
    source.seek({at: 3})
    assert [r.offset for r in take(source, 2)] == [3, 4]


def test_descriptions_are_delivered_but_never_leased(h: Harness) -> None:
    source = h.source()
    h.produce(0, b"a description", topic=h.topics.labels)
    assert take(source, 1)[0].topic == h.topics.labels
    lease = leased(source, 2)
    assert set(lease.published) == {TopicPartition(h.topics.events, at) for at in (0, 1)}


def test_new_partitions_are_read_from_their_start_and_leased(h: Harness) -> None:
    source = h.source()
    first = leased(source, 2)
    h.add_partitions(3)
    new = TopicPartition(h.topics.events, 2)
    until(lambda: new in source.partitions() or bool(source.poll(1, 0.05)))
    h.produce(2, b"early", b"bird")
    assert [r.value for r in take(source, 2)] == [b"early", b"bird"]
    assert leased(source, 3, other_than=first).published[new] == 0


def test_topic_made_anew_has_another_id(h: Harness) -> None:
    source = h.source()
    before = dict(source.topic_ids())
    assert set(before) == {h.topics.events, h.topics.labels}
    source.close()
    h.recreate()
    after = h.source().topic_ids()
    assert after[h.topics.labels] == before[h.topics.labels]
    assert after[h.topics.events] != before[h.topics.events]


def test_lease_is_the_same_object_until_it_changes(h: Harness) -> None:
    one = h.source("a")
    whole = leased(one, 2)
    one.poll(1, 0.1)
    assert one.lease() is whole
    assert whole.published == dict.fromkeys(whole.published, 0)
    other = h.source("b")
    theirs: list[Lease] = []

    def split() -> bool:  # both keep polling: a rebalance waits for its members
        other.poll(1, 0.02)
        one.poll(1, 0.02)
        theirs[:] = [one.lease(), other.lease()]
        return all(len(lease.published) == 1 for lease in theirs)

    until(split)
    assert theirs[0] is not whole
    assert set(theirs[0].published) | set(theirs[1].published) == set(whole.published)
    assert not set(theirs[0].published) & set(theirs[1].published)


def test_commit_publishes_records_and_positions_together(h: Harness) -> None:
    at = TopicPartition(h.topics.events, 0)
    h.produce(0, b"0", b"1", b"2")
    source, sink = h.source(), h.sink()
    take(source, 3)
    out = [
        Outgoing(h.topics.predictions, b"id", b"made", (("why", b"so"),)),
        Outgoing(h.topics.drift, b"scope", None),
    ]
    lease = leased(source, 2)
    sink.commit(out, {at: 2}, lease)
    sink.commit([], {}, lease)
    assert h.read(h.topics.predictions) == out[:1]
    assert h.read(h.topics.drift) == out[1:]
    source.close()
    again = h.source()
    published = leased(again, 2, other_than=lease).published
    assert published == {at: 2, TopicPartition(h.topics.events, 1): 0}
    again.seek({at: published[at]})
    assert [r.value for r in take(again, 1)] == [b"2"]


def test_failed_commit_leaves_nothing_and_can_be_made_again(h: Harness) -> None:
    at = TopicPartition(h.topics.events, 1)
    source, sink = h.source(), h.sink()
    lease = leased(source, 2)
    good = Outgoing(h.topics.predictions, b"id", b"good")
    large = Outgoing(h.topics.drift, b"id", b"x" * (SMALL_TOPIC_BYTES + 1))
    with pytest.raises(CommitFailed, match=h.topics.drift) as failure:
        sink.commit([good, large], {at: 5}, lease)
    assert not failure.value.retriable
    assert h.read(h.topics.predictions) == []
    sink.commit([good], {at: 1}, lease)
    assert h.read(h.topics.predictions) == [good]
    source.close()
    assert leased(h.source(), 2, other_than=lease).published[at] == 1


def test_commit_under_an_old_lease_is_refused(h: Harness) -> None:
    at = TopicPartition(h.topics.events, 0)
    source, sink = h.source(), h.sink()
    old = leased(source, 2)
    source.close()
    again = h.source()
    new = leased(again, 2, other_than=old)
    mine = Outgoing(h.topics.predictions, b"id", b"late")
    with pytest.raises(LeaseLost):
        sink.commit([mine], {at: 9}, old)
    with pytest.raises(LeaseLost):
        sink.commit([mine], {at: 9}, Lease())
    assert h.read(h.topics.predictions) == []
    # The refused positions must not come back with the next commit.
    sink.commit([mine], {TopicPartition(h.topics.events, 1): 1}, new)
    assert h.read(h.topics.predictions) == [mine]
    again.close()
    assert leased(h.source(), 2, other_than=new).published[at] == 0


def test_second_sink_of_a_member_fences_the_first(h: Harness) -> None:
    source, first = h.source(), h.sink()
    lease = leased(source, 2)
    out = [Outgoing(h.topics.predictions, b"id", b"v")]
    second = h.sink()
    with pytest.raises(Fenced):
        first.commit(out, {}, lease)
    assert h.read(h.topics.predictions) == []
    second.commit(out, {}, lease)
    assert h.read(h.topics.predictions) == out


def test_closing_twice_is_harmless(h: Harness) -> None:
    source, sink = h.source(), h.sink()
    assert not source.finished()
    assert set(starts(source)) == set(source.partitions())
    for one in (source, sink, source, sink):
        one.close()


def test_what_is_held_waits_for_a_seek(h: Harness) -> None:
    first, second = (TopicPartition(h.topics.events, at) for at in (0, 1))
    h.produce(0, b"a", b"b")
    h.produce(1, b"x")
    source = h.source()
    take(source, 3)
    source.hold([first])
    h.produce(0, b"c")
    h.produce(1, b"y")
    assert values(take(source, 1)) == {second: [b"y"]}
    source.seek({first: 1})
    assert values(take(source, 2)) == {first: [b"b", b"c"]}


def test_what_was_fetched_before_a_hold_comes_after_the_seek(h: Harness) -> None:
    parts = [TopicPartition(h.topics.events, at) for at in (0, 1)]
    sent = [b"%d" % n for n in range(50)]
    for at in (0, 1):
        h.produce(at, *sent)
    source = h.source()
    until(lambda: bool(source.poll(7, 0.05)))  # more of both than that has been fetched by now
    source.hold(parts)
    source.poll(7, 0.2)
    source.seek(dict.fromkeys(parts, 0))
    assert values(take(source, 100)) == dict.fromkeys(parts, sent)
