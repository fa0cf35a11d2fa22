"""What is to be done with a record, by lease and positions."""

from __future__ import annotations

import pytest

from stream.source.base import Lease
from stream.source.offsets import Duty, Ledger
from stream.types import Record, TopicPartition

A, B = TopicPartition("t", 0), TopicPartition("t", 1)
SILENT, WHOLE = Duty(publish=False, learn=True), Duty(publish=True, learn=True)
LATE, NOTHING = Duty(publish=True, learn=False), Duty(publish=False, learn=False)


def record(at: TopicPartition, offset: int) -> Record:
    return Record(at.topic, at.partition, offset, None, None)


def test_without_a_lease_all_is_learnt_in_silence() -> None:
    ledger = Ledger({})
    assert ledger.duty(record(A, 0)) == SILENT
    assert ledger.done([record(A, 0), record(B, 4)]) == {}
    assert ledger.learnt == {A: 1, B: 5}


@pytest.mark.parametrize(
    ("learnt", "published", "offset", "duty"),
    [
        (0, 0, 0, WHOLE),
        (5, 5, 4, NOTHING),
        (5, 5, 5, WHOLE),
        (5, 9, 5, SILENT),
        (5, 9, 8, SILENT),
        (5, 9, 9, WHOLE),
        (9, 5, 4, NOTHING),
        (9, 5, 5, LATE),
        (9, 5, 8, LATE),
        (9, 5, 9, WHOLE),
    ],
)
def test_duty(learnt: int, published: int, offset: int, duty: Duty) -> None:
    ledger = Ledger({A: learnt})
    back = ledger.take(Lease({A: published}))
    assert back == ({A: published} if published < learnt else {})
    assert ledger.duty(record(A, offset)) == duty


def test_other_partitions_are_not_ours() -> None:
    ledger = Ledger({A: 3, B: 3})
    assert ledger.take(Lease({A: 3})) == {}
    assert ledger.duty(record(B, 2)) == NOTHING
    assert ledger.duty(record(B, 3)) == SILENT


def test_positions_to_commit_are_those_published_over_gaps() -> None:
    ledger = Ledger({})
    ledger.take(Lease({A: 2}))
    assert ledger.done([record(A, 0), record(A, 1)]) == {}
    assert ledger.done([record(A, 5), record(B, 1), record(A, 9)]) == {A: 10}
    assert ledger.duty(record(A, 9)) == NOTHING
    assert ledger.learnt == {A: 10, B: 2}


def test_a_partition_never_read_needs_no_way_back() -> None:
    assert Ledger({}).take(Lease({A: 0})) == {}


def test_dropping_ends_publishing_and_the_next_lease_goes_back() -> None:
    ledger = Ledger({})
    ledger.take(Lease({A: 0}))
    ledger.done([record(A, 0), record(A, 1)])
    ledger.drop()
    assert ledger.duty(record(A, 2)) == SILENT
    assert ledger.done([record(A, 2)]) == {}
    assert ledger.take(Lease({A: 0})) == {A: 0}
    assert [ledger.duty(record(A, n)) for n in range(4)] == [LATE, LATE, LATE, WHOLE]
    assert ledger.done([record(A, n) for n in range(4)]) == {A: 4}


def test_late_records_do_not_take_the_learnt_position_back() -> None:
    ledger = Ledger({A: 9})
    ledger.take(Lease({A: 2}))
    ledger.done([record(A, 2)])
    assert ledger.learnt == {A: 9}
