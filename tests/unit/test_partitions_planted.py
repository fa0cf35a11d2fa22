"""Partitions on two kinds of planted groups, against a dense reference, and on bad input."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from stream.learn.partitions.partitioner import PartitionDelta
from stream.learn.partitions.state import EVENTS, LEAF, SLOTS
from stream.source.planted import GraphWalks, ZipfGroups
from tests.unit.dense_partitions import DensePartitions
from tests.unit.test_partitions import check, flat, make, placed, rand_index, rebuild

KINDS = [ZipfGroups, GraphWalks]
PHASE = 10_000
Events = tuple[Any, Any]


def ari(groups: Any, leaf_of: Any, truths: Any, least: int) -> float:
    """Over labels of at least so many events in the phase."""
    counts = np.bincount(truths, minlength=len(groups))
    few = (counts >= least) & (leaf_of[: len(groups)] >= 0)
    assert few.sum() > len(groups) / 10
    return rand_index(groups[few], leaf_of[: len(groups)][few])


def cut(truths: Any, bounds: Any, start: int, stop: int) -> Events:
    return truths[bounds[start] : bounds[stop]], bounds[start : stop + 1] - bounds[start]


@cache
def learnt(kind: type[ZipfGroups | GraphWalks], seed: int) -> dict[str, Any]:
    """1,000 labels: two phases and a stationary stretch, and all deltas followed."""
    stream, partitioner = kind(1_000, seed=seed), make(1_000)
    mirror: dict[int, int] = {}
    figures: dict[str, Any] = {}
    for phase in ("learnt", "remixed"):
        if phase == "remixed":
            stream.remix()
        groups, (truths, bounds) = stream.group_of(), stream.draw(PHASE)
        rebuild(mirror, partitioner.observe(truths, bounds))
        assert mirror == placed(partitioner)
        leaf_of = partitioner.leaf_of
        figures[phase] = [ari(groups, leaf_of, truths, least) for least in (1, 10)]
    check(partitioner)
    deltas = partitioner.observe(*stream.draw(30_000))
    rebuild(mirror, deltas)
    assert mirror == placed(partitioner)
    figures["moves"] = sum(delta.kind == "move" for delta in deltas)
    figures["kinds"] = {delta.kind for delta in deltas}
    return figures


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_labels_are_grouped_in_ten_thousand_events_and_again_after_a_remix(
    kind: type[ZipfGroups | GraphWalks], seed: int
) -> None:
    found = learnt(kind, seed)
    for phase in ("learnt", "remixed"):
        seen, ten = found[phase]
        assert ten >= 0.95
        # Zipf's rarest labels come three times, often beside another group's.
        assert seen >= (0.92 if kind is ZipfGroups else 0.95)
    assert found["moves"] <= 5 * 30


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_labels_are_grouped_in_forty_thousand_events(
    kind: type[ZipfGroups | GraphWalks],
) -> None:
    stream, partitioner = kind(10_000, seed=0), make(10_000)
    truths, bounds = stream.draw(40_000)
    partitioner.observe(truths, bounds)
    assert ari(stream.group_of(), partitioner.leaf_of, truths, 10) >= 0.95


def test_a_dense_reference_agrees_exactly_where_no_slot_can_fill() -> None:
    """No more labels than slots, groups that re-mix, leaves that split, merge and drift."""
    rng = np.random.default_rng(1)
    partitioner, dense = make(SLOTS), DensePartitions(SLOTS)
    kinds = set()
    order = rng.permutation(SLOTS)
    for phase in range(6):
        together = 16 if phase == 3 else 8
        for _ in range(10):
            sets = []
            for _ in range(60):
                group = int(rng.integers(SLOTS // together)) * together
                picked = {int(x) for x in order[group + rng.integers(0, together, 4)]}
                picked |= {int(x) for x in rng.integers(0, SLOTS, rng.poisson(0.3))}
                sets.append(sorted(picked))
            kinds |= {delta.kind for delta in partitioner.observe(*flat(sets))}
            dense.observe(sets)
            assert same(partitioner.leaf_of[:SLOTS], dense.leaf_of)
            np.testing.assert_allclose(partitioner.state.labels.n[:SLOTS], dense.n, rtol=1e-4)
        if phase in (1, 4):
            order = rng.permutation(order)
    assert kinds == {"new", "move", "split", "merge"}


def same(a: Any, b: Any) -> bool:
    """Whether two clusterings are one, whatever their numbers."""
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len({x for x, _ in pairs}) == len({y for _, y in pairs})


def test_a_dense_reference_agrees_at_a_thousand_labels() -> None:
    stream, partitioner, dense = ZipfGroups(1_000, seed=3), make(1_000), DensePartitions(1_000)
    truths, bounds = stream.draw(PHASE)
    partitioner.observe(truths, bounds)
    dense.observe([event.tolist() for event in np.split(truths, bounds[1:-1])])
    assert (partitioner.state.labels.co[:1_000] >= 0).all(1).any()  # slots were full
    assert ari(dense.leaf_of, partitioner.leaf_of, truths, 1) >= 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_any_cut_of_micro_batches_and_any_second_run_give_the_same(
    kind: type[ZipfGroups | GraphWalks],
) -> None:
    truths, bounds = kind(1_000, seed=6).draw(4_000)
    whole = make(1_000)
    expected = whole.observe(truths, bounds)
    assert make(1_000).observe(truths, bounds) == expected
    for longest in (2, 333):
        rng, parts = np.random.default_rng(longest), make(1_000)
        found: list[PartitionDelta] = []
        start = 0
        while start < 4_000:
            stop = min(start + int(rng.integers(1, longest + 1)), 4_000)
            found += parts.observe(*cut(truths, bounds, start, stop))
            start = stop
        assert found == expected
        assert (parts.leaf_of == whole.leaf_of).all()
        assert (parts.state.labels.w == whole.state.labels.w).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_stream_repeats_and_a_remix_exchanges_half_of_the_groups(
    kind: type[ZipfGroups | GraphWalks],
) -> None:
    stream, again = kind(500, seed=2), kind(500, seed=2)
    truths, bounds = stream.draw(3_000)
    same_truths, same_bounds = again.draw(3_000)
    assert (truths == same_truths).all()
    assert (bounds == same_bounds).all()
    assert truths.dtype == np.int32
    assert bounds.dtype == np.int64
    assert 0 <= truths.min() <= truths.max() < 500
    inside = np.ones(len(truths), bool)
    inside[bounds[:-1][np.diff(bounds) > 0]] = False
    assert (np.diff(truths)[inside[1:]] > 0).all()  # distinct in each event
    before, mixed, after = stream.group_of(), stream.remix(), stream.group_of()
    assert (before[~mixed] == after[~mixed]).all()
    assert (np.bincount(before) == np.bincount(after)).all()
    assert len(np.unique(after[mixed])) == stream.groups // 2
    assert (before[mixed] != after[mixed]).mean() > 0.5
    moved = stream.draw(3_000)
    assert together(moved, after) > together(moved, before) + 0.1


def together(events: Events, groups: Any) -> float:
    """Share of neighbours in events that are of one group."""
    truths, bounds = events
    near = np.ones(len(truths) - 1, bool)
    near[bounds[1:-1][(bounds[1:-1] > 0) & (bounds[1:-1] < len(truths))] - 1] = False
    return float((groups[truths[1:]] == groups[truths[:-1]])[near].mean())


def test_a_label_named_twice_in_an_event_does_not_meet_itself() -> None:
    partitioner = make(8)
    for _ in range(300):
        partitioner.observe(*flat([[0, 0, 1], [2, 2], [3, 4, 3, 4, 5]]))
    check(partitioner)
    assert partitioner.leaf_of[0] == partitioner.leaf_of[1]
    assert partitioner.leaf_of[3] == partitioner.leaf_of[4] == partitioner.leaf_of[5]
    assert partitioner.leaf_of[2] == -1  # alone, however often it is named
    plain = make(8)
    for _ in range(300):
        plain.observe(*flat([[0, 1], [2], [3, 4, 5]]))
    assert (plain.state.labels.w == partitioner.state.labels.w).all()


def test_events_of_every_label_there_is_are_sampled_and_keep_the_invariants() -> None:
    partitioner, mirror = make(1_000), dict[int, int]()
    for _ in range(60):
        rebuild(mirror, partitioner.observe(*flat([list(range(1_000))] * 5)))
    assert mirror == placed(partitioner)
    check(partitioner)
    assert max(len(partitioner.members(leaf)) for leaf in range(partitioner.highest)) <= LEAF


def test_a_label_that_was_gone_for_a_million_events_finds_its_new_group() -> None:
    rng = np.random.default_rng(0)
    one, other = list(range(1, 12)), list(range(12, 24))

    def sets(n: int, with_zero: list[int] | None) -> list[list[int]]:
        found = [rng.permutation(group)[:4].tolist() for group in (one, other)] * (n // 2)
        if with_zero is not None:
            found = [[0, *rng.permutation(with_zero)[:3].tolist()] for _ in range(n)]
        return found

    partitioner = make(24)
    partitioner.observe(*flat(sets(400, None) + sets(100, one)))
    assert partitioner.leaf_of[0] == partitioner.leaf_of[1]
    # A million events without it: only what they do to the rates.
    partitioner.state.labels.rate[1:24] *= 2.0**20
    partitioner.state.growth[:] *= 2.0**20
    partitioner.state.sizes[EVENTS] += 1_000_000
    partitioner.observe(*flat(sets(60, other)))
    assert partitioner.leaf_of[0] == partitioner.leaf_of[12]
    check(partitioner)


def test_groups_survive_a_rebase_of_their_rates() -> None:
    stream, partitioner, shifted = ZipfGroups(200, seed=1), make(200), make(200)
    shifted.state.growth[0] = 0.999e200  # overflows in the middle of what follows
    truths, bounds = stream.draw(5_000)
    deltas = partitioner.observe(truths, bounds)
    found = shifted.observe(truths, bounds)
    assert shifted.state.growth[0] < 2
    assert np.isfinite(shifted.state.labels.rate).all()
    assert len(found) == pytest.approx(len(deltas), rel=0.1)
    assert ari(stream.group_of(), shifted.leaf_of, truths, 10) >= 0.95
