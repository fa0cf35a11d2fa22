"""Keeps what the faults cost, and prints it as a table at the end."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

import pytest

from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import ModuleType

    from tests.faults.account import Account


class Ledger:
    """Faults by kind: how often, what was lost or repeated, how long until work went on."""

    def __init__(self) -> None:
        self.tried: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.events = self.lost = self.repeated = 0
        self.said: list[str] = []

    def note(
        self, faults: Iterable[str], recoveries: Iterable[tuple[str, float]], found: Account
    ) -> None:
        """Add a run; a loss cannot be laid at the door of one of its faults."""
        for kind in faults:
            self.tried[kind] += 1
        for kind, seconds in recoveries:
            self.seconds[kind].append(seconds)
        self.events += found.events
        self.lost += found.lost
        self.repeated += found.repeated

    def say(self, line: str) -> None:
        """A figure to stand below the table."""
        self.said.append(line)

    def table(self) -> list[str]:
        """Lines of Markdown."""
        if not self.tried:
            return self.said
        lines = ["| fault | times | recovery, median s | longest s |", "|---|---|---|---|"]
        for kind, times in sorted(self.tried.items()):
            took = self.seconds[kind]
            shown = f"{median(took):.1f} | {max(took):.1f}" if took else "- | -"
            lines.append(f"| {kind} | {times} | {shown} |")
        total = sum(self.tried.values())
        lines.append("")
        lines.append(
            f"{total} faults of {len(self.tried)} kinds, {self.events:,} events: "
            f"lost {self.lost}, repeated {self.repeated}"
        )
        return lines + self.said


LEDGER = Ledger()


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    """The one of this session."""
    return LEDGER


@pytest.fixture
def made(launcher: ModuleType, tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(partitions: int, **own: object) -> World:
        worlds.append(world := World(launcher, tmp_path, partitions, **own))  # type: ignore[arg-type]
        return world

    yield make
    for world in worlds:
        world.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if LEDGER.tried or LEDGER.said:
        terminalreporter.write_line("")
        for line in LEDGER.table():
            terminalreporter.write_line(line)
