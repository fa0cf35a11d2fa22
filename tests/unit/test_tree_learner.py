"""The Hoeffding adaptive tree: its gain, what it splits, drift, bounds, growth and snapshots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream.learn.arrays import dump, duplicate, grow, restore
from stream.learn.tree import hoeffding, observe, split
from stream.learn.tree.state import (
    ALTERNATE,
    BLOCK,
    BLOCK_STACK,
    BLOCKS,
    BLOCKS_FREED,
    BLOCKS_GROWN,
    CUT,
    FEATURE,
    FREED,
    GROWN,
    LEFT,
    NODES,
    PARENT,
    RIGHT,
    ROOT,
    SPECS,
    SPLITS,
    STACK,
    SWAPS,
    Tree,
    capacities,
    make,
    room,
)


class Grown:
    """A tree beside the running label rates that its root is shrunk to."""

    def __init__(self, columns: int, labels: int, dense: bool, adapt: bool = True) -> None:
        self.dense, self.adapt, self.labels = dense, adapt, labels
        self.capacity = {"labels": labels, **capacities(columns, dense)}
        self.tree = make(self.capacity)
        self.room = room(self.tree)
        self.counts, self.events = np.full(labels, 0.3), 0

    def _row(self, row: Any) -> tuple[Any, ...]:
        row = np.asarray(row, np.float32)
        columns = np.arange(len(row)) if self.dense else np.flatnonzero(row)
        return columns.astype(np.int32), row[columns], len(columns), 1.0, self.dense

    @property
    def prior(self) -> Any:
        return (self.counts / (self.events + 2)).astype(np.float32)

    def score(self, row: Any) -> Any:
        out = np.zeros(self.labels, np.float32)
        arguments = (*self._row(row), self.labels, self.prior, out)
        hoeffding.score(self.tree, self.room, *arguments)
        return out

    def learn(self, row: Any, y: Any) -> None:
        truth = np.flatnonzero(y).astype(np.int32)
        arguments = (*self._row(row), truth, self.labels, self.prior, self.adapt)
        hoeffding.learn(self.tree, self.room, *arguments)
        self.counts[truth] += 1
        self.events += 1

    def run(self, x: Any, y: Any) -> Any:
        """(n,) share of labels right at 0.5, each event before it is learnt."""
        right = np.zeros(len(x))
        for at in range(len(x)):
            right[at] = ((self.score(x[at]) > 0.5) == y[at]).mean()
            self.learn(x[at], y[at])
        return right


def sized(tree: Tree, name: int) -> int:
    return int(tree.sizes[name])


def reachable(tree: Tree) -> list[int]:
    """All nodes below the root, alternates included."""
    found, open_ = [], [sized(tree, ROOT)]
    while open_:
        node = open_.pop()
        found.append(node)
        open_ += [int(n) for n in tree.link[[LEFT, RIGHT, ALTERNATE], node] if n >= 0]
    return found


def assert_sound(tree: Tree) -> None:
    """No node or block is lost or held twice, and nothing is not finite."""
    nodes = reachable(tree)
    free = tree.number[STACK, : tree.sizes[FREED]].tolist()
    assert sorted(nodes + free) == list(range(sized(tree, GROWN) + 1))
    assert sized(tree, GROWN) < NODES
    blocks = [int(tree.link[BLOCK, node]) for node in nodes if tree.link[BLOCK, node] >= 0]
    free = tree.use[BLOCK_STACK, : tree.sizes[BLOCKS_FREED]].tolist()
    assert sorted(blocks + free) == list(range(sized(tree, BLOCKS_GROWN)))
    assert sized(tree, BLOCKS_GROWN) <= BLOCKS
    for node in nodes:
        for child in tree.link[LEFT:, node]:
            assert (child >= 0) == (tree.link[FEATURE, node] >= 0)
            assert child < 0 or tree.link[PARENT, child] == node
    for name, array in dump(tree, "tree").items():
        assert array.dtype.kind != "f" or np.isfinite(array).all(), name


def boxes(n: int, seed: int, flip: bool = False) -> tuple[Any, Any]:
    """Numeric rows whose labels are boxes; `flip` is another concept."""
    x = np.random.default_rng(seed).normal(size=(n, 6))
    side = -1 if flip else 1
    y = np.stack([(x[:, 2] > 0.5) & (x[:, 0] * side > -0.3), x[:, 2] * side <= 0.5], 1)
    return x, y


def entropy(k: Any, n: int) -> float:
    p = np.clip(np.asarray(k, float) / max(n, 1), 1e-300, 1)
    q = np.clip(1 - np.asarray(k, float) / max(n, 1), 1e-300, 1)
    return float(-(p * np.log(p) + q * np.log(q)).sum())


@pytest.mark.parametrize("bins", [2, 8])
@pytest.mark.parametrize("seed", range(3))
def test_gain_is_the_drop_of_entropy(bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = make({"labels": 9, "watched": 4, "bins": bins})
    scratch = split.work(tree)
    total = rng.integers(20, 3_000, bins)
    count = rng.binomial(total[:, None], rng.random((bins, 9)))
    count[:, 3], count[:, 4] = 0, total
    tree.total[1, 2], tree.count[1, 2] = total, count
    where = split.gain(tree, scratch, 1, 2, 9)
    n, whole = total.sum(), count.sum(0)
    gains = []
    for at in range(1, bins):
        left, right = total[:at].sum(), total[at:].sum()
        children = left * entropy(count[:at].sum(0), left)
        children += right * entropy(count[at:].sum(0), right)
        gains.append(entropy(whole, n) - children / n)
    assert where == int(np.argmax(gains))
    assert scratch.found[3] == pytest.approx(max(gains))
    assert scratch.found[4] == pytest.approx(entropy(whole, n))
    assert scratch.found[5] == n


def test_a_small_side_is_no_cut() -> None:
    tree = make({"labels": 2, "watched": 4, "bins": 2})
    tree.total[0, 0] = (100, split.LEAST - 1)
    tree.count[0, 0, 1] = split.LEAST - 1
    assert split.gain(tree, split.work(tree), 0, 0, 2) == -1


def test_splits_the_planted_numeric_feature() -> None:
    x, y = boxes(1_500, 0)
    own = Grown(6, 2, dense=True)
    right = own.run(x, y)
    assert own.tree.link[FEATURE, own.tree.sizes[ROOT]] == 2
    assert own.tree.real[CUT, own.tree.sizes[ROOT]] == pytest.approx(0.5, abs=0.3)
    assert right[-500:].mean() > 0.93
    assert_sound(own.tree)


@pytest.mark.parametrize("columns", [12, 300])
def test_splits_the_planted_sparse_feature(columns: int) -> None:
    """Also among more columns than a leaf watches."""
    rng = np.random.default_rng(1)
    x = rng.random((1_500, columns)) < 0.05
    x[:, 5] = rng.random(1_500) < 0.4
    y = np.stack([x[:, 5], ~x[:, 5], rng.random(1_500) < 0.1], 1)
    own = Grown(columns, 3, dense=False)
    right = own.run(x, y)
    assert own.tree.link[FEATURE, own.tree.sizes[ROOT]] == 5
    assert right[-500:].mean() > 0.95
    assert_sound(own.tree)


def test_splits_a_category_as_one_hot() -> None:
    rng = np.random.default_rng(2)
    kinds = rng.integers(0, 4, (1_500, 5))
    x = (kinds[:, :, None] == np.arange(4)).reshape(1_500, 20)
    y = np.stack([kinds[:, 3] == 2, kinds[:, 3] != 2], 1)
    for dense in (False, True):
        own = Grown(20, 2, dense)
        assert own.run(x, y)[-500:].mean() > 0.97
        assert own.tree.link[FEATURE, own.tree.sizes[ROOT]] == 3 * 4 + 2


def test_finds_a_column_beyond_the_watched_ones() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2_000, 160))
    for planted in (0, 159):
        y = np.stack([x[:, planted] > 0, x[:, planted] < 0.5], 1)
        own = Grown(256, 2, dense=True)
        own.run(x, y)
        assert planted in own.tree.link[FEATURE, reachable(own.tree)]


def test_noise_is_not_split() -> None:
    rng = np.random.default_rng(4)
    own = Grown(10, 6, dense=True)
    own.run(rng.normal(size=(3_000, 10)), rng.random((3_000, 6)) < 0.3)
    assert sized(own.tree, SPLITS) <= 1
    assert_sound(own.tree)


def test_drift_swaps_an_alternate_in_and_recovers() -> None:
    (x, y), (x2, y2) = boxes(2_000, 5), boxes(1_500, 6, flip=True)
    right = {}
    for adapt in (False, True):
        own = Grown(6, 2, dense=True, adapt=adapt)
        before = own.run(x, y)
        assert before[-500:].mean() > 0.9
        right[adapt] = own.run(x2, y2)
        assert (sized(own.tree, SWAPS) > 0) == adapt
        assert_sound(own.tree)
    late = {adapt: right[adapt][300:].mean() for adapt in right}
    assert late[True] > late[False] + 0.05
    assert right[True][-500:].mean() > 0.9


def test_nodes_and_blocks_stay_bounded() -> None:
    """Labels that a deep tree would fit, and that change again and again."""
    rng = np.random.default_rng(7)
    own = Grown(8, 12, dense=True)
    for _ in range(4):
        x = rng.random((3_000, 8)).round(2)
        cells = rng.random((3, 3, 3, 12)) < 0.4
        at = (x[:, :3] * 2.99).astype(int)
        own.run(x, cells[at[:, 0], at[:, 1], at[:, 2]])
        assert_sound(own.tree)
    assert sized(own.tree, SPLITS) > 30


def test_score_changes_nothing_and_all_is_deterministic() -> None:
    x, y = boxes(800, 8)
    one, other = Grown(6, 2, dense=True), Grown(6, 2, dense=True)
    for at in range(800):
        before = duplicate(one.tree) if at % 100 == 0 else None
        p = one.score(x[at])
        assert at % 100 != 0 or p.tobytes() == one.score(x[at]).tobytes()
        if before is not None:
            same(before, one.tree)
        one.learn(x[at], y[at])
        other.learn(x[at], y[at])
    same(one.tree, other.tree)


def same(one: Tree, other: Tree) -> None:
    for name, a, b in zip(Tree._fields, one, other, strict=True):
        assert a.tobytes() == b.tobytes(), name


def test_growth_of_labels_and_columns_keeps_the_predictions() -> None:
    x, y = boxes(700, 9)
    own = Grown(6, 2, dense=True)
    own.run(x, y)
    before = [own.score(row) for row in x[:20]]
    own.tree = grow(own.tree, SPECS, {"labels": 5, **capacities(32, dense=True)})
    own.room = room(own.tree)
    own.labels, own.counts = 5, np.concatenate([own.counts, [0.3] * 3])
    for row, p in zip(x[:20], before, strict=True):
        after = own.score(row)
        assert after[:2].tobytes() == p.tobytes()
        assert (after[2:] < 0.01).all()
    rng = np.random.default_rng(10)
    wide = rng.normal(size=(1_200, 32))
    own.run(wide, np.stack([wide[:, 30] > 0] * 5, 1))
    assert 30 in own.tree.link[FEATURE, reachable(own.tree)]
    assert_sound(own.tree)


def test_snapshot_round_trip_goes_on_the_same() -> None:
    x, y = boxes(900, 11)
    own = Grown(6, 2, dense=True)
    own.run(x[:500], y[:500])
    twin = Grown(6, 2, dense=True)
    twin.tree = restore(Tree, {k: np.array(v) for k, v in dump(own.tree, "t").items()}, "t")
    twin.counts, twin.events = own.counts.copy(), own.events
    assert own.run(x[500:], y[500:]).tobytes() == twin.run(x[500:], y[500:]).tobytes()
    same(own.tree, twin.tree)


@pytest.mark.parametrize("dense", [True, False])
def test_constant_huge_and_missing_features_give_no_nan(dense: bool) -> None:
    rng = np.random.default_rng(12)
    own = Grown(8, 4, dense)
    for at in range(1_200):
        row = rng.normal(size=8) * (rng.random(8) < 0.5)
        row[0], row[1] = 3.0, (1e38, 1e-38, -1e38, 0.0)[at % 4]
        if at % 7 == 0:
            row = np.zeros(0) if at % 2 else np.zeros(8)
        p = own.score(row)
        assert np.isfinite(p).all()
        assert ((p >= 0) & (p <= 1)).all()
        own.learn(row, [row.sum() > 0, at % 2 == 0, True, False])
    assert_sound(own.tree)


def test_a_column_seldom_not_at_its_constant_is_told_apart() -> None:
    """Its first events have one value alone."""
    own = Grown(2, 2, dense=True)
    x = np.zeros((600, 2))
    x[observe.WARM + 5 :: 3, 1] = 1
    right = own.run(x, np.stack([x[:, 1] > 0, x[:, 1] == 0], 1))
    assert right[-200:].mean() == 1.0
