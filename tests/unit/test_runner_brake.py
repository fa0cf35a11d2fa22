"""The brake in the loop: what is held waits, and is not lost."""

from __future__ import annotations

import threading
from pathlib import Path

import orjson

from stream.clock import ManualClock
from stream.metrics import Metrics
from stream.runner import Runner
from stream.sink import NullSink
from stream.source.local import LocalSource
from stream.source.synthetic import Planted, SyntheticStream
from stream.views import Publisher
from tests.recovery.world import TOPICS, World, settings

CAT = {"text": "whiskers purr meow", "labels": ["cat"]}


def test_a_poisoned_partition_is_held_and_the_others_go_on(tmp_path: Path) -> None:
    world = World(tmp_path, partitions=2, dead_letters={"consecutive": 20})
    for _ in range(100):
        world.broker.produce(TOPICS.events, b"{", b"poison", 0)
    for n in range(30):
        event = {"id": f"good-{n}", **CAT}
        world.broker.produce(TOPICS.events, orjson.dumps(event), b"k", 1)
    member = world.member()
    member.turns(20)
    member.publish()
    dead = len(world.broker.read(TOPICS.dead_letters))
    assert 20 <= dead <= 20 + world.settings.run.batch
    assert len(world.broker.read(TOPICS.predictions)) == 30
    (problem,) = member.publisher.status()["problems"]
    assert f"{TOPICS.events}/0 is held at offset {dead}" in problem
    assert member.publisher.status()["ready"]
    member.clock.advance(1.0)
    member.turns(1)
    assert member.metrics.registry.get_sample_value("braid_held_partitions") == 1
    member.snapshot()
    member.crash()
    again = world.member()  # a restart tries again, and nothing was lost
    again.turns(20)
    again.publish()
    offsets = [int(dict(r.headers)["offset"]) for r in world.broker.read(TOPICS.dead_letters)]
    assert offsets == list(range(len(offsets)))
    assert len(offsets) > dead
    assert again.runner._brake.held
    again.crash()


def test_a_poisoned_file_ends_with_what_is_wrong(tmp_path: Path) -> None:
    stream = SyntheticStream(Planted(labels=5, seed=1)).records()
    pairs = [next(stream) for _ in range(10)] + [(b"x", b"{")] * 500
    source = LocalSource(lambda start: iter(pairs[start:]), TOPICS, len(pairs))
    clock, metrics = ManualClock(), Metrics()
    publisher = Publisher(0.25, clock, metrics)
    chosen = settings(dead_letters={"consecutive": 30})
    runner = Runner(chosen, source, NullSink(), None, publisher, metrics, clock)
    runner.run(threading.Event())
    (problem,) = runner.problems()
    assert "dead letters in a row, not_json the latest" in problem
    assert runner.progress.dead < 100


def test_the_brake_counts_what_is_ours_alone(tmp_path: Path) -> None:
    world = World(tmp_path, partitions=2, dead_letters={"consecutive": 20})
    one, two = world.member("a"), world.member("b")
    for member in (one, two):
        member.turns(2)  # each has a partition now
    theirs = next(iter(two.runner._source.lease().published))
    for n in range(100):
        world.broker.produce(TOPICS.labels, b'{"label": "l%d", "text": "t"}' % n, b"l%d" % n)
        world.broker.produce(TOPICS.events, b"{", b"poison", theirs.partition)
    for member in (one, two):
        member.turns(20)
        member.publish()
    assert not one.runner._brake.held
    assert set(two.runner._brake.held) == {theirs}
    one.crash()
    two.crash()
