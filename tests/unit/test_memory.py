"""What `check-config` says of memory is what the parts then hold."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from indexes.prototypes import Prototypes
from stream import config, features
from stream.config import Index, Learn, Serve, Settings
from stream.errors import SettingError
from stream.features import Rows
from stream.labels import LabelSpace
from stream.learn.extreme.capacity import weigh
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.model import Model
from stream.memory import Part, evicted, plan
from stream.pipeline import Item, Pipeline
from stream.tools import check
from stream.types import Example
from tests.recovery.world import World

SIZES = [
    (600, Learn(exemplar_bytes=400_000, hash_bits=10, linear_bytes=16_384)),
    (
        5_000,
        Learn(
            exemplar_bytes=5_000_000,
            hash_bits=14,
            linear_bytes=1_000_000,
            cooccurrence_bytes=300_000,
        ),
    ),
    (2_100, Learn()),
]


def drawn(width: int, labels: int, n: int = 64) -> tuple[Rows, list[list[str]]]:
    rng = np.random.default_rng(0)
    sets = [[f"l{label}" for label in rng.choice(labels, 3, replace=False)] for _ in range(n)]
    if width:
        return features.batch(list(rng.normal(size=(n, width)).astype(np.float32))), sets
    return features.stack([features.of_text(" ".join(names)) for names in sets]), sets


def by_name(parts: list[Part]) -> dict[str, Part]:
    return {part.name: part for part in parts}


@pytest.mark.parametrize("width", [0, 24])
@pytest.mark.parametrize(("labels", "learn"), SIZES)
def test_planned_bytes_are_those_of_a_real_model(labels: int, learn: Learn, width: int) -> None:
    settings = Settings(learn=learn, index=Index(dimension=32), serve=Serve(enabled=False))
    model = Model(learn, 32)
    rows, sets = drawn(width, labels)
    model.learn(rows.part(0, 1), sets[:1])
    for label in range(labels):
        model.describe(f"l{label}", f"label {label} of many")
    model.learn(rows, sets)
    assert len(model.labels) == labels
    leaves = model.partitioner.highest
    parts = by_name(plan(settings, labels, width, leaves, labels if width == 0 else 0))

    def of(*names: str) -> int:
        return sum(parts[name].bytes for name in names)

    learner: Any = model.learner
    assert isinstance(learner, ExtremeLearner)
    held = weigh(learner.state) + weigh(learner._scratch)
    told = of("exemplars", "terms", "linear weights", "labels", "names of labels")
    grown = len(learner.state.rescorer.leaf)  # made room for partitions when the last label came
    assert told - held == (len(model.drift.state.width) - grown) * 8
    assert learner.state.table.nbytes == parts["linear weights"].bytes <= learn.linear_bytes
    assert len(learner.state.exemplars.n) == parts["exemplars"].entries
    assert parts["exemplars"].bytes <= learn.exemplar_bytes
    if not width:
        assert learn.exemplar_bytes < 2 * parts["exemplars"].bytes
    partitions = weigh(model.partitioner.state) + model.partitioner._rows.nbytes
    told = of("co-occurrence", "partitions of labels", "partitions")
    assert 0 <= partitions - told < 200  # sizes and growth
    assert len(model.partitioner.state.labels.co) == parts["co-occurrence"].entries
    assert parts["co-occurrence"].bytes <= learn.cooccurrence_bytes
    assert weigh(model.drift.state) == parts["drift detectors"].bytes
    assert weigh(model.suspicion.state) == parts["suspicion"].bytes


def test_prototypes_and_strings_are_near_what_is_planned() -> None:
    labels = 50_000
    parts = by_name(plan(Settings(index=Index(dimension=32)), labels))
    tracemalloc.start()
    space = LabelSpace()
    for label in range(labels):
        space.add(f"a label number {label:06}")
    strings = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert strings == pytest.approx(parts["label strings and ids"].bytes, rel=0.2)
    made = Prototypes(32, capacity=labels)
    made.learn(space.ids, np.zeros((labels, 32), np.float32))
    assert made.memory_bytes == pytest.approx(parts["prototypes"].bytes, rel=0.3)


def test_defaults_have_the_capacities_that_accuracy_was_measured_with() -> None:
    parts = by_name(plan(Settings(), 1_000_000))
    assert parts["exemplars"].entries == 131_072
    assert parts["linear weights"].entries == 1 << 22
    assert parts["terms"].entries == 1 << 22
    assert parts["co-occurrence"].entries >= 1_000_000
    assert parts["prototypes"].entries == 1_000_000


@pytest.mark.parametrize("name", ["exemplar_bytes", "linear_bytes", "cooccurrence_bytes"])
def test_what_is_too_small_to_work_names_the_least(name: str) -> None:
    with pytest.raises(SettingError, match=f"learn.{name}=1000 cannot work: write at least") as no:
        plan(Settings(learn=Learn.model_validate({name: 1_000})), 1_000)
    with pytest.raises(SettingError, match="write at least"):
        Model(Learn.model_validate({name: 1_000}), 16)
    least = int(no.value.remedy.rpartition(" ")[2])
    Model(Learn.model_validate({name: least}), 16)
    with pytest.raises(SettingError):
        Model(Learn.model_validate({name: least - 1}), 16)


def test_an_embedding_that_learns_is_planned_up_to_the_labels_it_is_for() -> None:
    settings = Settings.model_validate({"encoder": {"train": True, "labels": 50_000}})
    few, some, many = (by_name(plan(settings, n)) for n in (10_000, 50_000, 500_000))
    own = "process of training"
    assert own not in by_name(plan(Settings(), 50_000))
    assert some[own].bytes - few[own].bytes == 40_000 * 6 * 4 * settings.index.dimension
    assert many[own] == some[own]
    assert many["generation before"].bytes > some["generation before"].bytes
    dense = by_name(plan(settings, 50_000, width=24))
    assert dense[own].bytes < some[own].bytes


def test_long_vectors_keep_fewer_exemplars_instead_of_more_memory() -> None:
    parts = by_name(plan(Settings(), 1_000, width=50_000))
    assert parts["exemplars"].entries == 512
    assert parts["exemplars"].bytes <= 150_000_000


def test_too_little_room_evicts_and_counts_and_goes_on() -> None:
    learn = Learn(
        small_labels=4,
        exemplar_bytes=400_000,
        hash_bits=12,
        linear_bytes=65_536,
        cooccurrence_bytes=20_000,
    )
    pipeline = Pipeline(Settings(learn=learn, index=Index(dimension=16)))
    for turn in range(2):
        for n in range(200):
            labels = (f"l{n}", f"m{n}", "common")
            words = f"word{n} other{n}"
            pipeline.step([Item(Example(f"{turn}-{n}", text=words, labels=labels))])
    gone = evicted(pipeline)
    assert gone["exemplars"] == 400 - 256
    assert gone["cooccurrence"] >= 401 - 64
    asked = pipeline.step([Item(Example("x", text="word199 other199"))])
    assert {one.label for one in asked.predictions[0].top[:3]} == {"l199", "m199", "common"}


def test_check_config_prints_json_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    check(Settings(), 50_000, 0)
    said = capsys.readouterr()
    body = orjson.loads(said.out)
    assert body["learn"]["top_k"] == 10
    planned = body["memory"]
    assert planned["labels"] == 50_000
    assert planned["bytes"] == sum(part["bytes"] for part in planned["parts"])
    for part in planned["parts"]:
        assert part["name"] in said.err
        assert f"{part['bytes']:,}" in said.err
    named = {part["setting"] for part in planned["parts"]} - {""}
    assert named <= set(config.names())
    assert {f"learn.{one}_bytes" for one in ("exemplar", "linear", "cooccurrence")} < named


def test_what_gave_way_is_a_metric(tmp_path: Path) -> None:
    world = World(tmp_path, learn={"small_labels": 8})
    world.produce(300)
    member = world.member()
    member.finish()
    member.runner._report(force=True)
    found = member.metrics.registry.get_sample_value("braid_evicted", {"what": "exemplars"})
    assert found == member.runner.pipeline.model.learner.events - 256 > 0
    member.crash()


def test_a_process_of_its_own_for_the_endpoint_is_counted() -> None:
    inside, apart = (
        plan(Settings(serve=Serve(process=process)), 1_000_000) for process in (False, True)
    )
    more = {part.name: part.bytes for part in apart if part not in inside}
    assert set(more) == {"endpoint's process", "index that it maps"}
    assert more["endpoint's process"] > 300_000_000
    total = sum(part.bytes for part in apart)
    assert total < 6 << 30
