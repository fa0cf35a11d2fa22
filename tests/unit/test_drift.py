"""Drift: detectors beside river's, when they alarm, for whom, and what an alarm changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from river.drift import ADWIN

from stream.config import Learn
from stream.labels import LabelSpace
from stream.learn import adwin
from stream.learn.arrays import allocate
from stream.learn.drift import COOL_DOWN, EXPLAINED, HOLD, LOOK, RISE, WARM_UP, Alarm, DriftBank
from stream.learn.extreme import forgetting as fading
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.model.core import Model
from stream.learn.partitions.partitioner import Partitioner
from stream.learn.reaction import BOOST, Changes, Parts, react
from stream.learn.small import forgetting
from stream.learn.small.learner import SmallLearner

DELTA = 0.002


def stream_of(shape: str, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    low, high = (rng.random(2_000) < 0.2), (rng.random(2_000) < 0.5)
    if shape == "sudden":
        return np.concatenate([low, high]).astype(float)
    if shape == "falling":
        return np.concatenate([high, low]).astype(float)
    if shape == "slow":
        return (rng.random(6_000) < np.linspace(0.1, 0.6, 6_000)).astype(float)
    if shape == "graded":
        return np.concatenate([rng.normal(0.3, 0.1, 1_000), rng.normal(0.45, 0.1, 1_000)])
    return low.astype(float)


def first_of_river(values: Any) -> int:
    detector = ADWIN(delta=DELTA)
    for at, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            return at
    return -1


def first_of_ours(values: Any) -> int:
    bank = allocate(adwin.Bank, adwin.SPECS, {"detectors": 3})
    means = np.zeros(2)
    for at, value in enumerate(values.tolist()):
        if adwin.update(bank, 1, value, DELTA, means):
            assert bank.width[1] < at + 1
            return at
    assert (bank.width[[0, 2]] == 0).all()
    return -1


@pytest.mark.parametrize("shape", ["sudden", "falling", "slow", "graded", "steady"])
@pytest.mark.parametrize("seed", range(4))
def test_first_detection_is_rivers(shape: str, seed: int) -> None:
    values = stream_of(shape, seed)
    expected = first_of_river(values)
    assert first_of_ours(values) == expected
    assert shape == "steady" or expected > 0


def test_a_window_keeps_its_sums() -> None:
    bank = allocate(adwin.Bank, adwin.SPECS, {"detectors": 1})
    values = np.random.default_rng(0).random(5_000)
    for value in values.tolist():
        adwin.update(bank, 0, value, DELTA, np.zeros(2))
    width = int(bank.width[0])
    window = values[len(values) - width :]
    assert bank.sum[0] == pytest.approx(window.sum())
    assert bank.variance[0] == pytest.approx(((window - window.mean()) ** 2).sum(), rel=1e-6)
    assert (bank.used >= 0).all()
    assert (bank.used <= adwin.BUCKETS).all()
    sizes = 2 ** np.arange(adwin.LEVELS)
    assert (bank.used[0] * sizes).sum() == width


class Feed:
    """Events of one label each, into a bank with one leaf for each label."""

    def __init__(self, leaves: int) -> None:
        self.bank = DriftBank(DELTA)
        self.leaf_of = np.arange(leaves, dtype=np.int32)

    def hits(self, label: int, hit: Any) -> list[Alarm]:
        n = len(hit)
        return self.bank.update(
            np.full(n, label, np.int32),
            np.arange(n + 1, dtype=np.int64),
            np.asarray(hit, np.uint8),
            np.zeros(n, np.float32),
            self.leaf_of,
            len(self.leaf_of),
        )


def rate(n: int, p: float, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random(n) < p


def test_a_rising_loss_alarms_the_right_partition_and_not_the_stream() -> None:
    feed = Feed(6)
    quiet = feed.hits(2, rate(600, 0.9)) + feed.hits(4, rate(600, 0.9, 1))
    assert quiet == []
    alarms = feed.hits(4, rate(400, 0.1, 2))
    assert [alarm.leaf for alarm in alarms] == [4]
    assert alarms[0].before == pytest.approx(0.1, abs=0.05)
    assert alarms[0].after > alarms[0].before + RISE
    assert feed.bank.loss(4) > feed.bank.loss(2)
    assert np.isnan(feed.bank.loss(0))
    assert np.isnan(feed.bank.loss(10_000))


def test_a_falling_loss_never_alarms() -> None:
    feed = Feed(2)
    for step, p in enumerate([0.1, 0.4, 0.7, 0.95]):
        assert feed.hits(0, rate(600, p, step)) == []
    assert feed.bank.loss(0) < 0.3


def test_no_alarm_before_the_warm_up() -> None:
    """The same jump alarms when it comes later."""
    early = Feed(1)
    early.hits(0, np.ones(96))
    assert early.hits(0, np.zeros(WARM_UP - 97)) == []
    late = Feed(1)
    late.hits(0, np.ones(2 * WARM_UP))
    assert len(late.hits(0, np.zeros(WARM_UP))) == 1


def test_an_alarm_knows_how_many_values_came_since_the_change() -> None:
    for seed in range(5):
        feed = Feed(1)
        feed.hits(0, rate(700, 0.9, seed))
        came = 0
        while not (alarms := feed.hits(0, rate(1, 0.1, 1_000 * seed + came))):
            came += 1
        assert abs(alarms[0].values - came) <= 16


def test_a_rise_that_no_partition_explains_alarms_the_stream_after_a_while() -> None:
    bank, none = DriftBank(DELTA), np.zeros(0, np.int32)
    found = []
    for step in range(2_400):
        empty = np.float32([step >= 1_200 or step % 10 == 0])
        alarms = bank.update(none, np.zeros(2, np.int64), none, empty, none, 0)
        found += [(step, alarm.leaf) for alarm in alarms]
    assert [leaf for _, leaf in found] == [-1]
    assert 1_200 + HOLD <= found[0][0] < 1_200 + HOLD + 100


def test_a_held_rise_is_in_the_snapshot() -> None:
    bank, none = DriftBank(DELTA), np.zeros(0, np.int32)
    empty = (np.arange(1_300) >= 1_200).astype(np.float32)
    assert bank.update(none, np.zeros(1_301, np.int64), none, empty, none, 0) == []
    assert 0 < bank.held[0] < HOLD
    again = DriftBank(DELTA)
    again.load({name: np.array(array) for name, array in bank.arrays().items()})
    one = np.ones(HOLD, np.float32)
    bounds = np.zeros(HOLD + 1, np.int64)
    expected = bank.update(none, bounds, none, one, none, 0)
    assert len(expected) == 1
    assert again.update(none, bounds, none, one, none, 0) == expected


def test_many_steady_partitions_stay_quiet() -> None:
    """A hundred detectors share one confidence."""
    feed = Feed(100)
    for label in range(100):
        assert feed.hits(label, rate(1_000, 0.7, label)) == []


def test_a_certain_but_small_rise_is_no_alarm() -> None:
    feed = Feed(1)
    feed.hits(0, rate(20_000, 0.95))
    assert feed.hits(0, rate(6_000, 0.90, 1)) == []
    assert feed.bank.state.width[1] < 20_000, "though the window was cut"


def test_no_second_alarm_during_the_cool_down() -> None:
    feed = Feed(1)
    feed.hits(0, rate(800, 0.95))
    at = []
    for k, p in enumerate([0.7, 0.7, 0.7, 0.7, 0.0, 0.0, 0.0, 0.0]):
        for hit in rate(160, p, k):
            alarms = [alarm for alarm in feed.hits(0, [hit]) if alarm.leaf == 0]
            at += [int(feed.bank.state.ticks[1]) for _ in alarms]
    assert len(at) >= 2
    assert (np.diff(at) >= COOL_DOWN).all()


def test_looks_are_due_for_a_while_after_an_alarm_and_after_an_excuse() -> None:
    feed = Feed(2)
    feed.hits(0, rate(800, 0.95))
    assert feed.bank.due == []
    since, at = -1, []
    for hit in rate(1_200, 0.2, 1):
        alarms = feed.hits(0, [hit])
        since = 0 if alarms else since + (since >= 0)
        assert feed.bank.due in ([], [0])
        at += [since] if feed.bank.due else []
    assert at == list(range(LOOK, EXPLAINED, LOOK))
    feed.bank.excuse(0)
    feed.hits(0, rate(LOOK - 1, 0.2))
    assert feed.bank.due == []
    feed.hits(0, [1])
    assert feed.bank.due == [0]


def test_events_without_labels_count_for_the_stream_alone() -> None:
    bank = DriftBank(DELTA)
    empty = np.array([0, 1, 1, 0], np.float32)
    none = np.zeros(0, np.int32)
    bank.update(none, np.zeros(5, np.int64), none, empty, np.zeros(0, np.int32), 0)
    assert bank.loss(-1) == 0.5
    assert np.isnan(bank.loss(0))


def test_a_partitions_loss_counts_its_own_labels_once_an_event() -> None:
    bank = DriftBank(DELTA)
    leaf_of = np.array([0, 0, 1, -1], np.int32)
    truths, hits = np.array([0, 1, 2, 3], np.int32), np.array([1, 0, 0, 1], np.uint8)
    bank.update(truths, np.array([0, 4]), hits, np.zeros(1, np.float32), leaf_of, 2)
    assert [bank.loss(leaf) for leaf in (-1, 0, 1)] == [0.5, 0.5, 1.0]
    assert bank.state.width[:4].tolist() == [1, 1, 1, 0]


def test_growth_and_snapshot_keep_detectors_and_new_ones_warm_up() -> None:
    feed = Feed(3)
    feed.hits(1, rate(300, 0.9))
    again = DriftBank(DELTA)
    again.load({name: np.array(array) for name, array in feed.bank.arrays().items()})
    before = feed.bank.loss(1)
    feed.bank.restart([500])
    assert feed.bank.loss(1) == before
    assert len(feed.bank.state.width) > 501
    assert (feed.bank.state.quiet[[4, 501, -1]] == WARM_UP).all()
    again.restart([500])
    for name, array in again.arrays().items():
        assert array.tobytes() == feed.bank.arrays()[name].tobytes(), name
    feed.bank.restart([1])
    assert np.isnan(feed.bank.loss(1))


def planted(extreme: bool) -> Parts:
    """Two partitions of two labels each, and a label in none."""
    labels = LabelSpace()
    for name in "abcde":
        labels.add(name)
    partitioner = Partitioner()
    partitioner.add_labels(5)
    pairs = np.array([0, 1, 2, 3] * 40, np.int32)
    partitioner.observe(pairs, np.arange(81, dtype=np.int64) * 2)
    learner: SmallLearner | ExtremeLearner = SmallLearner(False, 7)
    if extreme:
        learner = ExtremeLearner(7, 0, 2_048, 10, 10, 8)
    learner.add_labels(5, partitioner.highest)
    learner.state.sizes[4 if not extreme else 2] = 2_000  # stored
    return Parts(labels, partitioner, DriftBank(DELTA), learner, 64)


@pytest.mark.parametrize("extreme", [False, True])
def test_only_the_alarmed_partitions_labels_react(
    extreme: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = planted(extreme)
    leaf = int(parts.partitioner.leaf_of[2])
    assert sorted(parts.partitioner.members(leaf).tolist()) == [2, 3]
    monkeypatch.setattr(DriftBank, "update", lambda *_: [Alarm(leaf, 0.1, 0.6, 40)])
    events, alarmed = react(parts, Changes())
    assert [sorted(slots.tolist()) for slots in alarmed] == [[2, 3]]
    assert [event.kind for event in events] == ["partition_alarm"]
    assert events[0].scope == f"partition/{leaf}"
    assert sorted(events[0].evidence["labels"]) == ["c", "d"]
    learner = parts.learner
    if isinstance(learner, ExtremeLearner):
        boost, forget = learner.state.labels.boost, learner.state.labels.forget
        raised = fading.BOOST
    else:
        boost, forget = learner.state.mixture.boost, learner.state.memory.forget
        raised = forgetting.BOOST
    assert boost[:6].tolist() == [1, 1, raised, raised, 1, 1]
    assert (forget[[0, 1, 4, 5]] == -1).all()
    assert (forget[[2, 3]] >= 0).all()


def test_no_reaction_where_it_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = planted(extreme=False)
    leaf = int(parts.partitioner.leaf_of[2])
    monkeypatch.setattr(DriftBank, "update", lambda *_: [Alarm(leaf, 0.1, 0.6, 40)])
    events, alarmed = react(parts, Changes(), reacting=False)
    assert [event.kind for event in events] == ["partition_alarm"]
    assert alarmed == []
    assert isinstance(parts.learner, SmallLearner)
    assert (parts.learner.state.mixture.boost == 1).all()
    assert not Model(Learn(without="reaction"), 8).reacting


@pytest.mark.parametrize("extreme", [False, True])
def test_a_global_alarm_boosts_all_and_forgets_nothing(
    extreme: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = planted(extreme)
    monkeypatch.setattr(DriftBank, "update", lambda *_: [Alarm(-1, 0.1, 0.6)])
    events, alarmed = react(parts, Changes())
    assert alarmed == []
    assert [event.scope for event in events] == ["global"]
    learner = parts.learner
    if isinstance(learner, ExtremeLearner):
        boost, forget = learner.state.labels.boost, learner.state.labels.forget
    else:
        boost, forget = learner.state.mixture.boost, learner.state.memory.forget
    assert boost[:6].tolist() == [BOOST] * 5 + [1]
    assert (forget == -1).all()


def test_a_second_change_after_the_cool_down_names_its_partition_again() -> None:
    """What a partition has alarmed for is not heard by the stream's detector meanwhile."""
    feed = Feed(1)
    feed.hits(0, rate(600, 0.9))
    first = feed.hits(0, rate(100, 0.1, 1))
    feed.hits(0, rate(350, 0.9, 2))
    second = feed.hits(0, rate(100, 0.1, 3))
    assert [alarm.leaf for alarm in first + second] == [0, 0]
