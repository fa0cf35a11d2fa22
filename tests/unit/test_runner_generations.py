"""The loop and the generations of the index: told, counted, kept, also while nothing comes."""

from __future__ import annotations

import time
from pathlib import Path

import orjson

from stream.learn.encoder.verdicts import Refused
from tests.generations_harness import EVIDENCE, LABELS, Scripted, promoted
from tests.recovery.world import TOPICS, World


def test_generations_take_over_and_go_back_while_the_stream_is_idle(tmp_path: Path) -> None:
    world = World(tmp_path, partitions=1, learn={"small_labels": 8}, index={"dimension": 64})
    topics = (f"topicl{n % LABELS} wordl{n % LABELS}" for n in range(200))
    for n, text in enumerate(topics):
        event = {"id": f"e{n}", "text": text, "labels": [f"l{n % LABELS}"]}
        world.broker.produce(TOPICS.events, orjson.dumps(event), b"e%d" % n)
    member, school = world.member(), Scripted()
    generations = member.runner.pipeline.generations
    generations.enrol(lambda _: school)
    member.finish()
    school.says += [
        Refused(True, {"reason": "the loss is nan"}),
        promoted(member.runner.pipeline, LABELS),
    ]

    def until(number: int) -> None:
        end = time.monotonic() + 30
        while generations.current is None or generations.current.number != number:
            assert time.monotonic() < end
            member.clock.advance(1.0)
            member.turns(1)
            time.sleep(0.002)

    until(1)
    member.publisher.order({"what": "rollback", "from": 1})
    member.publisher.order({"what": "rollback", "from": 1})  # a double click
    until(0)
    member.clock.advance(1.0)
    member.turns(1)
    member.publish()
    told = [orjson.loads(one.value or b"") for one in world.broker.read(TOPICS.drift)]
    found = [(one["kind"], one["evidence"]) for one in told if one["scope"] == "encoder"]
    assert found == [
        ("refusal", {"generation": 0, "outcome": "diverged", "reason": "the loss is nan"}),
        ("promotion", {"generation": 1, "before": 0} | EVIDENCE),
        ("rollback", {"generation": 0, "before": 1}),
    ]
    value = member.metrics.registry.get_sample_value
    outcomes = ("promoted", "refused", "diverged", "failed", "rolled_back")
    name = "braid_encoder_verdicts_total"
    assert [value(name, {"outcome": one}) for one in outcomes] == [1, 0, 1, 0, 1]
    assert value("braid_index_generation") == 0
    assert value("braid_training_events_total") == 200
    assert member.publisher.current().generations()["training"]["state"] == "held"
    member.snapshot()
    member.crash()
    again, other = world.member().runner.pipeline.generations, Scripted()
    again.enrol(lambda _: other)
    assert again.training.told()[0] == "held"
    again.resume()
    assert other.kept == [], "who went back begins with a challenger of its own"
