"""The contract of `LabelIndex`, run on every kind, and on faiss' lists untrained and trained."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from indexes.base import DimensionMismatch, Hits, LabelIndex
from indexes.extras import DeviceMissing, ExtraNeeded
from indexes.factory import make
from indexes.flat import Flat

WIDTH = 16
SEED = 11


def _untrained() -> LabelIndex:
    from indexes.faiss_cpu import FaissCpu

    return FaissCpu(WIDTH, train_at=100_000)


def _trained() -> LabelIndex:
    """Lists from the 40th vector on; so many are probed that its answers are exact here."""
    from indexes.faiss_cpu import FaissCpu

    return FaissCpu(WIDTH, train_at=40, lists=8, probes=8)


def _narrow() -> LabelIndex:
    """One list of many is probed at first: there must be k hits all the same."""
    from indexes.faiss_cpu import FaissCpu

    return FaissCpu(WIDTH, train_at=40, lists=16, probes=1)


KINDS: dict[str, Callable[[], LabelIndex]] = {
    "flat": lambda: Flat(WIDTH),
    "faiss_cpu-untrained": _untrained,
    "faiss_cpu-trained": _trained,
    "faiss_cpu-narrow": _narrow,
    "faiss_gpu": lambda: make("faiss_gpu", WIDTH),
}
APPROXIMATE = {"faiss_cpu-narrow"}
# What a float16 keeps of a score near 1.
TOLERANCE = 2e-3


@pytest.fixture(params=[pytest.param(k, marks=[pytest.mark.gpu] * ("gpu" in k)) for k in KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def build(kind: str) -> Iterator[Callable[[], LabelIndex]]:
    """Makes empty indexes of one kind and closes them at the end."""
    made: list[LabelIndex] = []

    def one() -> LabelIndex:
        try:
            made.append(KINDS[kind]())
        except (DeviceMissing, ExtraNeeded) as error:
            if kind != "faiss_gpu":
                raise
            pytest.skip(str(error))
        return made[-1]

    yield one
    for index in made:
        index.close()


@pytest.fixture
def index(build: Callable[[], LabelIndex]) -> LabelIndex:
    return build()


def units(count: int, seed: int = SEED) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def filled(index: LabelIndex, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Ids far from the row numbers, so that one taken for the other shows."""
    ids = np.random.default_rng(SEED).permutation(count).astype(np.int64) * 1_000_003 + 5
    rows = units(count)
    index.upsert(ids, rows)
    return ids, rows


def best(ids: np.ndarray, rows: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """The true nearest ids, in float64."""
    scores = queries.astype(np.float64) @ rows.astype(np.float64).T
    return ids[np.argsort(-scores, axis=1)[:, :k]]


def well_formed(hits: Hits, n: int, k: int) -> None:
    assert hits.ids.shape == hits.scores.shape == (n, k)
    assert hits.ids.dtype == np.int64
    assert hits.scores.dtype == np.float32
    there = hits.ids >= 0
    assert np.array_equal(there, np.isfinite(hits.scores))
    assert not (there[:, 1:] & ~there[:, :-1]).any(), "padding before a hit"
    assert (hits.ids[~there] == -1).all()
    assert np.isneginf(hits.scores[~there]).all()
    scores = np.where(there, hits.scores, -1e9)
    assert (np.diff(scores, axis=1) <= 0).all(), "scores rise"
    for row in hits.ids:
        live = row[row >= 0].tolist()
        assert len(set(live)) == len(live), "an id twice"


def test_an_empty_index_gives_padding(index: LabelIndex) -> None:
    hits = index.search(units(3), 4)
    well_formed(hits, 3, 4)
    assert (hits.ids == -1).all()
    assert len(index) == 0
    assert index.remove(numbers(1, 2)) == 0
    index.upsert(np.empty(0, np.int64), np.empty((0, WIDTH), np.float32))
    assert len(index) == 0
    assert index.dimension == WIDTH


def test_what_is_added_is_found_at_once(index: LabelIndex) -> None:
    rows = units(90)
    for at, row in enumerate(rows):
        index.upsert(numbers(at + 7), row[np.newaxis])
        assert index.search(row[np.newaxis], 1).ids[0, 0] == at + 7
        assert len(index) == at + 1


def test_the_nearest_are_found(index: LabelIndex, kind: str) -> None:
    ids, rows = filled(index)
    queries = units(30, seed=3)
    hits = index.search(queries, 5)
    well_formed(hits, 30, 5)
    same = np.mean(np.sort(hits.ids) == np.sort(best(ids, rows, queries, 5)))
    assert same >= (0.2 if kind in APPROXIMATE else 0.97 if kind == "faiss_gpu" else 1.0)
    of = {int(id_): row for id_, row in zip(ids, rows, strict=True)}
    for query, found, scores in zip(queries, hits.ids, hits.scores, strict=True):
        exact = [float(query @ of[int(id_)]) for id_ in found]
        np.testing.assert_allclose(scores, exact, atol=TOLERANCE)


@pytest.mark.parametrize("frozen", [False, True])
def test_less_effort_finds_some_of_them(index: LabelIndex, kind: str, frozen: bool) -> None:
    filled(index)
    searched = index.frozen() if frozen else index
    queries = units(12, seed=5)
    whole, little = searched.search(queries, 7), searched.search(queries, 7, 0.01)
    well_formed(little, 12, 7)
    share = np.mean([len({*a} & {*b}) / 7 for a, b in zip(little.ids, whole.ids, strict=True)])
    assert 0 < share < 1 if kind == "faiss_cpu-trained" else share == 1


def test_a_query_has_the_same_hits_alone_and_in_company(index: LabelIndex) -> None:
    filled(index, 300)
    queries = units(50, seed=4)
    together = index.search(queries, 7)
    for at in range(50):
        alone = index.search(queries[at : at + 1], 7)
        assert np.array_equal(alone.ids[0], together.ids[at])
        if index.kind != "faiss_gpu":
            assert np.array_equal(alone.scores[0], together.scores[at])


def test_a_search_changes_nothing(index: LabelIndex) -> None:
    filled(index)
    queries = units(4, seed=5)
    kept = queries.copy()
    first, second = index.search(queries, 6), index.search(queries, 6)
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.scores, second.scores)
    assert np.array_equal(queries, kept)


