"""The drifting stream: seeded, and its planted truth holds for every kind of drift."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import orjson
import pytest

from stream.source.synthetic import Drift, Drifting, DriftingStream, Kind, label_name, word

START, WIDTH = 400, 600


def stream(kind: Kind, dimension: int = 0, **changed: Any) -> DriftingStream:
    drift = Drift(kind, START, WIDTH, (2,))
    return DriftingStream(Drifting(groups=5, size=8, dimension=dimension, drift=drift, **changed))


def moved(source: DriftingStream, low: int, high: int, group: int = 2) -> float:
    """Share of the group's labels that are spoken of through another concept."""
    pairs = [
        (label, concept)
        for event in (source.at(n) for n in range(low, high))
        for label, concept in zip(event.labels, event.concepts, strict=True)
        if source.group_of(label) == group
    ]
    assert pairs
    assert all(source.group_of(label) == source.group_of(concept) for label, concept in pairs)
    return float(np.mean([label != concept for label, concept in pairs]))


@pytest.mark.parametrize("dimension", [0, 6])
def test_equal_plans_draw_equal_events_in_any_order(dimension: int) -> None:
    first = list(islice(iter(stream("gradual", dimension)), 50))
    again = stream("gradual", dimension)
    for number in (49, 0, 17):
        event = again.at(number)
        assert (event.labels, event.text) == (first[number].labels, first[number].text)
        assert np.array_equal(event.vector, first[number].vector)
    assert stream("none", dimension, seed=8).draw().text != first[0].text or dimension


def test_drift_moves_no_label_and_no_co_occurrence() -> None:
    plans = [stream(kind) for kind in ("none", "sudden", "gradual", "incremental", "recurring")]
    for number in range(0, 1_200, 40):
        assert len({one.at(number).labels for one in plans}) == 1
        assert len({one.at(number).groups for one in plans}) == 1


@pytest.mark.parametrize("kind", ["none", "sudden", "gradual", "incremental", "recurring"])
def test_nothing_drifts_before_its_time_or_elsewhere(kind: Kind) -> None:
    source = stream(kind)
    assert moved(source, 0, START) == 0
    assert all(moved(source, 0, 1_500, group) == 0 for group in (0, 1, 3, 4))


def test_sudden_changes_every_label_at_once() -> None:
    assert moved(stream("sudden"), START, START + 300) == 1


def test_none_changes_nothing() -> None:
    assert moved(stream("none"), 0, 1_500) == 0


def test_gradual_mixes_events_of_both_concepts_ever_more() -> None:
    source = stream("gradual")
    early, late = moved(source, START, START + 300), moved(source, START + 300, START + WIDTH)
    assert 0.1 < early < 0.45 < late < 0.9
    assert moved(source, START + WIDTH, START + WIDTH + 200) == 1
    for number in range(START, START + WIDTH):
        event = source.at(number)
        own = [a != b for a, b in zip(event.labels, event.concepts, strict=True)
               if source.group_of(a) == 2]  # fmt: skip
        assert all(own) or not any(own), "an event speaks one concept"


def test_incremental_changes_label_after_label_for_good() -> None:
    source = stream("incremental")
    changed: set[int] = set()
    sizes = []
    for number in range(START, START + WIDTH + 100):
        event = source.at(number)
        for label, concept in zip(event.labels, event.concepts, strict=True):
            if label != concept:
                changed.add(label)
            assert label not in changed or label != concept
        sizes.append(len(changed))
    assert 1 <= sizes[WIDTH // 2] <= 5
    assert sizes[-1] >= 7
    assert moved(source, START + WIDTH, START + WIDTH + 200) == 1


def test_recurring_goes_there_and_back() -> None:
    source = stream("recurring")
    shares = [moved(source, START + k * WIDTH, START + (k + 1) * WIDTH) for k in range(4)]
    assert shares == [1, 0, 1, 0]


def test_words_are_those_of_the_concept() -> None:
    source = stream("sudden")
    event = next(e for e in (source.at(n) for n in range(START, 2_000)) if set(e.groups) == {2})
    words = set(event.text.split())
    spoken = {c for c in range(40) if words & {word("label", c, k) for k in range(4)}}
    assert spoken <= set(event.concepts)
    assert set(event.labels) != set(event.concepts)


def test_vectors_lie_near_the_prototypes_of_their_concepts() -> None:
    source = stream("sudden", 64)
    near = []
    for number in range(START, START + 200):
        event = source.at(number)
        assert event.vector is not None
        assert event.vector.dtype == np.float32
        scores = source._prototypes[:40] @ event.vector
        near.append(int(np.argmax(scores)) in event.concepts)
    assert np.mean(near) > 0.9


@pytest.mark.parametrize("dimension", [0, 4])
def test_records_are_events_of_the_contract(dimension: int) -> None:
    event = stream("none", dimension).draw()
    key, value = next(stream("none", dimension).records())
    assert key == b"drifting-0"
    body = orjson.loads(value)
    assert body.pop("labels") == [label_name(label) for label in event.labels]
    assert body.pop("id") == "drifting-0"
    if event.vector is None:
        assert body == {"text": event.text}
    else:
        assert np.float32(body.pop("vector")).tolist() == event.vector.tolist()
        assert body == {}


def test_one_group_alone() -> None:
    source = DriftingStream(Drifting(groups=1, size=4, drift=Drift("sudden", 10)))
    assert {source.at(n).groups for n in range(30)} == {(0,)}
    assert list(source.members(0)) == [0, 1, 2, 3]
