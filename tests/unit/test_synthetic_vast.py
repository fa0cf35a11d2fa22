"""The vast synthetic stream: seeded, reached anywhere, true to its plan, in constant memory."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import numpy as np
import orjson
import pytest

from stream.source.synthetic import Vast, VastStream
from stream.source.synthetic.shuffle import shuffled
from stream.source.synthetic.vast import BLOCK, name_of


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1_000])
def test_a_shuffle_is_a_permutation_and_seeds_differ(n: int) -> None:
    places = np.arange(n)
    found = shuffled(places, n, seed=1)
    assert sorted(found.tolist()) == places.tolist()
    assert n < 64 or (found != shuffled(places, n, seed=2)).mean() > 0.9


@pytest.mark.parametrize("labels", [1, 7, 80, 81, 1_000, 4_000])
def test_any_place_is_reached_and_labels_are_in_range(labels: int) -> None:
    stream = VastStream(Vast(labels, remix=500, tour=True))
    drawn = list(islice(stream.events(), BLOCK + 300))
    assert drawn[BLOCK + 100 :] == list(islice(stream.events(BLOCK + 100), 200))
    assert drawn == list(islice(VastStream(stream.vast).events(), BLOCK + 300))
    toured = drawn[: stream.vast.tour_events]
    assert {label for event in toured for label in event.labels} == set(range(labels))
    for event in drawn[stream.vast.tour_events :]:
        assert event.labels
        assert len(set(event.labels)) == len(event.labels)
        assert max(event.labels) < labels
        assert event.text
    other = VastStream(Vast(labels, remix=500, tour=True, seed=8))
    assert drawn[:50] != list(islice(other.events(), 50))


def test_groups_hold_ten_to_thirty_and_half_of_them_are_mixed_anew() -> None:
    stream = VastStream(Vast(8_000, remix=100))
    before, after = stream.group_of(np.arange(8_000)), stream.group_of(np.arange(8_000), 100)
    for where in (before, after):
        sizes = np.bincount(where)
        assert sizes.min() >= 10
        assert sizes.max() <= 30
        assert len(sizes) == 400
    moved = before != after
    assert (before[moved] % 2 == 1).all()
    assert 0.4 < moved.mean() < 0.6


def test_labels_of_a_group_go_together_by_zipfs_law() -> None:
    stream = VastStream(Vast(4_000, noise=0.0))
    events = list(islice(stream.events(), 4_000))
    where = stream.group_of(np.arange(4_000))
    groups = [len(set(where[list(event.labels)].tolist())) for event in events]
    assert set(groups) == {1, 2}
    assert 0.25 < np.mean([n == 2 for n in groups]) < 0.45
    counts = np.sort(np.bincount([x for event in events for x in event.labels]))[::-1]
    assert counts[0] > 20 * counts[1_000]


def test_a_million_labels_take_no_memory() -> None:
    def peak(labels: int) -> int:
        tracemalloc.start()
        for _ in islice(VastStream(Vast(labels, remix=100)).events(), 2 * BLOCK):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(1_000_000) < 1.2 * peak(1_000)


def test_records_are_the_events_and_bad_sizes_are_refused() -> None:
    stream = VastStream(Vast(500))
    for event, (key, value) in zip(islice(stream.events(), 20), stream.records(), strict=False):
        body = orjson.loads(value)
        assert key.decode() == body["id"] == event.id
        assert body["labels"] == [name_of(label) for label in event.labels]
        assert body["text"] == event.text
    with pytest.raises(ValueError, match="at least 1"):
        VastStream(Vast(0))
