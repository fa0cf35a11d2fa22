"""Drift with planted truth: false alarms, delay, whom alarms name, and what the reaction is worth.

    python tests/bench/bench_drift.py [--stationary N] [--json FILE] [KIND:DRIFT ...]

Every learner kind meets every kind of drift in one group of labels, with the reaction and
without (the stream and its labels are the same), and stationary streams. River's ADWIN hears
the stream's loss beside ours, at the same confidence, counted when the loss has risen.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from machine import describe

from stream.source.synthetic import Drift
from tests.drift_harness import PLANS, SETTINGS, Trace, delay, lost, others, planned, recovery, run

WIDTH = 3_000  # events of a change that takes its time
AFTER = {"small sparse": (8_000, 6_000), "small dense": (8_000, 6_000), "extreme": (12_000, 12_000)}
CHANGES = ("sudden", "gradual", "incremental", "recurring")


def river(trace: Trace) -> list[int]:
    """Events at which river's ADWIN finds that the stream's loss has risen."""
    from river.drift import ADWIN

    detector, found = ADWIN(delta=SETTINGS.drift_delta), []
    for at, loss in enumerate(trace.loss.tolist()):
        before = detector.estimation
        detector.update(loss)
        if detector.drift_detected and detector.estimation > before:
            found.append(at)
    return found


def change(kind: str, drift: str, seed: int) -> dict[str, Any]:
    """One learner kind, one kind of drift, with the reaction and without."""
    start, rest = AFTER[kind]
    plan = planned(kind, seed, Drift(drift, start, WIDTH))
    horizon = 100_000
    row: dict[str, Any] = {"learner": kind, "drift": drift, "seed": seed}
    for name, reacting in (("with", True), ("without", False)):
        before = time.perf_counter()
        trace = run(plan, start + rest, reacting)
        row[name] = {
            "recovery": recovery(trace, plan),
            "lost": lost(trace, plan, horizon),
            "others": others(trace, plan),
            "seconds": time.perf_counter() - before,
        }
        if reacting:
            later = [alarm for alarm in trace.alarms if alarm[0] >= start]
            row |= {
                "early_alarms": len(trace.alarms) - len(later),
                "alarms": len(later),
                "naming": sum(share > 0.5 for _, _, share in later),
                "delay": delay(trace, plan),
                "group_events": int(np.isfinite(trace.hit[start:, plan.drift.groups[0]]).sum()),
                "river": [at - start for at in river(trace) if at >= start],
            }
    row["gain"] = row["without"]["lost"] / max(row["with"]["lost"], 1e-9)
    return row


def still(kind: str, events: int, seed: int) -> dict[str, Any]:
    """False alarms of a stationary stream, the start of learning included."""
    trace = run(planned(kind, seed, Drift()), events)
    return {
        "learner": kind, "seed": seed, "events": events, "alarms": len(trace.alarms),
        "river": len(river(trace)),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| learner | drift | seed | alarms, naming the group | delay, its events "
        "| river: events, whole stream | recovery with / without | accuracy lost with / without "
        "| others with / without |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        a, b = row["with"], row["without"]
        lines.append(
            f"| {row['learner']} | {row['drift']} | {row['seed']} "
            f"| {row['alarms']}, {row['naming']} | {row['delay']} | {row['river']} "
            f"| {a['recovery']} / {b['recovery']} "
            f"| {a['lost']:.0f} / {b['lost']:.0f} ({row['gain']:.1f}x) "
            f"| {a['others']:.3f} / {b['others']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--stationary", type=int, default=20_000, help="events of each stream")
    parser.add_argument("--streams", type=int, default=2, help="stationary streams of each kind")
    parser.add_argument("--repeats", type=int, default=3, help="seeds of each sudden change")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("cells", nargs="*", help="such as 'extreme:sudden'; all by default")
    chosen = parser.parse_args()
    cells = chosen.cells or [f"{kind}:{drift}" for kind in PLANS for drift in CHANGES]
    runs = [(*cell.split(":"), chosen.seed + k) for cell in cells
            for k in range(chosen.repeats if cell.endswith("sudden") else 1)]  # fmt: skip
    seeds = range(chosen.seed + 100, chosen.seed + 100 + chosen.streams)
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn")) as pool:
        changed = [pool.submit(change, *one) for one in runs]
        stood = [pool.submit(still, kind, chosen.stationary, at) for kind in PLANS for at in seeds]
        for done in as_completed(changed + stood):
            print(json.dumps(done.result()), file=sys.stderr, flush=True)
    rows, quiet = [one.result() for one in changed], [one.result() for one in stood]
    events = sum(row["events"] for row in quiet)
    result = {
        "machine": describe("numpy", "numba", "river"), "seed": chosen.seed,
        "changes": rows, "stationary": quiet, "stationary_events": events,
        "false_alarms": sum(row["alarms"] for row in quiet),
        "false_alarms_river": sum(row["river"] for row in quiet),
    }  # fmt: skip
    print(f"machine: {result['machine']}, seed {chosen.seed}\n")
    print(table(rows))
    print(f"\n{result['false_alarms']} false alarms in {events:,} stationary events "
          f"({', '.join(PLANS)}); river's ADWIN on the stream's loss alone: "
          f"{result['false_alarms_river']}")  # fmt: skip
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
