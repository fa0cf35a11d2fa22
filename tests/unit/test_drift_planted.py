"""Drift from planted truth through the whole model: found, named, mended, and nobody else moved."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from stream.config import Learn
from stream.source.synthetic import Drift, Drifting
from tests.drift_harness import Trace, delay, lost, others, run

START = 1_600
AFTER = {"small sparse": 1_400, "small dense": 1_400, "extreme": 2_600}
HORIZON = 600  # of the group's own events
PLANS = {
    "small sparse": Drifting(groups=4, size=10),
    "small dense": Drifting(groups=4, size=10, dimension=32),
    "extreme": Drifting(groups=5, size=8),
}
KINDS = pytest.mark.parametrize("kind", list(PLANS))


def settings(kind: str) -> Learn:
    """Few labels for any learner, so that a group has many events soon."""
    few = 16 if kind == "extreme" else 512
    return Learn(exemplar_bytes=12_500_000, hash_bits=14, linear_bytes=1_048_576, small_labels=few)


def plan_of(kind: str) -> Drifting:
    return replace(PLANS[kind], seed=3, drift=Drift("sudden", START))


@cache
def traced(kind: str, reacting: bool) -> Trace:
    return run(plan_of(kind), START + AFTER[kind], reacting, settings(kind))


@KINDS
def test_a_sudden_change_is_found_soon_and_its_partition_named(kind: str) -> None:
    trace, plan = traced(kind, True), plan_of(kind)
    assert [alarm for alarm in trace.alarms if alarm[0] < START] == []
    after = delay(trace, plan)
    assert after is not None
    assert after <= 500
    assert sum(share > 0.5 for _, _, share in trace.alarms) >= 0.9 * len(trace.alarms)


@KINDS
def test_the_reaction_halves_what_is_lost_and_leaves_the_others_alone(kind: str) -> None:
    plan = plan_of(kind)
    mended, left = traced(kind, True), traced(kind, False)
    assert 2 * lost(mended, plan, HORIZON) <= lost(left, plan, HORIZON)
    assert others(mended, plan) >= others(left, plan) - 0.01


@pytest.mark.parametrize("kind", ["small dense", "extreme"])
def test_learning_the_same_twice_alarms_the_same(kind: str) -> None:
    one: Any = run(plan_of(kind), START + 200, True, settings(kind)).alarms
    assert len(one) == 1
    assert one == [alarm for alarm in traced(kind, True).alarms if alarm[0] < START + 200]