def test_replacing_moves_an_id(index: LabelIndex) -> None:
    ids, rows = filled(index)
    index.upsert(ids[:10], -rows[:10])
    assert len(index) == len(ids)
    there = index.search(-rows[:10], 1)
    assert np.array_equal(there.ids[:, 0], ids[:10])
    # Each id is in one place only, so the old one has gone.
    well_formed(index.search(rows[:10], len(ids)), 10, len(ids))
    assert not (index.search(rows[:10], 1).ids[:, 0] == ids[:10]).any()


def test_equal_scores_come_by_rising_id(index: LabelIndex, kind: str) -> None:
    """Where the answer is exact; elsewhere only the set is promised."""
    ids = numbers(9, 4, 7, 1, 8, 3)
    index.upsert(ids, np.repeat(units(1), len(ids), axis=0))
    index.remove(numbers(7))
    found = index.search(units(1), 8).ids[0, :5].tolist()
    assert sorted(found) == [1, 3, 4, 8, 9]
    if kind in {"flat", "faiss_cpu-untrained"}:
        assert found == [1, 3, 4, 8, 9]
        assert index.search(units(1), 2).ids.tolist() == [[1, 3]]


def test_the_index_keeps_its_own_copy(index: LabelIndex) -> None:
    rows = units(60)
    given = rows.copy()
    index.upsert(np.arange(60), given)
    given[:] = 0
    assert np.array_equal(index.search(rows, 1).ids[:, 0], np.arange(60))


def test_of_repeats_the_last_wins(index: LabelIndex) -> None:
    filled(index)
    rows = units(4, seed=6)
    index.upsert(numbers(1, 2, 1, 1), rows)
    hits = index.search(rows, 1)
    assert hits.ids[[1, 3], 0].tolist() == [2, 1]
    assert 1 not in hits.ids[[0, 2], 0].tolist()
    assert len(index) == 122


def test_the_removed_never_come_back(index: LabelIndex, build: Callable[[], LabelIndex]) -> None:
    ids, rows = filled(index, 200)
    gone, left = ids[::3], np.setdiff1d(ids, ids[::3])
    assert index.remove(np.concatenate([gone, gone, numbers(3)])) == len(gone)
    assert index.remove(gone) == 0
    queries = rows[::3]

    def absent(from_: LabelIndex) -> None:
        assert len(from_) == len(left)
        for k in (1, 10, 200, 250):
            hits = from_.search(queries, k)
            well_formed(hits, len(queries), k)
            assert not np.isin(hits.ids, gone).any()
            # The removed are no reason for fewer hits than there are live ones.
            assert ((hits.ids >= 0).sum(axis=1) == min(k, len(left))).all()

    absent(index)
    other = build()
    other.restore(index.snapshot())
    absent(other)
    if hasattr(index, "rebuild"):
        index.rebuild()
        absent(index)
    # Its place is taken by another id; the old one stays away, until it is added again.
    index.upsert(numbers(1), rows[:1])
    assert not np.isin(index.search(queries, 250).ids, gone).any()
    index.upsert(gone[:1], rows[:1])
    assert gone[0] in index.search(rows[:1], 2).ids


def test_emptied_and_filled_again(index: LabelIndex) -> None:
    ids, rows = filled(index)
    assert index.remove(ids) == len(ids)
    assert len(index) == 0
    assert (index.search(rows[:3], 2).ids == -1).all()
    again, others = filled(index)
    assert np.array_equal(index.search(others[:20], 1).ids[:, 0], again[:20])


@pytest.mark.parametrize("count", [3, 60])
def test_k_above_the_size_pads_the_end(index: LabelIndex, count: int) -> None:
    ids, rows = filled(index, count)
    hits = index.search(rows[:2], count + 4)
    well_formed(hits, 2, count + 4)
    assert np.array_equal(np.sort(hits.ids[0, :count]), np.sort(ids))
    assert (hits.ids[:, count:] == -1).all()


