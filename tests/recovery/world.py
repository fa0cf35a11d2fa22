"""A broker, members on it that may crash, and an accountant who trusts neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from stream.checkpoint import SnapshotStore
from stream.clock import ManualClock
from stream.config import Settings, Topics
from stream.metrics import Metrics
from stream.runner import Runner
from stream.source.base import Sink
from stream.source.memory import MemoryBroker, MemorySink, MemorySource
from stream.source.synthetic import Planted, SyntheticStream
from stream.views import Publisher

TOPICS = Topics()
BAD = (b"{", b'{"id": ""}', b'{"id": "x"}', b'{"id": "x", "text": 1}', None)


def settings(**own: Mapping[str, object]) -> Settings:
    """Small sizes, so that a model takes no time to make; `own` by section."""
    values: dict[str, dict[str, object]] = {
        "learn": {
            "exemplar_bytes": 400_000,
            "hash_bits": 10,
            "linear_bytes": 16_384,
            "small_labels": 512,
        },
        "index": {"dimension": 16},
        "run": {"batch": 16, "linger_ms": 0, "in_flight": 4},
        "checkpoint": {"interval_s": 10.0},
    }
    for section, changes in own.items():
        values.setdefault(section, {}).update(changes)
    return Settings.model_validate(values)


class World:
    """Topics with several partitions, a seeded stream with bad records, and its accounts."""

    def __init__(self, folder: Path, partitions: int = 3, **own: Mapping[str, object]) -> None:
        self.folder = folder
        self.settings = settings(**own)
        self.broker = MemoryBroker()
        for name in (TOPICS.events, TOPICS.predictions, TOPICS.dead_letters):
            self.broker.create(name, partitions)
        for name in (TOPICS.labels, TOPICS.drift):
            self.broker.create(name)
        self.ids: list[str] = []
        self.bad = 0
        self._events = SyntheticStream(Planted(labels=40, seed=5)).records()

    def produce(self, events: int, bad_every: int = 7) -> None:
        """Append events, all labelled, with a bad record now and then."""
        for _ in range(events):
            key, value = next(self._events)
            self.ids.append(key.decode())
            self.broker.produce(TOPICS.events, value, key)
            if len(self.ids) % bad_every == 0:
                self.broker.produce(TOPICS.events, BAD[self.bad % len(BAD)], b"bad-%d" % self.bad)
                self.bad += 1

    def member(self, name: str = "a", sink: Sink | None = None) -> Member:
        """Start a member; it goes on from its newest snapshot."""
        return Member(self, name, sink)

    def predictions(self) -> list[dict[str, Any]]:
        """All that were published, partition by partition."""
        return [orjson.loads(record.value) for record in self.broker.read(TOPICS.predictions)]

    def account(self) -> None:
        """Each event has one prediction, each bad record one dead letter, all in order."""
        read = self.broker.read(TOPICS.events)
        good = {(r.partition, r.offset): r for r in read if not (r.key or b"").startswith(b"bad")}
        made = self.predictions()
        assert Counter(one["id"] for one in made) == Counter(self.ids)
        by_partition: dict[int, list[int]] = {}
        for one in made:
            at = (one["source"]["partition"], one["source"]["offset"])
            assert good[at].key == one["id"].encode()
            by_partition.setdefault(at[0], []).append(at[1])
        assert all(offsets == sorted(offsets) for offsets in by_partition.values())
        dead = self.broker.read(TOPICS.dead_letters)
        assert sorted(r.key or b"" for r in dead) == sorted(b"bad-%d" % n for n in range(self.bad))
        origin = {r.key: r.value for r in read}
        assert all(r.value == origin[r.key] for r in dead)


class Member:
    """A runner whose turns the test takes."""

    def __init__(self, world: World, name: str, sink: Sink | None = None) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.publisher = Publisher(0.25, self.clock, self.metrics)
        self.store = SnapshotStore(world.folder / name)
        self.source = MemorySource(world.broker, (TOPICS.events, TOPICS.labels), name)
        self.runner = Runner(
            world.settings, self.source, sink or MemorySink(world.broker, name), self.store,
            self.publisher, self.metrics, self.clock,
        )  # fmt: skip
        self.runner.restore()

    @property
    def learnt(self) -> int:
        """Labelled events in the model."""
        return self.runner.pipeline.model.position

    def turns(self, n: int) -> None:
        """Take n turns."""
        for _ in range(n):
            self.runner.turn()

    def finish(self) -> None:
        """Take turns until everything is read, predicted and published."""
        self.runner.turn()
        while self.source.lag() or not self.runner._committer.idle():
            self.runner.turn()
        self.runner.turn()
        self.runner._committer.drain()

    def publish(self) -> None:
        """Wait until all that was handed over is published."""
        self.runner._committer.drain()

    def snapshot(self) -> None:
        """Let the time for a snapshot come, and wait until it is written."""
        self.clock.advance(11.0)
        self.runner._maintain()
        assert self.runner._writing is not None
        self.runner._writing.join()

    def crash(self) -> None:
        """Drop everything, as kill -9 does: no stop, no last snapshot, jobs left are lost."""
        committer = self.runner._committer
        with committer._changed:
            committer._jobs.clear()
        committer.close()
        self.source.close()
