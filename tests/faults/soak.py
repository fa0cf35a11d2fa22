"""Load, faults and rebalances for many minutes: `make soak MINUTES=20`.

Three brokers, three members. One member is never killed and answers requests all the time; its
resident memory is what has to stay flat. Prints the faults, the accounts and the memory; the exit
status is 0 where nothing was lost or repeated and the memory at the end is within 5 % of what it
was a quarter of the way in.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median

import httpx

from tests.faults.faults import BROKEN, MEMBERS, OTHER, may_mount
from tests.faults.tour import until
from tests.faults.world import World, free_ports, ready
from tests.kafka_fixtures import load_launcher

WITNESS = "member-0"
NOT_HERE = {"topic: a partition more", "members: two killed at once"}
ENDED = re.compile(r"braid: (?!loading|going on|endpoint|[\d,]+ events)")
PAUSE_S = 10.0
WITHIN = 0.05
ASKS_PER_S = 20.0


def soak(minutes: float, seed: int, folder: Path) -> int:
    """Run, print, and say whether it held."""
    faults = {**BROKEN, **MEMBERS}
    names = sorted(faults.keys() - NOT_HERE)
    chosen, happened = random.Random(seed), Counter[str]()
    world = World(load_launcher(), folder, 3, small_disk=may_mount(), patience_ms=60_000)
    memory: list[tuple[float, int]] = []
    answers = Counter[str]()
    done = threading.Event()
    try:
        (port,) = free_ports(1)
        world.join(WITNESS, SERVE__ENABLED="true", SERVE__PORT=str(port))
        world.join(OTHER)
        world.join("member-2")
        until(lambda: ready(port), lambda: None)
        begun = time.monotonic()
        threads = [
            threading.Thread(target=watch, args=(world, memory, begun, done), daemon=True),
            threading.Thread(target=ask, args=(port, answers, done), daemon=True),
        ]
        for thread in threads:
            thread.start()
        end = begun + 60 * minutes
        while time.monotonic() < end:
            name = chosen.choice(names)
            faults[name](world)
            happened[name] += 1
            world.works()
            time.sleep(PAUSE_S)
        done.set()
        for thread in threads:
            thread.join()
        lives = 1 + len(world.members[WITNESS].ends)
        found = world.quiet()
        ends = [line for line in world.said(WITNESS).splitlines() if ENDED.match(line)]
    finally:
        done.set()
        world.close()
    whole = 60 * minutes
    early = median(size for at, size in memory if 0.23 <= at / whole <= 0.27)
    late = median(size for at, size in memory if at / whole >= 0.96)
    print(f"{minutes:g} minutes, seed {seed}, {sum(happened.values())} faults:")
    for name, times in sorted(happened.items()):
        print(f"  {times:3d}  {name}")
    print(f"events {found.events:,}, lost {found.lost}, repeated {found.repeated}, ", end="")
    print(f"out of order {found.disordered}, dead letters {found.dead} of {found.bad}")
    print(f"requests by status: {dict(sorted(answers.items()))}")
    print(f"{WITNESS}: {lives} lives; resident MB, a sixth of the run each: ", end="")
    print(*(f"{part / 1e6:.0f}" for part in sixths(memory, whole)))
    for line in ends:
        print(f"  {line}")
    change = late / early - 1
    print(f"memory at the end against a quarter of the way in: {change:+.1%}")
    return 0 if found.clean and lives == 1 and abs(change) <= WITHIN else 1


def watch(
    world: World, memory: list[tuple[float, int]], begun: float, done: threading.Event
) -> None:
    """Take the witness's resident bytes every second."""
    while not done.wait(1.0):
        if (size := world.watch().get(WITNESS)) is not None:
            memory.append((time.monotonic() - begun, size))


def ask(port: int, answers: Counter[str], done: threading.Event) -> None:
    """Have texts tagged at a steady pace; count the answers by status."""
    body = {"events": [{"id": "a", "text": "a few words to be tagged"}], "k": 5}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        while not done.wait(1 / ASKS_PER_S):
            try:
                answers[str(client.post("/v1/predict", json=body).status_code)] += 1
            except httpx.HTTPError as error:
                answers[type(error).__name__] += 1


def sixths(memory: list[tuple[float, int]], whole: float) -> list[float]:
    """The median of each sixth of the run."""
    parts = [[size for at, size in memory if n <= 6 * at / whole < n + 1] for n in range(6)]
    return [median(part) for part in parts if part]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="braid-soak-", ignore_cleanup_errors=True) as place:
        sys.exit(soak(asked.minutes, asked.seed, Path(place)))
