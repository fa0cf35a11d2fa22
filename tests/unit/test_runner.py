"""The loop: bad records, labels, feedback, drift, back-pressure, stopping, and what may fail."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from stream.errors import SettingError, SnapshotError, SourceError, Unavailable
from stream.features import Rows
from stream.sink import FileSink
from stream.source.base import Lease, Outgoing
from stream.source.memory import MemorySink
from stream.types import Example, Record, TopicPartition
from tests.recovery.world import BAD, TOPICS, World

CAT = {"text": "whiskers purr meow", "labels": ["cat"]}
DOG = {"text": "bark fetch tail", "labels": ["dog"]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, partitions=1)


def put(world: World, *events: Mapping[str, Any]) -> None:
    for event in events:
        world.broker.produce(TOPICS.events, orjson.dumps(event), str(event["id"]).encode())


def say(world: World, *values: tuple[bytes | None, bytes | None]) -> None:
    for key, value in values:
        world.broker.produce(TOPICS.labels, value, key)


def published(world: World, topic: str = TOPICS.predictions) -> list[Record]:
    return world.broker.read(topic)


def test_bad_records_are_dead_lettered_with_bytes_and_origin(world: World) -> None:
    for n, value in enumerate(BAD):
        world.broker.produce(TOPICS.events, value, b"key-%d" % n)
    put(world, {"id": "good", **CAT})
    member = world.member()
    member.finish()
    dead = published(world, TOPICS.dead_letters)
    assert [(one.key, one.value) for one in dead] == [
        (b"key-%d" % n, value) for n, value in enumerate(BAD)
    ]
    reasons = [dict(one.headers)["reason"] for one in dead]
    assert reasons == [b"not_json", b"no_id", b"no_payload", b"bad_text", b"tombstone"]
    first = dict(dead[0].headers)
    assert (first["topic"], first["partition"]) == (TOPICS.events.encode(), b"0")
    assert [dict(one.headers)["offset"] for one in dead] == [b"%d" % n for n in range(len(BAD))]
    assert first["detail"]
    assert len(published(world)) == 1
    count = member.metrics.registry.get_sample_value
    assert count("braid_dead_letters_total", {"reason": "no_id"}) == 1
    member.crash()


def test_payload_that_the_stream_does_not_have_is_dead_lettered(world: World) -> None:
    put(world, {"id": "a", **CAT}, {"id": "b", "vector": [1, 2]}, {"id": "c", **DOG})
    member = world.member()
    member.finish()
    dead = published(world, TOPICS.dead_letters)
    assert [dict(one.headers)["reason"] for one in dead] == [b"payload_kind"]
    assert [one.key for one in published(world)] == [b"a", b"c"]
    member.crash()


def test_labels_topic_teaches_and_retires(world: World) -> None:
    say(world, (b"cat", b'{"label":"cat","text":"an animal that purrs"}'))
    put(world, {"id": "a", **DOG})
    member = world.member()
    member.finish()
    model = member.runner.pipeline.model
    assert model.labels.descriptions[model.labels.slot("cat") or 0] == "an animal that purrs"
    say(world, (b"cat", None))
    member.finish()
    assert model.labels.slot("cat") in model.labels.retired
    member.clock.advance(1.0)
    member.turns(1)
    info = member.publisher.current().label("cat")
    assert info is not None
    assert info.retired
    assert len(published(world)) == 1
    member.crash()


def test_description_before_a_stream_of_vectors(world: World) -> None:
    say(world, (b"cat", b'{"label":"cat","text":"an animal"}'))
    member = world.member()
    member.finish()
    put(world, *({"id": f"e{n}", "vector": [n, 1], "labels": ["cat"]} for n in range(5)))
    member.finish()
    assert len(published(world)) == 5
    assert member.learnt == 5
    member.crash()


def test_bad_labels_records_are_told_by_the_holder_of_partition_0(tmp_path: Path) -> None:
    world = World(tmp_path, partitions=2)
    world.produce(10, bad_every=99)
    say(world, (b"x", b"{"), (b"", None))
    one, two = world.member("a"), world.member("b")
    two.finish()
    assert published(world, TOPICS.dead_letters) == []
    one.finish()
    dead = published(world, TOPICS.dead_letters)
    assert {r.key: r.value for r in dead} == {b"x": b"{", b"": None}
    assert len(dead) == 2
    assert {dict(r.headers)["topic"] for r in dead} == {TOPICS.labels.encode()}
    one.crash()
    two.crash()


def test_bad_labels_record_read_before_the_lease_waits_for_it(world: World) -> None:
    say(world, (b"x", b"{"))
    member = world.member()
    lease = member.source.lease
    member.source.lease = lambda: NONE  # type: ignore[method-assign]
    member.turns(2)
    member.clock.advance(11.0)
    member.turns(1)
    assert list(member.store.folder.iterdir()) == []  # a snapshot would forget it
    member.source.lease = lease  # type: ignore[method-assign]
    member.finish()
    assert [r.value for r in published(world, TOPICS.dead_letters)] == [b"{"]
    member.crash()


def test_feedback_joins_its_event_whichever_comes_first(world: World) -> None:
    put(world, {"id": "a", "text": "whiskers"}, {"id": "a", "labels": ["cat"]})
    put(world, {"id": "b", "labels": ["dog"]}, {"id": "b", "text": "bark"})
    member = world.member()
    member.finish()
    assert member.learnt == 2
    assert [one.key for one in published(world)] == [b"a", b"b"]  # feedback is not predicted
    value = member.metrics.registry.get_sample_value
    assert value("braid_late_labels_total", {"outcome": "joined"}) == 1
    assert value("braid_late_labels_total", {"outcome": "kept"}) == 1
    member.crash()


def test_drift_is_told_by_the_holder_of_partition_0_alone(tmp_path: Path) -> None:
    """Also drift that comes with other members' partitions, which nobody else would tell."""
    world = World(tmp_path, partitions=2)
    world.produce(60, bad_every=99)
    one, two = world.member("a"), world.member("b")
    two.finish()
    assert published(world, TOPICS.drift) == []
    one.finish()
    told = [orjson.loads(r.value or b"") for r in published(world, TOPICS.drift)]
    labels = [each["scope"] for each in told if each["kind"] == "new_label"]
    known = one.runner.pipeline.model.labels.names
    assert sorted(labels) == sorted(f"label/{name}" for name in known)
    one.crash()
    two.crash()


