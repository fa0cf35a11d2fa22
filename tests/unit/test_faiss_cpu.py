"""What the CPU index does beside the contract: builds, their thread, and watching its recall."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from indexes.background import Worker
from indexes.base import Hits
from indexes.faiss_cpu import FaissCpu
from indexes.flat import Flat
from indexes.frozen import FrozenLists, attach
from indexes.recall import recall
from indexes.watch import Watch

WIDTH = 64


def clustered(count: int, seed: int = 1, clusters: int = 40) -> np.ndarray:
    draw = np.random.default_rng(seed)
    middles = draw.standard_normal((clusters, WIDTH))
    rows = middles[draw.integers(0, clusters, count)] + 0.8 * draw.standard_normal((count, WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def lived(background: bool, seed: int = 3) -> tuple[FaissCpu, Flat]:
    """An index that grew, changed and shrank, and an exact one of the same life."""
    index, flat = FaissCpu(WIDTH, train_at=1_000, background=background), Flat(WIDTH)
    draw, rows = np.random.default_rng(seed), clustered(6_000, seed)
    for at in range(0, 6_000, 250):
        for each in (index, flat):
            each.upsert(np.arange(at, at + 250), rows[at : at + 250])
    for _ in range(30):
        ids, some = draw.integers(0, 6_000, 300), draw.integers(0, 6_000, 300)
        for each in (index, flat):
            each.upsert(ids, rows[some])
            each.remove(ids[:30])
    return index, flat


def test_the_same_calls_give_the_same_bits() -> None:
    one, two = lived(background=False)[0], lived(background=False)[0]
    a, b = one.snapshot(), two.snapshot()
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert one.builds == two.builds >= 3
    assert one.trainings == two.trainings >= 2


@pytest.mark.parametrize("background", [False, True])
def test_recall_after_growth_changes_and_removals(background: bool) -> None:
    index, flat = lived(background)
    index.wait()
    assert len(index) == len(flat)
    queries = clustered(200, seed=3)[:200]
    found, truth = index.search(queries, 10), flat.search(queries, 10)
    assert recall(found, truth).mean() > 0.95
    whole = index.exact(queries, 10)
    assert recall(whole, truth).mean() > 0.999
    np.testing.assert_allclose(whole.scores, truth.scores, atol=1e-4)
    index.close()


def test_what_changes_during_a_build_is_kept() -> None:
    """Writes go on while generations are made; afterwards each id has its last vector."""
    rows, stop, draw = clustered(12_000, seed=5), threading.Event(), np.random.default_rng(6)
    index = FaissCpu(WIDTH, train_at=2_000, background=True)
    index.upsert(np.arange(4_000), rows[:4_000])
    last = {id_: id_ for id_ in range(4_000)}
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                hits = index.search(rows[:8], 10)
                assert (hits.ids[:, :10] >= 0).all()
                assert all(len(set(line)) == 10 for line in hits.ids.tolist())
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    end = time.monotonic() + 3
    while (index.builds < 6 and time.monotonic() < end) or len(last) < 3_000:
        ids, some = draw.integers(0, 12_000, 200), draw.integers(0, 12_000, 200)
        ids = np.unique(ids)
        index.upsert(ids, rows[some[: len(ids)]])
        last |= dict(zip(ids.tolist(), some.tolist(), strict=False))
        gone = draw.choice(12_000, 40, replace=False)
        index.remove(gone)
        for id_ in gone.tolist():
            last.pop(id_, None)
    index.wait()
    stop.set()
    reader.join()
    assert not failures, failures[0]
    assert index.builds >= 2
    assert len(index) == len(last)
    state = index.snapshot()
    other = FaissCpu(WIDTH)
    other.restore(state)
    for each in (index, other):
        ids = np.array(sorted(last))
        asked = rows[[last[id_] for id_ in ids.tolist()]]
        hits = each.exact(asked, 1)
        np.testing.assert_allclose(hits.scores[:, 0], 1, atol=1e-3)
        vectors = each.exact(rows[:50], len(ids))
        assert all(set(line) == set(ids.tolist()) for line in vectors.ids.tolist())
    index.close()
    assert len(index) == 0


def test_probes_are_chosen_from_the_data() -> None:
    """Clear clusters need few lists, noise needs many."""
    draw = np.random.default_rng(8)
    noise = draw.standard_normal((5_000, WIDTH)).astype(np.float32)
    clear, vague = FaissCpu(WIDTH, train_at=5_000), FaissCpu(WIDTH, train_at=5_000)
    clear.upsert(np.arange(5_000), clustered(5_000, clusters=500))
    vague.upsert(np.arange(5_000), noise / np.linalg.norm(noise, axis=1, keepdims=True))
    assert clear.probes < vague.probes < 4 * 5_000**0.5


def test_a_fall_of_recall_asks_for_a_rebuild() -> None:
    index = FaissCpu(WIDTH, train_at=2_000, background=True)
    index._watch = Watch(every=1, memory=20)
    index.upsert(np.arange(4_000), clustered(4_000))
    index.wait()
    built = index.trainings
    # Other vectors under the same ids: the centres do not fit any more, and one list is too few.
    moved = clustered(4_000, seed=77)
    index.upsert(np.arange(4_000), moved)
    index._probes = 1
    for query in moved[:60]:
        index.search(query[np.newaxis], 10)
        index.wait()
        if index.trainings > built:
            break
    assert index.trainings > built
    assert index.probes > 1
    index.close()


def test_recall_is_of_whole_effort() -> None:
    """Searches that make less are compared as if they had made it all."""
    index = FaissCpu(WIDTH, train_at=2_000, probes=150, background=True)
    index._watch = Watch(every=1, memory=20)
    rows = clustered(4_000, clusters=400)
    index.upsert(np.arange(4_000), rows)
    index.wait()
    queries = rows[::200]
    for query in queries:
        index.search(query[np.newaxis], 10, 0.01)
        index.wait()
    assert index.trainings == 1
    assert index.samples == 20
    little = recall(index.search(queries, 10, 0.01), index.exact(queries, 10)).mean()
    assert little < 0.95 < index.recall
    index.close()


def test_the_watch_is_patient_where_a_rebuild_does_not_help() -> None:
    flat = Flat(WIDTH)
    rows = clustered(50)
    flat.upsert(np.arange(50), rows)
    wrong = Hits(np.full((1, 10), 999), np.full((1, 10), -9, np.float32))
    watch, asked = Watch(every=1, memory=5), []
    for _ in range(80):
        assert watch.saw(rows[:1], wrong, flat.frozen)
        watch.compare()
        asked.append(watch.wants_rebuild)
        if asked[-1]:
            watch.rebuilt()
    moments = np.flatnonzero(asked)
    assert np.diff(moments).tolist()[:4] == [5, 10, 20, 40]


def test_generations_are_told_apart_and_shared() -> None:
    index, _ = lived(background=False)
    one = index.frozen()
    index.upsert(np.arange(5), clustered(5))
    two = index.frozen()
    assert one.generation_number == two.generation_number > 0
    for name, array in one.arrays().items():
        other = two.arrays()[name]
        if name.startswith("generation."):
            assert np.shares_memory(array, other) or not array.size
        elif name in {"overlay.ids", "overlay.high", "overlay.following"}:
            assert np.array_equal(array, other[: len(array)])
    index.rebuild()
    assert index.frozen().generation_number > two.generation_number


def test_a_state_that_does_not_fit_is_refused() -> None:
    index, _ = lived(background=False)
    arrays = index.frozen().arrays()
    state = attach({**arrays, "generation.rows.high": arrays["generation.rows.high"][:-1]})
    assert isinstance(state, FrozenLists)
    with pytest.raises(ValueError, match="vectors"):
        state.check(WIDTH)
    with pytest.raises(ValueError, match="wide, not 3"):
        FaissCpu(3).restore(index.snapshot())


def test_a_worker_steps_until_there_is_nothing_left_and_says_what_failed() -> None:
    steps: list[int] = []

    def step() -> bool:
        steps.append(threading.get_ident())
        return len(steps) < 3

    worker = Worker(step, "worker")
    worker.wake()
    worker.wait()
    assert len(steps) == 3
    assert threading.get_ident() not in steps
    with worker.paused():
        worker.wake()
        assert len(steps) == 3
    worker.wait()
    assert len(steps) == 4

    def fail() -> bool:
        raise OSError("full")

    failing = Worker(fail, "builder")
    failing.wake()
    with pytest.raises(RuntimeError, match="builder failed: full"):
        failing.wait()
    worker.close()
    worker.wake()
    worker.wait()
    assert len(steps) == 4


def test_what_is_filled_in_is_built_at_the_end_by_the_caller() -> None:
    index, rows = FaissCpu(WIDTH, train_at=1_000, background=True), clustered(3_000)
    with index.filling():
        for at in range(0, 3_000, 500):
            index.upsert(np.arange(at, at + 500), rows[at : at + 500])
        assert not index.trained
    assert (index.trained, index.builds) == (True, 1)
    assert recall(index.search(rows[:50], 10), index.exact(rows[:50], 10)).mean() > 0.9
    index.close()
