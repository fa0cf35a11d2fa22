"""Random lives of an index: it must agree with a dict of vectors after every step."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from indexes.base import LabelIndex
from indexes.flat import Flat

WIDTH = 4
IDS = st.lists(st.integers(0, 60), max_size=25)
SEEDS = st.integers(0, 2**32 - 1)


def vectors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)


class Life(RuleBasedStateMachine):
    """An index beside its model; subclasses say which index."""

    index: LabelIndex
    tolerance = 1e-4  # of a score

    def make(self) -> LabelIndex:
        return Flat(WIDTH)

    @initialize()
    def begin(self) -> None:
        self.index = self.make()
        self.model: dict[int, np.ndarray] = {}

    @rule(ids=IDS, seed=SEEDS)
    def upsert(self, ids: list[int], seed: int) -> None:
        rows = vectors(len(ids), seed)
        self.index.upsert(np.array(ids, np.int64), rows)
        self.model.update(zip(ids, rows, strict=True))

    @rule(ids=IDS)
    def remove(self, ids: list[int]) -> None:
        there = len({id_ for id_ in ids if self.model.pop(id_, None) is not None})
        assert self.index.remove(np.array(ids, np.int64)) == there

    @rule()
    def move_house(self) -> None:
        other = self.make()
        other.restore(self.index.snapshot())
        self.index = other

    @rule(seed=SEEDS, k=st.integers(1, 70), count=st.integers(0, 20))
    def search(self, seed: int, k: int, count: int) -> None:
        queries = vectors(count, seed)
        hits = self.index.search(queries, k)
        ids = np.array(sorted(self.model), np.int64)
        rows = np.array([self.model[id_] for id_ in ids.tolist()]).reshape(-1, WIDTH)
        scores = queries.astype(np.float64) @ rows.astype(np.float64).T
        some = min(k, len(ids))
        assert hits.ids.shape == (count, k)
        assert (hits.ids[:, some:] == -1).all()
        order = np.argsort(-scores, axis=1, kind="stable")[:, :some]
        # Recall is one: each rank has the score it should have, and each id has its own score.
        np.testing.assert_allclose(
            hits.scores[:, :some], np.take_along_axis(scores, order, axis=1), atol=self.tolerance
        )
        for row, found in enumerate(hits.ids[:, :some]):
            assert len(set(found.tolist())) == some
            own = [queries[row] @ self.model[id_] for id_ in found.tolist()]
            np.testing.assert_allclose(hits.scores[row, :some], own, atol=self.tolerance)

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "model"):
            assert len(self.index) == len(self.model)


class ListLife(Life):
    """Lists, trained within the run, all of them probed; vectors are kept at 16 bits."""

    tolerance = 1e-3

    def make(self) -> LabelIndex:
        from indexes.faiss_cpu import FaissCpu

        return FaissCpu(WIDTH, train_at=16, lists=5, probes=5, growth=2.0)

    @rule()
    def rebuild(self) -> None:
        self.index.rebuild()


TestFlat = Life.TestCase
TestFlat.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestFaissCpu = ListLife.TestCase
TestFaissCpu.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