def test_drift_told_before_a_crash_is_not_told_again(world: World) -> None:
    world.produce(60)
    first = world.member()
    first.finish()
    told = len(published(world, TOPICS.drift))
    assert told > 0
    first.crash()
    second = world.member()  # without a snapshot it learns everything anew, in silence
    second.finish()
    assert second.learnt == 60
    assert len(published(world, TOPICS.drift)) == told
    second.crash()


def test_standing_sink_holds_the_loop_back_and_it_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path, partitions=1, run={"batch": 5, "in_flight": 2})
    world.produce(80)
    sink = Gate(world)
    member = world.member(sink=sink)
    thread = threading.Thread(target=member.finish)
    thread.start()
    thread.join(1.0)
    assert thread.is_alive()
    # One batch is being published, two wait, one is held in the loop's hands.
    assert member.learnt <= 4 * 5
    assert published(world) == []
    sink.gate.set()
    thread.join()
    world.account()
    member.crash()


def test_stopping_publishes_and_saves_everything(world: World) -> None:
    world.produce(60)
    member = world.member()
    stop = threading.Event()
    member.runner._tick = lambda runner: stop.set() if runner.lag == 0 else None
    member.runner.run(stop)
    world.account()
    saved = member.store.load()
    assert saved is not None
    assert saved.meta["model"]["position"] == 60
    assert member.publisher.current().position == 60
    again = world.member()
    assert again.learnt == 60
    again.finish()
    world.account()
    again.crash()


def test_error_in_the_loop_closes_sink_and_source(world: World) -> None:
    member = world.member()
    closed: list[str] = []
    member.source.close = lambda: closed.append("source")  # type: ignore[method-assign]
    member.source.poll = broken(SourceError("gone"))  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="gone"):
        member.runner.run(threading.Event())
    assert closed == ["source"]


def test_source_that_is_away_for_a_while_is_waited_for(world: World) -> None:
    world.produce(10)
    member = world.member()
    poll = member.source.poll
    member.source.poll = broken(Unavailable("away"))  # type: ignore[method-assign]
    member.turns(2)
    member.clock.advance(member.runner.settings.kafka.poll_interval_ms / 1_000 + 1)
    with pytest.raises(Unavailable, match="away"):
        member.turns(1)
    member.source.poll = poll  # type: ignore[method-assign]
    member.finish()
    world.account()
    member.crash()


def test_lag_that_cannot_be_asked_for_is_the_last_known(world: World) -> None:
    world.produce(10)
    member = world.member()
    lag = member.source.lag
    known = member.runner.lag
    member.source.lag = broken(Unavailable("away"))  # type: ignore[method-assign]
    member.turns(2)
    assert member.runner.lag == known > 0
    member.source.lag = lag  # type: ignore[method-assign]
    assert member.runner.lag == 0
    member.crash()