BAD = {
    "narrow": (numbers(1), np.ones((1, WIDTH - 1), np.float32), DimensionMismatch),
    "flat row": (numbers(1), np.ones(WIDTH, np.float32), DimensionMismatch),
    "too few": (numbers(1, 2), np.ones((1, WIDTH), np.float32), DimensionMismatch),
    "negative": (numbers(1, -2), np.ones((2, WIDTH), np.float32), ValueError),
    "fraction": (np.array([1.5]), np.ones((1, WIDTH), np.float32), ValueError),
    "nan": (numbers(1, 2), np.full((2, WIDTH), np.nan, np.float32), ValueError),
    "infinite": (numbers(1), np.full((1, WIDTH), np.inf, np.float32), ValueError),
    "too large": (numbers(1), np.full((1, WIDTH), 1e300), ValueError),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_vectors_change_nothing(index: LabelIndex, case: str) -> None:
    ids, rows = filled(index)
    before = index.search(rows[:20], 9)
    bad_ids, bad_rows, error = BAD[case]
    with pytest.raises(error):
        index.upsert(bad_ids, bad_rows)
    after = index.search(rows[:20], 9)
    assert len(index) == len(ids)
    assert np.array_equal(before.ids, after.ids)
    assert np.array_equal(before.scores, after.scores)


def test_bad_queries_are_refused(index: LabelIndex) -> None:
    _, rows = filled(index)
    with pytest.raises(DimensionMismatch):
        index.search(rows[:, 1:], 2)
    with pytest.raises(DimensionMismatch):
        index.search(rows[0], 2)
    with pytest.raises(ValueError, match="finite"):
        index.search(np.full((1, WIDTH), np.nan, np.float32), 2)
    with pytest.raises(ValueError, match="k must"):
        index.search(rows[:1], 0)
    with pytest.raises(ValueError, match="negative"):
        index.remove(numbers(-1))
    well_formed(index.search(rows[:0], 2), 0, 2)


def test_a_snapshot_restores_the_same_hits(
    index: LabelIndex, build: Callable[[], LabelIndex]
) -> None:
    ids, rows = filled(index, 150)
    index.remove(ids[:20])
    queries = units(40, seed=8)
    state = index.snapshot()
    kept = {name: array.copy() for name, array in state.items()}
    want = index.search(queries, 8)
    other = build()
    other.upsert(numbers(77), rows[:1])
    other.restore(state)
    for reader in (index, other):
        got = reader.search(queries, 8)
        assert np.array_equal(got.ids, want.ids)
        assert np.array_equal(got.scores, want.scores)
    # The state is a copy on either side, and life goes on alike after it.
    for writer in (index, other):
        writer.upsert(ids[:25], -rows[:25])
        writer.remove(ids[40:50])
    assert all(np.array_equal(kept[name], state[name]) for name in kept)
    assert len(index) == len(other) == 140
    one, two = index.search(queries, 8), other.search(queries, 8)
    assert np.array_equal(one.ids, two.ids)
    assert np.array_equal(one.scores, two.scores)


def test_an_empty_snapshot_restores(index: LabelIndex, build: Callable[[], LabelIndex]) -> None:
    other = build()
    _, rows = filled(other)
    other.restore(index.snapshot())
    assert len(other) == 0
    assert (other.search(rows[:1], 2).ids == -1).all()


def test_a_foreign_snapshot_is_refused(index: LabelIndex) -> None:
    ids, rows = filled(index)
    state = index.snapshot()
    with pytest.raises(ValueError, match="lacks"):
        index.restore({"something": np.zeros(3)})
    with pytest.raises(ValueError, match=r"vectors|wide"):
        index.restore({**state, "ids": np.arange(1_000)})
    assert len(index) == len(ids)
    assert np.array_equal(index.search(rows[:9], 1).ids[:, 0], ids[:9])


def test_searches_beside_updates(index: LabelIndex) -> None:
    """Ids 0-99 stay, 100-199 are removed before the readers start, 200-999 come and go."""
    rows = units(1_000)
    index.upsert(np.arange(200), rows[:200])
    index.remove(np.arange(100, 200))
    stop = threading.Event()
    failures: list[BaseException] = []
    rounds = [0, 0]

    def read(which: int) -> None:
        try:
            while not stop.is_set() or rounds[which] == 0:
                hits = index.search(rows[100 * which : 100 * which + 5], 12)
                well_formed(hits, 5, 12)
                assert not ((hits.ids >= 100) & (hits.ids < 200)).any()
                if which == 0:
                    assert hits.ids[:, 0].tolist() == [0, 1, 2, 3, 4]
                rounds[which] += 1
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read, args=(which,)) for which in range(2)]
    for reader in readers:
        reader.start()
    for at in range(200, 1_000, 40):
        some = np.arange(at, at + 40)
        index.upsert(some, rows[at : at + 40])
        index.upsert(some, -rows[at : at + 40])
        index.upsert(np.arange(5), rows[:5])
        index.remove(some[::2])
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures, failures[0]
    assert min(rounds) > 0
    assert len(index) == 100 + 400


def test_closing_twice_is_harmless(index: LabelIndex) -> None:
    filled(index)
    index.close()
    index.close()
