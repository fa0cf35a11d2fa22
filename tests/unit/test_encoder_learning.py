"""Encoders that learn: they find what a fixed projection does not, and the same each time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `encoder` is not installed")

from stream.learn.encoder.encoders import Bag, Projection, Residual, revived
from stream.learn.encoder.lessons import Lessons, joined
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.replay import LABELS, Replay
from stream.learn.encoder.trainer import Diverged, Trainer
from stream.training.school import BATCH, Gathered, part
from tests.learning_harness import (
    SMALL,
    Stream,
    Subspace,
    Topics,
    dense,
    lessons,
    scores,
    sparse,
    trainer,
)  # fmt: skip
from tests.learning_harness import (
    Projection as Fixed,
)

STREAMS = {"sparse": Topics(), "dense": Subspace()}


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Stream:
    return STREAMS[request.param]


def state(one: Trainer) -> dict[str, bytes]:
    """All that was learnt, to the bit."""
    arrays, meta = one.parts()
    return {name: array.tobytes() for name, array in arrays.items()} | {"": repr(meta).encode()}


def taught(stream: Stream, recipe: Recipe = SMALL, batches: int = 3, seed: int = 3) -> Trainer:
    one = trainer(stream, recipe, seed, memory=1_024)
    for at in range(batches):
        batch = stream.batch(at)
        one.learn(batch, one.search(batch.inputs))
    return one


def test_what_is_learnt_finds_more_than_the_fixed_projection(stream: Stream) -> None:
    batches = 36 if stream.width else 18  # a map begins near the rows as they are
    fixed = scores(Fixed(SMALL, stream.width), stream, batches)
    learnt = scores(trainer(stream), stream, batches)
    unmoved = scores(trainer(stream, replace(SMALL, rate=0.0, free_rate=0.0)), stream, 6)
    assert learnt[0] > fixed[0] + 0.1
    assert learnt[1] > fixed[1] + 0.03
    assert learnt[0] > unmoved[0] + 0.3  # without learning there is as little as before it
    assert unmoved[0] < fixed[0] + 0.05


def test_where_nothing_drowns_the_labels_nothing_is_lost() -> None:
    easy = Subspace(noise=0.05)
    assert scores(trainer(easy), easy, 6)[0] > scores(Fixed(SMALL, easy.width), easy, 6)[0] - 0.03


@pytest.mark.parametrize("changed", [{"loss": "triplet", "margin": 0.1}, {"margin": 0.1}], ids=str)
def test_other_losses_learn_too(changed: dict[str, Any]) -> None:
    topics = STREAMS["sparse"]
    assert scores(trainer(topics, replace(SMALL, **changed)), topics, 15)[0] > 0.6


def test_labels_that_take_turns_are_not_forgotten() -> None:
    """The memory brings back what the stream shows no more."""
    first, second = Topics(labels=30, noise=4), Topics(labels=60, noise=4)
    one = trainer(first)
    for at in range(8):
        one.learn(first.batch(at))
    for at in range(8):
        batch = second.batch(at)
        late = batch.labels >= 30
        rows = np.flatnonzero(late)
        one.learn(lessons(batch.inputs.take(rows), [[int(x)] for x in batch.labels[late]]))
    test = first.batch(99)
    assert (one.search(test.inputs)[:, 0] == test.labels).mean() > 0.8


def test_the_same_events_give_the_same_to_the_bit(stream: Stream) -> None:
    one, same, other = taught(stream), taught(stream), taught(stream, seed=4)
    assert state(one) == state(same)
    assert state(one) != state(other)


def test_however_events_come_batches_are_the_same() -> None:
    whole = joined([Topics().batch(at) for at in range(4)])
    rng, gathered, cut = np.random.default_rng(5), Gathered(), []
    start = 0
    while start < len(whole):
        stop = min(len(whole), start + int(rng.integers(1, 400)))
        cut += gathered.add(part(whole, start, stop))
        start = stop
    assert [len(batch) for batch in cut] == [BATCH] * 4
    for one, other in zip(cut, Gathered().add(whole), strict=True):
        for left, right in zip((*one.inputs, *one[1:]), (*other.inputs, *other[1:]), strict=True):
            assert left.tobytes() == right.tobytes()


def test_a_challenger_that_was_kept_is_as_it_was(stream: Stream) -> None:
    one = taught(stream)
    if not stream.width:
        one.describe(100, Topics().text(3))
        one.describe(7, sparse([[]]))
    one.retire(5)
    two = trainer(stream, memory=1_024)
    two.load(*one.parts())
    assert state(two) == state(one)
    one.labels.refresh(one.labels.known)  # as loading does
    test = stream.batch(50).inputs
    np.testing.assert_array_equal(two.search(test), one.search(test))
    other = trainer(stream, replace(SMALL, margin=0.5))
    with pytest.raises(ValueError, match="another recipe"):
        other.load(*one.parts())


def test_settling_embeds_the_memory_anew() -> None:
    one = taught(Topics(), batches=4)
    before = one.labels.count.copy()
    one.settle()
    kept = one.replay.take(one.replay.newest(1_024))
    made = one.encoder.embed(kept.inputs)
    for label in (0, 17):
        mean = made[torch.from_numpy(np.flatnonzero(kept.labels == label))].sum(0)
        torch.testing.assert_close(one.labels.sum[label], mean)
    assert one.labels.count.tolist() == before.tolist()
    assert float(one.labels.weight[17]) == (kept.labels == 17).sum()


def test_a_table_of_bytes_is_nearly_the_table() -> None:
    one = taught(Topics(), batches=4)
    test = Topics().batch(9).inputs
    exact = one.encoder.embed(test).numpy()
    frozen = one.frozen()
    assert isinstance(frozen, Bag)
    made = frozen.of_weighed(test.slot, test.weight, test.n)
    assert (made * exact).sum(axis=1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)


def test_a_frozen_network_is_the_network() -> None:
    one = taught(Subspace())
    test = Subspace().batch(9).inputs
    frozen = one.frozen()
    assert isinstance(frozen, Residual)
    rows = np.concatenate([test.dense, np.zeros((1, 64), np.float32)])
    made = frozen.of_dense(rows)
    exact = one.encoder.embed(dense(rows)).numpy()
    np.testing.assert_allclose(made, exact, atol=1e-5)
    assert not made[-1].any()
    before = made.tobytes()
    one.learn(Subspace().batch(10))
    assert frozen.of_dense(rows).tobytes() == before  # it is not the one that goes on learning


@pytest.mark.parametrize("made", [taught(STREAMS[kind], batches=1).frozen() for kind in STREAMS])
def test_encoders_come_back_from_their_arrays(made: Bag | Residual) -> None:
    again = revived(made.kind, made.dimension, made.arrays())
    assert type(again) is type(made)
    assert again.dimension == made.dimension == 32
    for name, array in again.arrays().items():
        assert array is made.arrays()[name]


def test_kinds_of_encoders() -> None:
    assert revived("projection", 12, {}).dimension == 12
    assert Projection(12).arrays() == {}
    with pytest.raises(ValueError, match="no encoder of kind 'wavelet'"):
        revived("wavelet", 12, {})


def test_one_goes_on_from_a_learnt_one_of_its_size_only() -> None:
    one = taught(Topics(), batches=4)
    one.settle()
    made, test = one.labels.made(), Topics().batch(9)
    two = trainer(Topics())
    two.begin_from(one.frozen(), *made)
    same = (two.search(test.inputs)[:, 0] == one.search(test.inputs)[:, 0]).mean()
    assert same > 0.95
    smaller = trainer(Topics(), replace(SMALL, bits=10))
    smaller.begin_from(one.frozen(), *made)
    assert len(smaller.labels.known) == 0  # prototypes of another space say nothing in this one


def test_a_rate_that_is_too_large_diverges(stream: Stream) -> None:
    with pytest.raises(Diverged):
        taught(stream, replace(SMALL, rate=1e30), batches=4)


@pytest.mark.parametrize("labelled", [True, False])
def test_what_is_no_number_diverges(stream: Stream, labelled: bool) -> None:
    batch = stream.batch(1)
    batch.inputs.weight[3] = batch.inputs.dense[3] = np.nan
    if not labelled:
        rows = [[label] for label in batch.labels.tolist()]
        rows[3] = []
        batch = lessons(batch.inputs, rows)
    with pytest.raises(Diverged):
        taught(stream, batches=2).learn(batch)


def test_a_row_of_nothing_does_no_harm(stream: Stream) -> None:
    """Its label has a prototype of nothing, which must not grow without measure."""
    one = taught(stream, batches=2)
    for at in range(3):
        batch = stream.batch(at)
        batch.inputs.dense[:9], batch.inputs.n[:9] = 0, 0
        batch.labels[:9] = 99
        one.learn(batch)
    assert 99 in one.labels.known
    assert float(one.labels.free_g[99]) < 1e4
    assert all(np.isfinite(array).all() for array in one.parts()[0].values())
    assert 99 not in one.labels.made()[0] or one.labels.free[99].norm() > 0


@pytest.mark.parametrize("labels", [0, 1, 2, LABELS + 30])
def test_any_number_of_labels_an_event(stream: Stream, labels: int) -> None:
    one = trainer(stream)
    rng = np.random.default_rng(2)
    for at in range(3):
        each = [rng.permutation(max(labels, 1) * 2)[:labels].tolist() for _ in range(BATCH)]
        loss = one.learn(lessons(stream.batch(at).inputs, each))
        assert np.isfinite(loss)
    assert len(one.labels.known) == (0 if labels == 0 else 2 * labels)
    assert one.search(stream.batch(9).inputs).shape == (BATCH, min(2 * labels, 40))


def test_one_label_only() -> None:
    one = trainer(Topics())
    for at in range(2):
        one.learn(lessons(Topics().batch(at).inputs, [[4]] * BATCH))
    assert one.search(Topics().batch(9).inputs)[:, 0].tolist() == [4] * BATCH
    assert float(one.labels.weight[4]) == 200


def test_no_events() -> None:
    one = trainer(Topics())
    assert one.learn(Lessons(sparse([]), np.zeros(0, np.int32), np.zeros(1, np.int64))) == 0
    assert one.events == 0


def test_replays_are_drawn_alike_and_by_the_tail() -> None:
    def drawn(seed: int, weight: Any = None) -> list[int]:
        return replay.draw(400, np.random.default_rng(seed), weight).tolist()

    replay = Replay(1_000, 128, 0)
    rare = [[1 if at % 100 == 0 else 0] for at in range(1_000)]
    replay.add(lessons(sparse([[1]] * 1_000), rare))
    count = np.array([990, 10])
    assert drawn(1, count) == drawn(1, count) != drawn(2, count)
    assert sum(at % 100 == 0 for at in drawn(1)) < 12
    assert sum(at % 100 == 0 for at in drawn(1, count)) > 25
    replay.forget(1)
    assert replay.take(np.array([0])).labels.tolist() == []
    assert all(at % 100 for at in drawn(3, count))  # what has no label teaches nothing


def test_a_memory_that_is_full_forgets_the_oldest() -> None:
    replay = Replay(300, 128, 0)
    for at in range(5):
        replay.add(lessons(sparse([[at]] * 100), [[at]] * 100))
    kept = replay.take(replay.newest(300))
    assert kept.labels.tolist() == [2] * 100 + [3] * 100 + [4] * 100
    assert kept.inputs.slot[:, 0].tolist() == kept.labels.tolist()


def test_labels_whose_events_are_lost_are_told() -> None:
    seen = Topics(labels=40)
    one = trainer(seen, memory=512)
    one.describe(70, seen.text(3))
    one.learn(lessons(seen.batch(0).inputs, [[60]] * 256))
    assert one.stale().tolist() == []
    for at in range(1, 3):
        one.learn(seen.batch(at))
    assert one.stale().tolist() == [60]
