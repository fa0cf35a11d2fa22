"""Possible labels: planted topics are found, known ones are not, and copies count once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from stream import state
from stream.checkpoint import Snapshot
from stream.config import Index, Learn, Settings
from stream.learn.discovery.kept import EVENTS, WAITING, Kept, terms_of
from stream.learn.discovery.state import CLUSTERS
from stream.metrics import Metrics
from stream.pipeline import Item, Pipeline
from stream.progress import Progress
from stream.sink import Encoder
from stream.source.folder import Folder
from stream.source.synthetic import Drifting, DriftingStream, label_name
from stream.types import DriftEvent, Example

KNOWN = 2_500  # events that teach the known labels
OWN = {"glacier", "moraine", "firn", "crevasse", "serac", "icefall"}


def events(n: int, seed: int = 3, dimension: int = 0, unlabelled: float = 0.5) -> list[Example]:
    """Known topics; after the first KNOWN events a share comes without labels."""
    stream = DriftingStream(Drifting(groups=4, size=6, seed=seed, dimension=dimension))
    rng = np.random.default_rng(seed)
    made = []
    for one in (stream.at(at) for at in range(n)):
        given = one.vector is None
        example = Example(one.id, one.text if given else None, None, one.vector)
        if len(made) < KNOWN or rng.random() >= unlabelled:
            example = replace(example, labels=tuple(map(label_name, one.labels)))
        made.append(example)
    return made


def topic(n: int, seed: int = 1) -> list[Example]:
    """Texts of a topic that no label names, among words that say nothing."""
    rng = np.random.default_rng(seed)
    own = sorted(OWN)
    texts = []
    for _ in range(n):
        words = [
            *rng.choice(own, 3, replace=False),
            *(f"noise{k}" for k in rng.integers(400, size=6)),
        ]
        texts.append(" ".join(rng.permutation(words)))
    return [Example(f"ice-{at}", text=text) for at, text in enumerate(texts)]


def mixed(known: list[Example], new: Iterable[Example], every: int) -> list[Example]:
    """After KNOWN events one new one behind every few known ones."""
    fresh, out = iter(new), known[:KNOWN]
    for at, one in enumerate(known[KNOWN:]):
        out.append(one)
        if at % every == 0:
            out.extend(islice(fresh, 1))
    return out


def run(pipeline: Pipeline, examples: list[Example], cut: int = 16) -> list[DriftEvent]:
    found = []
    for start in range(0, len(examples), cut):
        told = pipeline.step([Item(one) for one in examples[start : start + cut]]).drift
        found += [event for event in told if event.kind == "possible_label"]
    return found


def service(**learn: object) -> Pipeline:
    return Pipeline(Settings(learn=Learn.model_validate(learn)))


@pytest.mark.parametrize("small_labels", [512, 8])
def test_a_planted_topic_is_found_with_its_terms(small_labels: int) -> None:
    """In a small label space and in an extreme one, within 60 of its events."""
    learn = Learn(
        small_labels=small_labels, exemplar_bytes=4_000_000, hash_bits=14, linear_bytes=1_000_000
    )
    pipeline = Pipeline(Settings(learn=learn, index=Index(dimension=32)))
    stream = mixed(events(4_500), topic(60), 20)
    (told,) = run(pipeline, stream)
    assert pipeline.model.extreme == (small_labels == 8)
    assert told.scope.startswith("cluster/")
    evidence = told.evidence
    assert set(evidence["terms"][: len(OWN)]) == OWN
    assert all(one.startswith("ice-") for one in evidence["events"])
    assert len(evidence["events"]) <= EVENTS
    assert evidence["size"] >= evidence["weight"] >= 25
    assert evidence["unexplained"] > 0.8
    assert 0 < evidence["cohesion"] < 1
    assert evidence["labelled"] < 0.1
    assert not evidence["again"]


def test_labelled_with_nothing_or_explained_badly_is_found_as_well() -> None:
    given = [((), (label_name(n % 24),)) for n in range(80)]
    new = [
        replace(one, labels=pair[n % 2])
        for n, (one, pair) in enumerate(zip(topic(80), given, strict=True))
    ]
    (told, *_) = run(service(), mixed(events(4_500), new, 20))
    assert set(told.evidence["terms"][: len(OWN)]) == OWN
    assert 0 < told.evidence["labelled"] < 1
    assert 0 < told.evidence["labels"][0][1] < 0.5


def test_vectors_have_no_terms_and_named_features_their_names() -> None:
    rng = np.random.default_rng(2)
    centre = 1.7 * rng.standard_normal(32)
    vectors = (np.asarray(centre + 1.2 * rng.standard_normal(32), np.float32) for _ in range(150))
    new = [Example(f"ice-{at}", vector=vector) for at, vector in enumerate(vectors)]
    (told, *_) = run(service(), mixed(events(6_000, dimension=32), new, 20))
    assert told.evidence["terms"] == []
    assert sum(one.startswith("ice-") for one in told.evidence["events"]) >= EVENTS - 3
    named = [_named(one) for one in mixed(events(4_500), topic(80), 20)]
    (told, *_) = run(service(), named)
    assert len(OWN.intersection(told.evidence["terms"])) >= len(OWN) - 1


def _named(example: Example) -> Example:
    assert example.text is not None
    return replace(example, text=None, features=dict.fromkeys(example.text.split(), 1.0))


def test_told_again_only_when_it_has_doubled() -> None:
    found = run(service(possible_share=0.1), mixed(events(6_000), topic(1_000), 3))
    sizes = [event.evidence["size"] for event in found]
    assert 2 <= len(found) <= 6
    assert all(later >= 2 * earlier for earlier, later in pairwise(sizes))
    assert [event.evidence["again"] for event in found] == [False] + [True] * (len(found) - 1)
    assert len({event.scope for event in found}) == 1


@pytest.mark.parametrize("dimension", [0, 32])
def test_nothing_is_told_of_a_stationary_stream(dimension: int) -> None:
    """20,000 events of texts, a quarter of that of vectors; half of them without labels."""
    n = 5_000 if dimension else 20_000
    assert run(service(), events(n, seed=5, dimension=dimension)) == []


@pytest.mark.data
def test_nothing_is_told_of_a_small_real_stream(data: Path) -> None:
    folder = Folder(data / "scene")
    assert run(service(), list(folder.examples(folder.events))) == []


@pytest.mark.parametrize("texts", [1, 20])
def test_copies_count_once(texts: int) -> None:
    spam = [replace(one, id=f"spam-{at}") for at, one in enumerate(topic(texts) * (1_000 // texts))]
    pipeline = service(possible_share=0.1)
    assert run(pipeline, mixed(events(4_500), spam, 2)) == []
    held = pipeline.discovery.state
    assert held is not None
    assert held.distinct.max() < 25


def test_a_new_label_that_its_events_carry_is_none_to_propose() -> None:
    new = [replace(one, labels=("glaciology",)) for one in topic(100)]
    assert run(service(possible_share=0.1), mixed(events(4_500), new, 20)) == []


def test_labels_that_come_late_take_their_event_out_again() -> None:
    """Of a label that was known before, described by events that the model has learnt since."""
    pipeline = service(possible_share=0.1)
    run(pipeline, mixed(events(3_000), topic(20), 20))
    held = pipeline.discovery.state
    assert held is not None
    cluster = int(np.argmax(held.weight))
    before = held.weight[cluster], held.distinct[cluster]
    late = [Example(one.id, labels=("glaciology",)) for one in topic(20)]
    waiting = len(pipeline.discovery.kept.waiting)
    run(pipeline, late)
    assert len(pipeline.discovery.kept.waiting) < waiting
    assert held.distinct[cluster] < before[1]
    assert held.weight[cluster] < before[0]
    assert np.isfinite(held.norm).all()


def test_never_more_than_the_share_and_off_when_asked() -> None:
    stream = mixed(events(4_500), topic(100), 15)
    assert not run(service(possible_share=0.0002), stream)
    for off in (service(possible_share=0.0), service(without="discovery")):
        assert not run(off, stream)
        assert off.discovery.arrays() == {}


def left(
    own: Settings, stream: list[Example], cut: int, restart_at: int
) -> tuple[Snapshot, list[DriftEvent]]:
    pipeline, told = Pipeline(own), []
    for start in range(0, len(stream), cut):
        told += run(pipeline, stream[start : start + cut], cut)
        if start <= restart_at < start + cut:
            pipeline = state.revive(own, state.take(pipeline, {}, {}))
    return state.take(pipeline, {}, {}), told


@pytest.mark.parametrize("small_labels", [512, 8])
def test_the_state_depends_on_the_events_alone(small_labels: int) -> None:
    """Not on the cut, nor on a restart from a snapshot; late labels and named features too."""
    own = Settings(
        learn=Learn(
            small_labels=small_labels, exemplar_bytes=4_000_000, hash_bits=14,
            linear_bytes=1_000_000, possible_size=8,
        ),
        index=Index(background=False, dimension=16),
    )  # fmt: skip
    stream = mixed(events(3_200), topic(60), 10)
    late = [Example(one.id, labels=("ice",)) for one in stream[2_700:3_000] if one.labels is None]
    stream[3_000:3_000] = late
    stream = [_named(one) if one.text and at % 3 == 0 else one for at, one in enumerate(stream)]
    (found, said), (expected, told) = left(own, stream, 7, 2_800), left(own, stream, 64, -1)
    assert said == told
    assert found.meta == expected.meta
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert found.arrays[name].tobytes() == array.tobytes(), name


def test_a_snapshot_from_before_begins_with_nothing_found() -> None:
    own = Settings()
    pipeline = Pipeline(own)
    run(pipeline, mixed(events(3_000), topic(20), 20))
    taken = state.take(pipeline, {}, {})
    older = {name: one for name, one in taken.arrays.items() if not name.startswith("discovery.")}
    revived = state.revive(own, Snapshot(older, taken.meta))
    assert revived.discovery.state is not None
    assert not revived.discovery.state.born.any()
    assert run(revived, events(200)) == []
    off = Settings(learn=Learn(without="discovery"))
    assert state.revive(off, state.take(pipeline, {}, {})).discovery.arrays() == {}


def test_memory_is_bounded() -> None:
    kept = Kept()
    table, none = np.zeros((1, 3), np.float32), np.zeros(0, np.float32)
    for n in range(3 * WAITING):
        long = Example(f"{n}", text=" ".join(f"w{k}" for k in range(n % 7)) + "x" * 5_000)
        kept.add(n % CLUSTERS, False, long, terms_of(long, table, 1.0, none, none))
        kept.wait(long.id, 1, n)
    assert len(kept.waiting) == WAITING
    held = kept.arrays()
    assert held["discovery.kept"].max() == EVENTS
    assert held["discovery.kept_terms.bytes"].nbytes <= CLUSTERS * EVENTS * 1_100


def test_bad_input_leaves_finite_numbers() -> None:
    pipeline = service()
    run(pipeline, events(600))
    odd = [
        Example("empty", text=""), Example("long", text="glacier " * 130_000),
        Example("many", text=" ".join(f"w{n}" for n in range(150_000))),
        Example("signs", text="\x1f\x00 ¡! \ud800"), Example("none", features={}),
        Example("large", features={"a": 3e38, "b": -3e38, "glacier": 1e-45}),
    ]  # fmt: skip
    for one in (*odd, *odd):
        run(pipeline, [one, replace(one, labels=()), replace(one, labels=("new",))])
    vectors = service()
    run(vectors, events(600, dimension=8))
    for value in (0.0, 3e38, -3e38):
        run(vectors, [Example("v", vector=np.full(8, value, np.float32))] * 3)
    for one in (pipeline, vectors):
        for name, array in one.discovery.arrays().items():
            assert np.isfinite(array).all(), name


def test_told_on_the_drift_topic_and_counted() -> None:
    progress, metrics, pipeline = Progress(), Metrics(), service()
    stream = mixed(events(4_500), topic(60), 20)
    for start in range(0, len(stream), 16):
        items = [Item(one) for one in stream[start : start + 16]]
        out = pipeline.step(items)
        progress.count(items, out, [], metrics)
        for event in out.drift:
            if event.kind == "possible_label":
                record = Encoder(Settings().topics).drift(event)
                assert (record.topic, record.key) == ("braid.drift", event.scope.encode())
    value = metrics.registry.get_sample_value
    assert value("braid_possible_labels_total") == 1
    assert value("braid_drift_events_total", {"kind": "possible_label"}) == 1
