"""What the live page, open in five browsers, costs the stream.

    python tests/bench/bench_page.py [--pages 5] [--seconds 12] [--rounds 4] [--out DIR]
        [--modes inside process] [--browsers normal]

A service learns the synthetic stream at full speed, in turns while nobody looks (`alone`), while
five headless browsers show the page of another service, which learns nothing (`elsewhere`), and
while they show its own (`here`). Browsers beside it on a machine of few cores take processor time
and caches that they would not take from afar, more in the last, where there is more to draw:
`here` against `elsewhere` and `alone` have that in them. What a page costs from afar is
`cores_of_the_page`: the processor time that all of the service but the pipeline's thread takes
beyond what it takes without. While it runs, the pipeline's thread may have to wait for it; so that
much of the throughput is lost at most. Medians over the rounds. `inside` is the endpoint beside the
pipeline, `process` is `serve.process`; `--browsers idle` gives browsers only what nobody else
wants.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from machine import describe

from tests.browser import Window, browser, chromium, service
from tests.faults.world import free_ports

_HZ = os.sysconf("SC_CLK_TCK")
_WARM_EVENTS = 10_000
_SETTLE_S = 2.0


def main() -> None:
    """Measure, and print one object a mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--modes", nargs="+", default=["inside", "process"])
    parser.add_argument("--browsers", nargs="+", default=["normal"])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if not chromium():
        raise SystemExit("Chromium is needed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        with service(f"checkpoint.folder={folder}") as (_, address):
            while _learnt(address) < _WARM_EVENTS:
                time.sleep(1)  # what it knows is kept at its end
        port = free_ports(1)[0]
        sets = f"checkpoint.folder={folder}", f"serve.port={port}"
        with service(*sets, source="") as (_, other):
            found = [
                _measure(mode, share, asked, other)
                for mode in asked.modes
                for share in asked.browsers
            ]
    report = {"machine": describe("nicegui", "playwright"), "runs": found}
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "page.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report["machine"]))


def _measure(mode: str, share: str, asked: argparse.Namespace, other: str) -> dict[str, Any]:
    sets = ["serve.process=true"] if mode == "process" else []
    rounds: dict[str, list[dict[str, float]]] = {"alone": [], "elsewhere": [], "here": []}
    with service(*sets) as (running, address):
        while _learnt(address) < _WARM_EVENTS:
            time.sleep(1)
        turns = [("alone", ""), ("elsewhere", other), ("here", address)]
        for number in range(asked.rounds):  # there and back: the stream slows as the model grows
            for where, shown in turns[:: -1 if number % 2 else 1]:
                with _looked_at(shown, share, asked.pages, asked.seconds):
                    rounds[where].append(_phase(running.pid, address, asked.seconds))
    found = {where: _medians(every) for where, every in rounds.items()}
    told = {
        "mode": mode, "browsers": share, "pages": asked.pages, **found,
        "here_to_elsewhere": _ratio(found, "here", "elsewhere"),
        "here_to_alone": _ratio(found, "here", "alone"),
        "cores_of_the_page": round(
            found["here"]["cores_beside_the_pipeline"]
            - found["elsewhere"]["cores_beside_the_pipeline"], 4,
        ),
        "rounds": rounds,
    }  # fmt: skip
    print(json.dumps({name: part for name, part in told.items() if name != "rounds"}), flush=True)
    return told


def _ratio(found: dict[str, dict[str, float]], one: str, other: str) -> float:
    return round(found[one]["learnt_per_s"] / found[other]["learnt_per_s"], 4)


@contextmanager
def _looked_at(address: str, share: str, pages: int, seconds: float) -> Iterator[None]:
    """While pages are open, where an address is given; they have to follow."""
    if not address:
        yield
        return
    with _sharing(share), browser() as opened:
        windows = [Window(opened, address) for _ in range(pages)]
        for window in windows:
            window.drawn()
        windows[0].page.wait_for_timeout(1000 * _SETTLE_S)
        before = [window.tell("braid.state.rows.at(-1)[0]") for window in windows]
        yield
        after = [window.tell("braid.state.rows.at(-1)[0]") for window in windows]
        behind = [1 - (b - a) / 1000 / seconds for a, b in zip(before, after, strict=True)]
        if max(behind) > 0.5:
            print(f"the pages were behind: {behind}", file=sys.stderr)
        for window in windows:
            window.close()


def _phase(pid: int, address: str, seconds: float) -> dict[str, float]:
    begun, learnt, busy, own = time.monotonic(), _learnt(address), _busy(pid), _pipeline(pid)
    time.sleep(seconds)
    events, spent = _learnt(address) - learnt, _busy(pid) - busy
    beside = spent - (_pipeline(pid) - own)
    return {
        "cores_beside_the_pipeline": round(beside / (time.monotonic() - begun), 4),
        "learnt_per_s": round(events / (time.monotonic() - begun), 1),
        "cpu_s_per_1000": round(1000 * spent / max(events, 1), 4),
        "cores": round(spent / (time.monotonic() - begun), 3),
    }


class _sharing:  # noqa: N801  # a context manager, used as a function is
    """What is started inside gets idle processor time alone, where that is asked for."""

    def __init__(self, share: str) -> None:
        self._idle = share == "idle"

    def __enter__(self) -> None:
        if self._idle:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    def __exit__(self, *_: object) -> None:
        if self._idle:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def _learnt(address: str) -> float:
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith('braid_events_total{action="learnt"}'):
                return float(line.rpartition(" ")[2])
    return 0.0


def _pipeline(pid: int) -> float:
    """Processor seconds of the thread that the pipeline runs in, the process's first."""
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _HZ


def _busy(pid: int) -> float:
    """Processor seconds of a process and of those that it started."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            pids += [int(one) for one in (task / "children").read_text().split()]
    spent = 0.0
    for one in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            spent += (int(fields[11]) + int(fields[12])) / _HZ
    return spent


if __name__ == "__main__":
    main()
