"""Killed at every step of commit and snapshot: the outputs and the state are as if it was not."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.config import Kafka, Topics
from tests.faults.conftest import Ledger
from tests.faults.crash import STEPS
from tests.faults.tour import Tour, whole

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_800)]

SMOKE = [
    ("commit: all arrived", 2),
    ("commit: done, and not known here", 2),
    ("snapshot: half of a file", 7),
    ("snapshot: named, not synced", 2),
]
EVENTS = 60
"""Between two deaths."""


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(int(os.environ.get("FAULT_TOURS", "15"))))
def test_killed_at_every_step(
    seed: int, member: Callable[..., Kafka], topics: Topics, tmp_path: Path, ledger: Ledger
) -> None:
    chosen = random.Random(seed)
    steps = [(step, _nth(step, chosen)) for step in STEPS]
    chosen.shuffle(steps)
    toured(steps, member, topics, tmp_path, ledger)


def test_killed_at_a_few_steps(
    member: Callable[..., Kafka], topics: Topics, tmp_path: Path, ledger: Ledger
) -> None:
    toured(SMOKE, member, topics, tmp_path, ledger)


def toured(
    steps: list[tuple[str, int]], member: Callable[..., Kafka], topics: Topics, folder: Path,
    ledger: Ledger,
) -> None:  # fmt: skip
    tour = Tour(member(), topics, folder)
    for step, nth in steps:
        tour.feed(EVENTS)
        tour.kill_at(step, nth)
    tour.feed(EVENTS)
    found = tour.finish()
    ledger.note([step for step, _ in tour.deaths], tour.recoveries(), found)
    assert found.clean, found
    assert "Traceback" not in tour.said(), tour.said()
    tag = uuid.uuid4().hex[:10]
    others = Topics(**{name: f"test-{tag}-{name}" for name in Topics.model_fields})
    again = member().model_copy(update={"group": others.events})
    expected = whole(again, others, folder / "whole", tour.fed)
    assert tour.state() == expected


def _nth(step: str, chosen: random.Random) -> int:
    """Which time the process comes to it: of records and files there are many."""
    if step in {"commit: a record sent", "snapshot: half of a file", "snapshot: a file whole"}:
        return chosen.randint(1, 40)
    return chosen.randint(1, 3)
