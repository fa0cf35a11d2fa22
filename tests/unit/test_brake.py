"""The dead-letter brake: when it holds a partition, and when not."""

from __future__ import annotations

import pytest

from stream.brake import Brake
from stream.config import DeadLetters
from stream.types import DeadLetter, Record, TopicPartition

AT = TopicPartition("events", 0)
OTHER = TopicPartition("events", 1)


def records(first: int, n: int, partition: int = 0) -> list[Record]:
    return [Record("events", partition, first + at, b"k", b"v", 0, ()) for at in range(n)]


def count(brake: Brake, good: int, bad: int, start: int = 0, partition: int = 0) -> bool:
    """One batch, good records first; whether its partition is held now."""
    batch = records(start, good + bad, partition)
    letters = [DeadLetter(record, "no_id", "") for record in batch[good:]]
    return bool(brake.count(batch, letters))


def test_so_many_in_a_row_hold_the_partition_behind_the_batch() -> None:
    brake = Brake(DeadLetters(consecutive=5, share=1.0))
    assert not count(brake, 3, 4)
    assert count(brake, 0, 3, start=7)
    assert brake.held[AT][0] == 10
    (problem,) = brake.problems()
    assert "events/0 is held at offset 10: 5 dead letters in a row, no_id the latest" in problem
    assert brake.release() == {AT: 10}
    assert not brake.held
    assert not count(brake, 0, 4)


def test_a_good_record_ends_the_row() -> None:
    brake = Brake(DeadLetters(consecutive=5, share=1.0))
    for _ in range(10):
        assert not count(brake, 1, 4)
        assert not count(brake, 1, 0)


def test_partitions_count_for_themselves() -> None:
    brake = Brake(DeadLetters(consecutive=5, share=1.0))
    assert not count(brake, 0, 4)
    assert not count(brake, 0, 4, partition=1)
    assert count(brake, 0, 1, start=4, partition=1)
    assert set(brake.held) == {OTHER}


@pytest.mark.parametrize(("bad", "held"), [(4, False), (6, True)])
def test_the_share_of_the_window_holds(bad: int, held: bool) -> None:
    brake = Brake(DeadLetters(consecutive=0, share=0.5, window=100))
    found = [count(brake, 10 - bad, bad) for _ in range(40)]
    assert any(found) == held
    assert not any(found[:4])  # less than half of a window has been seen


def test_what_was_long_ago_is_forgotten() -> None:
    brake = Brake(DeadLetters(consecutive=0, share=0.5, window=100))
    count(brake, 0, 30)
    for _ in range(20):
        count(brake, 10, 0)
    assert not count(brake, 0, 25)


def test_it_can_be_switched_off() -> None:
    brake = Brake(DeadLetters(consecutive=0, share=1.0))
    assert not any(count(brake, 0, 500) for _ in range(20))
