"""Partitions merged by time: one order, whatever comes when."""

from __future__ import annotations

import random

import pytest

from stream.source.kafka.merge import FUTURE_MS, STUCK_S, Merge
from stream.types import Record, TopicPartition

A, B, C = (TopicPartition("events", at) for at in range(3))
LABELS = TopicPartition("labels", 0)
HOLD_S = 0.05


def record(at: TopicPartition, offset: int, time_ms: int) -> Record:
    return Record(at.topic, at.partition, offset, b"k", b"v", time_ms, ())


def put(merge: Merge, at: TopicPartition, *times: int, first: int = 0, now: float = 0.0) -> None:
    merge.put(at, [record(at, first + n, time) for n, time in enumerate(times)], now, 1_000_000)


def take(
    merge: Merge, now: float = 0.0, most: int = 99, fetching: tuple[TopicPartition, ...] = ()
) -> list[tuple[int, int]]:
    taken = merge.take(most, now, {A, B}, lambda at: at not in fetching)
    return [(one.partition, one.timestamp_ms) for one in taken]


def waited(merge: Merge, until: float = HOLD_S, since: float = 0.0) -> list[tuple[int, int]]:
    """What is taken meanwhile, by someone who asks all the time."""
    steps = 10
    times = [since + (until - since) * step / steps for step in range(1, steps + 1)]
    return [one for now in times for one in take(merge, now)]


def test_the_head_with_the_smallest_time_is_next() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10, 40, 20)
    put(merge, B, 5, 30, 50)
    # within a partition the order stays, whatever the times say; after 20 nothing of A is here
    assert take(merge) == [(1, 5), (0, 10), (1, 30), (0, 40), (0, 20)]
    assert waited(merge) == [(1, 50)]


def test_equal_times_go_by_partition() -> None:
    merge = Merge(HOLD_S)
    put(merge, B, 7, 7)
    put(merge, A, 7, 7)
    assert waited(merge) == [(0, 7), (0, 7), (1, 7), (1, 7)]


def test_a_partition_at_its_end_is_waited_for_as_long_as_the_hold() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10, now=1.0)
    assert take(merge, now=1.0) == []
    put(merge, B, 8, now=1.01)
    assert take(merge, now=1.01) == [(1, 8)]
    assert waited(merge, 1.04, since=1.01) == []
    assert waited(merge, 1.001 + HOLD_S, since=1.04) == [(0, 10)]


def test_time_in_which_nobody_asks_is_hardly_a_hold() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10, now=1.0)
    assert take(merge, now=9.0) == []
    assert take(merge, now=9.001 + HOLD_S / 2) == [(0, 10)]


def test_a_partition_that_is_being_fetched_is_waited_for_longer() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10)
    found = [take(merge, now=1 + tenth / 10, fetching=(B,)) for tenth in range(int(STUCK_S * 10))]
    assert not any(found)
    assert take(merge, now=1.1 + STUCK_S, fetching=(B,)) == [(0, 10)]


def test_what_nobody_waits_for_is_merged_too() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10)
    put(merge, B, 12)
    put(merge, LABELS, 11)
    assert waited(merge) == [(0, 10), (0, 11), (1, 12)]


def test_a_time_in_the_future_counts_as_the_one_before() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10, 1_000_001 + FUTURE_MS, 1_000_001 + FUTURE_MS)
    put(merge, B, 5, 9, 20, 30)
    taken = waited(merge)
    assert [partition for partition, _ in taken] == [1, 1, 0, 0, 0, 1, 1]


def test_dropped_partitions_come_anew() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10, 20)
    put(merge, B, 15, 25)
    merge.drop([A])
    assert len(merge) == 2
    assert take(merge, now=0.0) == []
    put(merge, A, 10, 20)
    assert waited(merge) == [(0, 10), (1, 15), (0, 20), (1, 25)]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_does_not_depend_on_how_records_come(seed: int) -> None:
    chosen = random.Random(seed)
    times = {at: sorted(chosen.sample(range(5_000), 200)) for at in (A, B, C)}

    def run(seed: int) -> list[tuple[int, int]]:
        chosen, merge = random.Random(seed), Merge(HOLD_S)
        places, now = dict.fromkeys(times, 0), 0.0
        found: list[tuple[int, int]] = []
        while len(found) < 600:
            at = chosen.choice([A, B, C])
            step = chosen.randint(1, 40)
            start = places[at]
            places[at] = min(200, start + step)
            now += HOLD_S
            put(merge, at, *times[at][start : places[at]], first=start, now=now)
            taken = merge.take(chosen.randint(1, 50), now, set(times), lambda at: places[at] == 200)
            found += [(one.partition, one.offset) for one in taken]
        return found

    assert run(1) == run(2) == run(3)


def test_time_spent_elsewhere_is_no_waiting_and_one_stuck_partition_stops_no_waiting() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10, now=0.0)
    assert take(merge, now=0.0, fetching=(B,)) == []
    assert take(merge, now=60.0, fetching=(B,)) == []  # nobody asked in between
    put(merge, B, 5, now=60.0)
    assert take(merge, now=60.0) == [(1, 5)]
    assert waited(merge, 60.0 + HOLD_S, since=60.0) == [(0, 10)]
    for tenth in range(40):  # C does not come, and is given up
        merge.take(99, 61 + tenth / 10, {A, B, C}, lambda at: at != C)
    put(merge, A, 20, now=66.0)
    taken = merge.take(99, 66.0, {A, B, C}, lambda at: at == A)
    assert taken == []  # B is being fetched: it is waited for


def test_bytes_that_wait_are_counted() -> None:
    merge = Merge(HOLD_S)
    put(merge, A, 10, 20)
    put(merge, B, 15)
    assert (merge.size(A), merge.size(B), merge.size(C)) == (2, 1, 0)
    waited(merge)
    assert (merge.size(A), merge.size(B)) == (0, 0)
