"""The commit thread: order, retries, lost leases, refused records, and how it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from stream import commits
from stream.clock import ManualClock
from stream.commits import Committer, Job
from stream.errors import BraidError, CommitFailed, Fenced, LeaseLost, Unavailable
from stream.metrics import Metrics
from stream.source.base import Lease, Outgoing, Unpublishable
from stream.types import TopicPartition

AT = TopicPartition("events", 0)
DEAD = "dead"
LEASE = Lease({AT: 0}, "token")
Fault = Callable[[Sequence[Outgoing]], None]


class Sink:
    """Keeps what is committed; fails as told; waits while the gate is shut."""

    def __init__(self) -> None:
        self.faults: list[BaseException] = []
        self.check: Fault = lambda records: None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.done: list[tuple[list[Outgoing], dict[TopicPartition, int], Lease]] = []
        self.closed = False

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        self.entered.set()
        self.gate.wait(30)
        if self.faults:
            raise self.faults.pop(0)
        self.check(records)
        self.done.append((list(records), dict(positions), lease))

    def close(self) -> None:
        self.closed = True


class Rig:
    """A committer on such a sink."""

    def __init__(self) -> None:
        self.sink, self.clock, self.metrics = Sink(), ManualClock(), Metrics()
        self.waited: list[None] = []
        self.committer = Committer(
            self.sink, 3, 30.0, DEAD, self.metrics, self.clock, lambda: self.waited.append(None)
        )

    def submit(self, n: int, lease: Lease = LEASE) -> None:
        self.committer.submit(Job([out(n)], {AT: n + 1}, lease))

    def shut(self) -> None:
        """The next commit waits for the gate; returns when it does."""
        self.sink.gate.clear()
        self.submit(0)
        assert self.sink.entered.wait(30)

    def value(self, outcome: str) -> float:
        found = self.metrics.registry.get_sample_value("braid_commits_total", {"outcome": outcome})
        return found or 0.0


def out(n: int, topic: str = "predictions") -> Outgoing:
    return Outgoing(topic, b"%d" % n, b"v")


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(commits, "_PAUSE_S", 1e-4)
    made = Rig()
    yield made
    made.sink.gate.set()
    made.committer.close()


def test_waiting_jobs_go_out_together_and_in_order(rig: Rig) -> None:
    rig.shut()
    rig.submit(1)
    rig.submit(2)
    assert not rig.committer.idle()
    rig.sink.gate.set()
    rig.committer.drain()
    assert rig.committer.idle()
    assert rig.sink.done == [
        ([out(0)], {AT: 1}, LEASE),
        ([out(1), out(2)], {AT: 3}, LEASE),
    ]
    assert rig.value("committed") == 2


def test_jobs_of_two_leases_are_never_mixed(rig: Rig) -> None:
    other = Lease({AT: 2}, "another")
    rig.shut()
    rig.submit(1)
    rig.submit(2, other)
    rig.sink.gate.set()
    rig.committer.drain()
    assert [lease for _, _, lease in rig.sink.done] == [LEASE, LEASE, other]


def test_full_room_holds_the_submitter_back_until_there_is_space(rig: Rig) -> None:
    rig.shut()
    rig.submit(1)
    rig.submit(2)
    thread = threading.Thread(target=rig.submit, args=(3,))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    assert rig.waited  # so that the source hears of it
    rig.clock.advance(7.0)
    assert rig.committer.waiting_s == 7.0
    rig.sink.gate.set()
    thread.join()
    rig.committer.drain()
    assert rig.committer.waiting_s == 0
    assert [one.key for records, _, _ in rig.sink.done for one in records] == [
        b"0", b"1", b"2", b"3",
    ]  # fmt: skip


def test_retriable_failures_are_tried_again_with_the_same_records(rig: Rig) -> None:
    rig.sink.faults = [CommitFailed("once"), CommitFailed("twice")]
    rig.submit(0)
    rig.committer.drain()
    assert rig.sink.done == [([out(0)], {AT: 1}, LEASE)]
    assert (rig.value("aborted"), rig.value("committed")) == (2, 1)


@pytest.mark.parametrize(
    "faults",
    [
        [CommitFailed("no")] * 8,
        [Fenced("no", remedy="do")],
        [Unavailable("no")],
        [final := CommitFailed("no")],
    ],
    ids=["too often", "fenced", "other", "final"],
)
def test_what_cannot_be_mended_ends_the_loop(rig: Rig, faults: list[BaseException]) -> None:
    final.retriable = False
    rig.sink.faults = list(faults)
    rig.submit(0)
    with pytest.raises(type(faults[0]), match="no"):
        rig.committer.drain()
    for again in (rig.committer.idle, rig.committer.drain, lambda: rig.submit(1)):
        with pytest.raises(type(faults[0]), match="no"):
            again()
    assert rig.sink.done == []


def test_unforeseen_errors_surface_as_one_line(rig: Rig) -> None:
    rig.sink.faults = [KeyError("surprise")]
    rig.submit(0)
    with pytest.raises(BraidError, match=r"commit thread ended: KeyError\('surprise'\)"):
        rig.committer.drain()


def test_lost_lease_is_told_once_and_its_later_jobs_are_dropped(rig: Rig) -> None:
    rig.shut()
    rig.submit(1)
    rig.sink.faults = [LeaseLost("gone")]
    rig.sink.gate.set()
    rig.committer.drain()
    rig.submit(2)  # the loop may not know yet
    rig.committer.drain()
    assert rig.committer.lost() == [LEASE]
    assert rig.committer.lost() == []
    assert rig.sink.done == []  # else the offsets of the first would be jumped over
    other = Lease({AT: 0}, "another")
    rig.submit(0, other)
    rig.committer.drain()
    assert rig.sink.done == [([out(0)], {AT: 1}, other)]


def test_hanging_commit_is_noticed_wherever_the_loop_waits(rig: Rig) -> None:
    rig.shut()
    rig.committer.idle()
    rig.clock.advance(31.0)
    for wait in (rig.committer.idle, rig.committer.drain, lambda: rig.submit(1)):
        with pytest.raises(Unavailable, match="not finished in 30 s"):
            wait()
    rig.committer.close()
    assert not rig.sink.closed  # its thread is still in it


def test_closing_publishes_what_was_handed_over(rig: Rig) -> None:
    rig.shut()
    rig.submit(1)
    threading.Timer(0.05, rig.sink.gate.set).start()
    rig.committer.close()
    assert len(rig.sink.done) == 2
    assert rig.sink.closed


def refuse(*limits: tuple[str, int]) -> Fault:
    """Topics with a limit to the bytes of key and value."""
    most = dict(limits)

    def check(records: Sequence[Outgoing]) -> None:
        places = [
            place
            for place, one in enumerate(records)
            if len(one.key or b"") + len(one.value or b"") > most.get(one.topic, 10**9)
        ]
        if places:
            raise Unpublishable("too large", places)

    return check


@pytest.mark.parametrize("topic", ["predictions", "drift"])
def test_refused_record_becomes_a_dead_letter(rig: Rig, topic: str) -> None:
    rig.sink.check = refuse((topic, 100))
    large = Outgoing(topic, b"id", b"x" * 5_000)
    rig.committer.submit(Job([out(1), large, out(2)], {AT: 9}, LEASE))
    rig.committer.drain()
    (records, positions, _), = rig.sink.done  # fmt: skip
    assert positions == {AT: 9}
    assert [records[0], records[2]] == [out(1), out(2)]
    dead = records[1]
    assert (dead.topic, dead.key, dead.value) == (DEAD, b"id", b"x" * 1_000)
    assert dict(dead.headers) == {
        "reason": b"pipeline",
        "detail": b"too large",
        "topic": topic.encode(),
    }
    counted = rig.metrics.registry.get_sample_value(
        "braid_dead_letters_total", {"reason": "pipeline"}
    )
    assert counted == 1


@pytest.mark.parametrize(
    ("limit", "key", "left"),
    [
        (50, b"k" * 20, Outgoing(DEAD, b"k" * 20, None, (("reason", b"r"), ("truncated", b"60")))),
        (10, b"k" * 20, Outgoing(DEAD, None, None, (("reason", b"r"), ("truncated", b"60")))),
        (-1, b"k" * 20, None),
        (-1, None, None),
    ],
)
def test_refused_dead_letter_loses_its_value_then_its_key(
    rig: Rig, limit: int, key: bytes | None, left: Outgoing | None
) -> None:
    rig.sink.check = refuse((DEAD, limit))
    letter = Outgoing(DEAD, key, b"x" * 60, (("reason", b"r"),))
    rig.committer.submit(Job([out(1), letter], {AT: 9}, LEASE))
    rig.committer.drain()
    assert rig.sink.done == [([out(1)] + ([left] if left else []), {AT: 9}, LEASE)]


def test_many_refused_records_cost_no_tries(rig: Rig) -> None:
    rig.sink.check = refuse(("predictions", 100), (DEAD, 100))
    large = [Outgoing("predictions", b"%d" % n, b"x" * 5_000) for n in range(30)]
    rig.committer.submit(Job(large, {AT: 30}, LEASE))
    rig.committer.drain()
    (records, _, _), = rig.sink.done  # fmt: skip
    assert [one.key for one in records] == [one.key for one in large]
    assert {one.topic for one in records} == {DEAD}