@pytest.mark.parametrize("stage", ["row", "predict", "learn"])
def test_event_that_breaks_the_pipeline_is_tried_alone_then_dead_lettered(
    world: World, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    poison = "poison"
    labels = {} if stage == "predict" else {"labels": ["deadly"]}  # labelled ones are not asked
    world.produce(11, bad_every=99)
    put(world, {"id": poison, "text": "arsenic and old lace"} | labels)
    world.produce(18, bad_every=99)
    member = world.member()
    pipeline = member.runner.pipeline
    rows: list[Any] = []
    row, predict, learn = pipeline.featurizer.row, pipeline.model.predict, pipeline.model.learn

    def marked(example: Example) -> Any:
        made = row(example)
        if example.id == poison:
            if stage == "row":
                raise ZeroDivisionError("poison")
            rows.append(made[0])
        return made

    def holds(batch: Rows) -> int:
        """Where the poison is among the rows, -1 when it is not."""
        for n in range(len(batch)):
            if any(np.array_equal(batch.part(n, n + 1).hashes, one) for one in rows):
                return n
        return -1

    def fragile_predict(batch: Rows, near: Any = None) -> Any:
        if stage == "predict" and holds(batch) >= 0:
            raise ZeroDivisionError("poison")
        return predict(batch, near)

    def fragile_learn(batch: Rows, labels: Any, near: Any = None, *more: Any) -> Any:
        """Learns what comes before the poison, then breaks."""
        at = holds(batch) if stage == "learn" else -1
        if at < 0:
            return learn(batch, labels, near, *more)
        if at > 0:
            learned = None if near is None else near.part(0, at)
            learn(batch.part(0, at), labels[:at], learned, *more)
        raise ZeroDivisionError("poison")

    monkeypatch.setattr(pipeline.featurizer, "row", marked)
    monkeypatch.setattr(pipeline.model, "predict", fragile_predict)
    monkeypatch.setattr(pipeline.model, "learn", fragile_learn)
    member.finish()
    assert sorted(str(r.key, "ascii") for r in published(world)) == sorted(world.ids)
    (dead,) = published(world, TOPICS.dead_letters)
    assert (dead.key, dict(dead.headers)["reason"]) == (poison.encode(), b"pipeline")
    assert dict(dead.headers)["detail"] == b"ZeroDivisionError: poison"
    assert member.learnt == 29  # each of the others once
    member.crash()


def test_snapshot_that_cannot_be_written_does_not_stop_the_stream(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.produce(10)
    member = world.member()
    for failure in (SnapshotError("full", remedy="free space"), TypeError("odd")):
        monkeypatch.setattr(member.store, "write", broken(failure))
        member.snapshot()
        assert str(failure) in caplog.text
    value = member.metrics.registry.get_sample_value
    assert value("braid_snapshots_total", {"outcome": "failed"}) == 2
    member.finish()
    world.account()
    member.crash()


def test_topic_made_anew_since_the_snapshot_is_refused(world: World) -> None:
    world.produce(10)
    member = world.member()
    member.finish()
    member.snapshot()
    member.crash()
    world.broker.delete(TOPICS.events)
    world.broker.create(TOPICS.events)
    with pytest.raises(SnapshotError, match=f"topic {TOPICS.events} was deleted") as refused:
        world.member()
    assert "empty folder" in refused.value.remedy


def test_left_over_writes_are_removed_at_the_start(world: World) -> None:
    left = world.folder / "a" / ".tmp-1-1"
    left.mkdir(parents=True)
    world.member().crash()
    assert not left.exists()


def test_prediction_too_large_for_its_topic_does_not_stop_the_stream(tmp_path: Path) -> None:
    world = World(tmp_path, partitions=1)
    world.broker.topic(TOPICS.predictions).record_bytes = 600
    put(world, {"id": "y" * 200, "text": "a"}, {"id": "z", "text": "other", "labels": []})
    put(world, {"id": "x" * 250, "text": "a", "labels": [f"{n}" * 200 for n in range(5)]})
    member = world.member()
    member.turns(1)
    put(world, {"id": "big", "text": "a"})
    member.finish()
    keys = {r.key for r in published(world)}
    dead = [r for r in published(world, TOPICS.dead_letters) if r.key == b"big"]
    assert b"big" not in keys
    assert dict(dead[0].headers)["reason"] == b"pipeline"
    assert b"z" in keys
    member.crash()


def test_output_file_that_cannot_be_opened_or_written(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--output=.*name a file that can be written"):
        FileSink(tmp_path / "no" / "file")
    sink = FileSink(Path("/dev/full"))
    with pytest.raises(SourceError, match="cannot write /dev/full: No space left"):
        sink.commit([Outgoing("t", b"k", b"v")], {}, NONE)
    sink.close()


NONE = Lease()


def broken(error: BaseException) -> Any:
    def call(*given: object) -> Any:
        raise error

    return call


class Gate(MemorySink):
    """Commits once the gate is open."""

    def __init__(self, world: World) -> None:
        super().__init__(world.broker, "a")
        self.gate = threading.Event()

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        """Wait, then publish."""
        self.gate.wait(60)
        super().commit(records, positions, lease)
