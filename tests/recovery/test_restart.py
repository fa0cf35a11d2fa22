"""Crashes at any point: every event is predicted once and learnt once all the same."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from stream import state
from stream.errors import CommitFailed
from stream.source.base import Lease, Outgoing
from stream.source.memory import MemorySink
from stream.types import TopicPartition
from tests.recovery.world import TOPICS, World

# What a member does before it is killed: t takes a turn, p waits until all is published, s
# writes a snapshot. A script ends where the member is dropped.
SCRIPTS = ["", "t", "tt", "tp", "ttp", "tsp", "tpsp", "tpst", "tpsttp", "ttpsttpst", "tptptp"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_one_crash(script: str, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.produce(90)
    act(world, script)
    world.produce(30)
    last = world.member()
    last.finish()
    world.account()
    assert last.learnt == 120
    last.crash()


@pytest.mark.parametrize("forked", [False, True])
@pytest.mark.parametrize("small_labels", [512, 8])  # with 8 there is an index to come back
def test_many_crashes_at_seeded_points(
    small_labels: int, forked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "FORK_BYTES", 0 if forked else 1 << 62)
    rng = np.random.default_rng(3)
    world = World(tmp_path, learn={"small_labels": small_labels})
    for _ in range(12):
        world.produce(int(rng.integers(40)))
        if rng.random() < 0.3:
            world.broker.fail_commits(int(rng.integers(1, 3)))
        act(world, "".join(rng.choice(list("ttps"), int(rng.integers(6)))))
    last = world.member()
    last.finish()
    world.account()
    assert last.learnt == len(world.ids)
    last.crash()


def test_snapshot_older_than_the_committed_offset(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.produce(60)
    act(world, "tpstptp")  # committed goes on after the snapshot
    again = world.member()
    assert 0 < again.learnt < 60
    before, learnt = len(world.predictions()), again.learnt
    again.runner.turn()
    again.publish()
    told = len(world.predictions()) - before
    assert told < again.learnt - learnt  # the rest was caught up in silence
    again.finish()
    world.account()
    assert not any(one["late"] for one in world.predictions())
    again.crash()


def test_snapshot_newer_than_the_committed_offset(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.produce(60)
    first = world.member("a", NeverSink(world))
    first.turns(2)
    # The runner itself waits for its commits before it writes one; another member's model may
    # well be ahead of what was published.
    first.runner._take_snapshot(wait=True)
    first.crash()
    assert world.predictions() == []
    again = world.member()
    ahead = again.learnt
    assert ahead > 0
    again.finish()
    world.account()
    assert again.learnt == 60
    late = [one for one in world.predictions() if one["late"]]
    assert len(late) == ahead
    assert all(one["position"] >= ahead for one in late)
    again.crash()


def test_no_snapshot_while_a_commit_is_outstanding(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.produce(20)
    sink = GatedSink(world)
    member = world.member("a", sink)
    member.turns(1)
    sink.entered.wait(30)
    taker = threading.Thread(target=member.snapshot)
    taker.start()
    taker.join(0.2)
    assert list(member.store.folder.iterdir()) == []
    sink.gate.set()
    taker.join()
    assert len(list(member.store.folder.iterdir())) == 1
    member.crash()


def test_failed_commits_are_made_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.produce(50)
    world.broker.fail_commits(3)
    member = world.member()
    member.finish()
    world.account()
    assert outcomes(member.metrics)["aborted"] == 3
    member.crash()


def test_commit_that_always_fails_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.produce(50)
    world.broker.fail_commits(1_000)
    member = world.member()
    with pytest.raises(CommitFailed, match="told to fail"):
        member.finish()
    member.crash()
    world.broker.fail_commits(0)
    last = world.member()
    last.finish()
    world.account()
    last.crash()


def test_lease_moves_between_members(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.produce(100)
    one = world.member("a")
    one.turns(2)
    two = world.member("b")  # takes partitions over while commits of the first are outstanding
    for _ in range(3):
        one.runner.turn()
        two.runner.turn()
    world.produce(60)
    two.finish()
    one.finish()
    assert one.learnt == two.learnt == 160  # both learn everything
    sources = {one["source"]["partition"] for one in world.predictions()}
    assert sources == {0, 1, 2}
    world.account()
    two.crash()  # its partitions come back
    world.produce(40)
    one.finish()
    world.account()
    assert one.learnt == 200
    one.crash()


def test_lost_lease_drops_what_was_queued_under_it(tmp_path: Path) -> None:
    """A later job must not pass where an earlier one was refused: its offsets would jump over."""
    world = World(tmp_path, partitions=1)
    world.produce(60)
    sink = GatedSink(world)
    member = world.member("a", sink)
    member.turns(1)
    sink.entered.wait(30)
    member.turns(1)  # queued behind the first
    world.broker.join("a", TOPICS.events)  # the group begins anew
    sink.gate.set()
    member.finish()
    world.account()
    assert outcomes(member.metrics)["lease_lost"] == 1
    assert any(one["late"] for one in world.predictions())
    assert member.learnt == 60
    member.crash()


def test_members_with_snapshots_crash_in_turns(tmp_path: Path) -> None:
    world = World(tmp_path, partitions=4)
    for round_ in range(4):
        world.produce(30)
        one, two = world.member("a"), world.member("b")
        for _ in range(2):
            one.runner.turn()
            two.runner.turn()
        if round_ % 2:
            two.snapshot()
        one.crash()
        two.turns(1)
        two.crash()
    last = world.member("b")
    last.finish()
    world.account()
    assert last.learnt == 120
    last.crash()


def test_new_partitions_are_taken_up(tmp_path: Path) -> None:
    world = World(tmp_path, partitions=1)
    world.produce(20)
    member = world.member()
    member.turns(1)
    world.broker.add_partitions(TOPICS.events, 3)
    world.produce(30)
    member.finish()
    world.account()
    assert member.learnt == 50
    member.crash()


def act(world: World, script: str) -> None:
    member = world.member()
    for what in script:
        {"t": lambda: member.turns(1), "p": member.publish, "s": member.snapshot}[what]()
    member.crash()


def outcomes(metrics: object) -> dict[str, float]:
    found = {}
    for family in metrics.registry.collect():  # type: ignore[attr-defined]
        for sample in family.samples:
            if sample.name == "braid_commits_total":
                found[sample.labels["outcome"]] = sample.value
    return found


class NeverSink:
    """Waits instead of committing, until it is closed."""

    def __init__(self, world: World) -> None:
        self.gate = threading.Event()
        self._closed = threading.Event()

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        """Nothing is ever published."""

    def close(self) -> None:
        """Nothing to release."""


class GatedSink(MemorySink):
    """Commits once the gate is open."""

    def __init__(self, world: World) -> None:
        super().__init__(world.broker, "a")
        self.entered, self.gate = threading.Event(), threading.Event()

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        """Wait, then publish."""
        self.entered.set()
        self.gate.wait(30)
        super().commit(records, positions, lease)
