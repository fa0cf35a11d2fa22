"""Brokers, network and members fail beneath a load; the accounts and the models are as without."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from itertools import combinations

import httpx
import pytest

from stream.pipeline import Pipeline
from tests.faults.agree import agreement, models
from tests.faults.conftest import Ledger
from tests.faults.faults import (
    BROKEN,
    JOINS,
    MEMBERS,
    Fault,
    may_mount,
    refusing_dead_letters,
)
from tests.faults.tour import SETTINGS, until
from tests.faults.world import World, free_ports, ready

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.timeout(3_600)]

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "2"))
EACH_S = 4.0
"""Of load after a fault is over, before the next."""
STALL_S = 12.0
"""Longer than a loop that says nothing stays in the group: half of the poll interval."""
MOST_BYTES = 1_500_000_000
SIZES = {name: SETTINGS[name] for name in SETTINGS if name.startswith(("LEARN", "INDEX"))}


def test_faults_of_brokers_network_and_topics_under_load(
    made: Callable[..., World], ledger: Ledger
) -> None:
    world = made(3, small_disk=may_mount())
    for name in ("member-0", "member-1"):
        world.join(name)
    world.works()
    happen(world, list(BROKEN.items()) * ROUNDS, ledger)
    same_labels(world)


def test_members_join_leave_hang_and_die_under_load(
    made: Callable[..., World], ledger: Ledger
) -> None:
    world = made(3, KAFKA__MERGE_MS="300")
    for name in ("member-0", "member-1"):
        world.join(name)
    world.works()
    kept = world.folder / "snapshots"
    until(lambda: any(kept.glob("*/snapshot-*")), lambda: None)  # for whoever joins
    happen(world, [*JOINS.items(), *list(MEMBERS.items()) * ROUNDS], ledger)
    left = same_labels(world)
    assert len(left) == 3
    assert len({one.model.position for one in left}) == 1
    shares = [agreement(*pair, seed=3) for pair in combinations(left, 2)]
    ledger.say(f"three members, top five the same on {min(shares):.1%} of probes at least")
    assert min(shares) >= 0.95


def happen(world: World, faults: Sequence[tuple[str, Fault]], ledger: Ledger) -> None:
    """One fault after another under load, each until all works again; then the accounts."""
    took: list[tuple[str, float]] = []
    for name, fault in faults:
        fault(world)
        over = time.monotonic()
        world.works()
        took.append((name, time.monotonic() - over))
        time.sleep(EACH_S)
    found = world.quiet()
    ledger.note([name for name, _ in faults], took, found)
    assert found.clean, found
    assert world.largest < MOST_BYTES


def same_labels(world: World) -> list[Pipeline]:
    """The members' models, which know the same labels."""
    left = list(models(world.folder / "snapshots", SIZES).values())
    assert len({frozenset(one.model.labels.names) for one in left}) == 1
    return left


def test_members_of_one_partition_have_the_same_model(
    made: Callable[..., World], ledger: Ledger
) -> None:
    world = made(1, INDEX__BACKGROUND="false")
    world.join("member-0")
    world.works()
    world.join("member-1")
    for _ in range(2):
        for name in ("member-0", "member-1"):
            time.sleep(EACH_S)
            world.members[name].signal(signal.SIGKILL)
            world.works()
    found = world.quiet()
    ledger.note(["member: killed, one partition"] * 4, [], found)
    assert found.clean, found
    one, other = models(world.folder / "snapshots", SIZES).values()
    assert one.model.position == other.model.position
    assert agreement(one, other, seed=3) == 1.0


def test_a_dead_letter_topic_that_takes_nothing(made: Callable[..., World]) -> None:
    world = made(1)
    (port,) = free_ports(1)
    world.join("member-0", SERVE__ENABLED="true", SERVE__PORT=str(port))
    until(lambda: ready(port), lambda: None)
    address = f"http://127.0.0.1:{port}"

    def waits() -> bool:
        text = httpx.get(f"{address}/metrics").text
        found = re.search(r"^braid_commit_waiting_seconds (\S+)$", text, re.MULTILINE)
        return found is not None and float(found[1]) > STALL_S

    with refusing_dead_letters(world):
        until(waits, lambda: None)
        told = httpx.get(f"{address}/readyz").json()
        assert told["ready"]
        assert any("a commit has taken" in problem for problem in told["problems"])
    world.works()
    until(lambda: httpx.get(f"{address}/readyz").json()["problems"] == [], lambda: None)
    assert world.members["member-0"].ends == []
    assert world.quiet().clean
    assert "lease lost" not in world.said("member-0")  # it polled all the time
