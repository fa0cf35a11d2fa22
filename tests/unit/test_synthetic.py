"""The synthetic stream: seeded, and true to what it says it plants."""

from __future__ import annotations

from itertools import combinations, islice

import numpy as np
import orjson
import pytest

from stream.source.synthetic import Planted, SyntheticStream, label_name, word


def test_equal_plans_draw_equal_events_and_seeds_differ() -> None:
    def events(seed: int) -> list[object]:
        plan = Planted(labels=200, remix=50, seed=seed)
        return list(islice(iter(SyntheticStream(plan)), 120))

    assert events(3) == events(3)
    assert events(3) != events(4)


def test_words_are_what_they_always_were() -> None:
    assert word("label", 3, 1) == "jasteatea"
    assert label_name(5) == "prebaidri-5"
    assert SyntheticStream(Planted(labels=100, seed=1)).draw().labels == (16, 34)


def test_groups_hold_every_label_once_in_sizes_of_ten_to_thirty() -> None:
    stream = SyntheticStream(Planted(labels=500, remix=100))
    for _ in range(250):
        stream.draw()
    together = np.concatenate(stream.groups)
    assert sorted(together.tolist()) == list(range(500))
    assert all(10 <= len(group) <= 30 for group in stream.groups[:-1])
    assert len(stream.groups[-1]) <= 30
    where = stream.group_of()
    assert all((where[group] == number).all() for number, group in enumerate(stream.groups))


def test_half_of_the_groups_remix_at_the_known_moments() -> None:
    stream = SyntheticStream(Planted(labels=500, remix=100))
    before = stream.group_of()
    moments = []
    for at in range(301):
        stream.draw()
        after = stream.group_of()
        if (after != before).any():
            moments.append(at)
            touched = set(before[after != before].tolist()) | set(after[after != before].tolist())
            assert len(touched) == len(stream.groups) // 2
            before = after
    assert moments == [100, 200, 300]


def test_no_remix_where_none_is_planted() -> None:
    stream = SyntheticStream(Planted(labels=100, remix=0))
    before = stream.group_of()
    for _ in range(300):
        stream.draw()
    assert (stream.group_of() == before).all()


def test_only_labels_alive_occur_and_more_come_alive() -> None:
    stream = SyntheticStream(Planted(labels=120, first=0.5, appear=4))
    assert stream.alive == 60
    seen = set()
    for at in range(400):
        labels = stream.draw().labels
        assert stream.alive == min(120, 61 + at // 4)
        assert labels
        assert len(set(labels)) == len(labels)
        assert max(labels) < stream.alive
        seen |= set(labels)
    assert stream.alive == 120
    assert max(seen) > 60


@pytest.mark.parametrize("labels", [1, 2, 12])
def test_few_labels(labels: int) -> None:
    stream = SyntheticStream(Planted(labels=labels, remix=10))
    for _ in range(50):
        event = stream.draw()
        assert set(event.labels) <= set(range(labels))
        assert event.text


def test_labels_of_a_group_go_together_and_four_in_ten_events_mix_two() -> None:
    stream = SyntheticStream(Planted(labels=400, first=1.0, appear=0, remix=0, noise=0.0))
    where = stream.group_of()
    events = [stream.draw() for _ in range(2_000)]
    groups = [{int(where[label]) for label in event.labels} for event in events]
    assert {len(group) for group in groups} == {1, 2}
    mixed = np.mean([len(group) == 2 for group in groups])
    assert 0.25 < mixed < 0.4  # both draws may fall on one group
    pairs = [(a, b) for event in events for a, b in combinations(event.labels, 2)]
    assert np.mean([where[a] == where[b] for a, b in pairs]) > 0.4
    counts = np.sort(np.bincount([label for event in events for label in event.labels]))[::-1]
    assert counts[0] > 20 * np.median(counts)  # Zipf


def test_noise_adds_labels_of_other_groups() -> None:
    stream = SyntheticStream(Planted(labels=400, first=1.0, appear=0, remix=0, noise=1.0))
    where = stream.group_of()
    groups = [len({int(where[label]) for label in stream.draw().labels}) for _ in range(300)]
    assert max(groups) == 3


def test_texts_hold_words_of_labels_and_groups() -> None:
    stream = SyntheticStream(Planted(labels=100, remix=0))
    where = stream.group_of()
    named = total = 0
    for _ in range(200):
        event = stream.draw()
        words = set(event.text.split())
        total += len(event.labels)
        named += sum(
            bool(words & {word("label", label, k) for k in range(4)}) for label in event.labels
        )
        groups = {int(where[label]) for label in event.labels}
        own = {word("group", group, k) for group in groups for k in range(8)}
        assert words & own
    assert 0.4 < named / total < 0.6, "about half of the labels say a word of their own"


def test_records_are_events_of_the_contract() -> None:
    plan = Planted(labels=100)
    event = SyntheticStream(plan).draw()
    key, value = next(SyntheticStream(plan).records())
    assert key == b"synthetic-0"
    assert orjson.loads(value) == {
        "id": "synthetic-0",
        "text": event.text,
        "labels": [label_name(label) for label in event.labels],
    }
