"""Cost against the number of labels, ours and the peers', on the same events in one run.

    make bench-scale [ARGS="--quick"]
    python tests/bench/bench_scale.py [--labels 1000 ...] [--data ../shared/data] [--out DIR]

Events come from the vast synthetic stream. Ours first takes its tour, which shows every label
once, so that the whole label space is known and indexed; then windows of events are predicted
and learnt, and others only predicted, from bytes to predictions by name, in micro-batches as on
the Kafka path. Peers start fresh and have a limit of time; they learn the same events, without the
tour. Each measurement is a process of its own. The profile is of other windows than the timing.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import pstats
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import orjson
from machine import describe

SEED = 7
BATCH = 64
SIZES = [1_000, 10_000, 100_000, 1_000_000]
WINDOW, WINDOWS = 2_000, 7
PEER_S = 30.0
# stages by the file a function is in; the first that fits
STAGES = {
    "learner's kernels": ("extreme/batch.py", "extreme/learner.py", "small/learner.py"),
    "index and prototypes": ("indexes/", "faiss", "retrieval.py"),
    "text to rows": ("tokens.py", "features.py"),
    "bytes to events": ("codec.py", "orjson"),
    "partitions and drift": ("partitions/", "drift.py", "adwin.py", "reaction.py"),
    "suspicion": ("suspicion.py", "flips.py"),
    "model and pipeline, Python": ("stream/",),
}


def vast(labels: int, tour: bool) -> Any:
    """The stream that all are measured on."""
    from stream.source.synthetic import Vast, VastStream

    return VastStream(Vast(labels, tour=tour, seed=SEED))


def stage_of(function: tuple[str, int, str]) -> str:
    """The stage that a profiled function belongs to."""
    where = f"{function[0]}{function[2]}"
    for stage, parts in STAGES.items():
        if any(part in where for part in parts):
            return stage
    return "the rest of Python and numpy"


def ours(labels: int) -> dict[str, Any]:
    """Our pipeline at one size."""
    from stream.codec import Codec
    from stream.config import load
    from stream.learn.warmup import warm
    from stream.pipeline import Item, Pipeline
    from stream.types import Record

    warm()
    settings = load(None, {})
    pipeline, codec = Pipeline(settings), Codec(settings.limits, lambda n: None)
    stream = vast(labels, True)
    records = stream.records()

    def step(pairs: list[tuple[bytes, bytes]], learn: bool = True) -> list[Any]:
        items = []
        for at, (key, value) in enumerate(pairs):
            example = codec.event(Record("events", 0, at, key, value, 0))
            items.append(Item(example, learn=learn))
        made = pipeline.step(items).predictions
        return [(items[at].what, made[at]) for at in range(len(items))]

    def batches(n: int) -> Iterator[list[tuple[bytes, bytes]]]:
        for start in range(0, n, BATCH):
            yield list(itertools.islice(records, min(BATCH, n - start)))

    start = time.perf_counter()
    for batch in batches(stream.vast.tour_events):
        step(batch)
    tour_s = time.perf_counter() - start
    for batch in batches(WINDOW):
        step(batch)
    learn, hits, seen = [], 0, 0
    for _ in range(WINDOWS):
        drawn = list(batches(WINDOW))
        start = time.perf_counter()
        made = [one for batch in drawn for one in step(batch)]
        learn.append((time.perf_counter() - start) / WINDOW)
        hits += sum(bool(p.top) and p.top[0].label in e.labels for e, p in made)
        seen += len(made)
    bare = [orjson.loads(value) for batch in batches(WINDOW) for _, value in batch]
    asked = [(b"", orjson.dumps({"id": one["id"], "text": one["text"]})) for one in bare]
    predict = []
    for _ in range(3):
        start = time.perf_counter()
        for at in range(0, WINDOW, BATCH):
            step(asked[at : at + BATCH], learn=False)
        predict.append((time.perf_counter() - start) / WINDOW)
    profile = cProfile.Profile()
    for batch in list(batches(WINDOW)):
        profile.runcall(step, batch)
    spent: dict[str, float] = {}
    for function, (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        stage = stage_of(function)
        spent[stage] = spent.get(stage, 0.0) + own
    whole, ranked = sum(spent.values()), sorted(spent.items(), key=lambda pair: -pair[1])
    retrieval = pipeline.retrieval
    return {
        "labels": labels, "known": len(pipeline.model.labels), "tour_s": tour_s,
        "learn_us": 1e6 * float(np.median(learn)), "predict_us": 1e6 * float(np.median(predict)),
        "per_second": 1 / float(np.median(learn)), "slowest_per_second": 1 / max(learn),
        "precision_at_1": hits / seen,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        "index": retrieval.index.kind if retrieval else "none",
        "index_worth": pipeline.model.index_worth,
        "profile": {stage: own / whole for stage, own in ranked},
    }  # fmt: skip


def bounds() -> dict[str, float]:
    """What the memory of this machine gives: GB/s copied, ns a random read of 64 MB, and alone."""
    import numba

    @numba.njit
    def walk(slots: Any, n: int, chained: bool) -> int:
        at, total = np.uint64(1), 0
        for _ in range(n):
            at = at * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            where = np.int64((at >> np.uint64(20)) % np.uint64(len(slots)))
            total += slots[where]
            if chained:
                at += np.uint64(slots[where])
        return total

    slots, copy = np.zeros(1 << 23, np.int64), np.zeros(1 << 23, np.int64)
    out = {}
    for name, chained in (("random_read_ns", False), ("dependent_read_ns", True)):
        walk(slots, 10, chained)
        start = time.perf_counter()
        walk(slots, 2_000_000, chained)
        out[name] = (time.perf_counter() - start) / 2_000_000 * 1e9
    start = time.perf_counter()
    for _ in range(5):
        np.copyto(copy, slots)
    out["copy_gb_s"] = 5 * 2 * slots.nbytes / (time.perf_counter() - start) / 1e9
    return out


def tibkat(folder: Path, most: int) -> list[dict[str, Any]]:
    """Library records from text: ours and the tree on the same events."""
    from scale_peers import vowpal

    from stream.config import load
    from stream.evaluate import Task, score_all
    from stream.learn.warmup import warm
    from stream.source.folder import Folder

    warm()
    *_, mine = score_all(Task(folder, most, True), load(None, {}))
    whole = Folder(folder, text=True)
    slot = {name: at for at, name in enumerate(whole.label_names)}
    events = (
        (one.text or "", [slot[name] for name in one.labels or ()])
        for one in whole.examples(most)
        if one.labels
    )
    peer = vowpal(events, whole.labels, most, 2 * PEER_S)
    return [
        {"peer": "ours", "events": most, "per_second": mine["events_per_second"],
         "precision_at_1": mine["precision_at_1"]},
        peer,
    ]  # fmt: skip


def one(what: str, labels: int, data: Path, events: int) -> Any:
    """One measurement, in this process."""
    import scale_peers

    drawn = ((event.text, event.labels) for event in vast(max(labels, 1), False).events())
    if what == "ours":
        return ours(labels)
    if what == "vowpal":
        return scale_peers.vowpal(drawn, labels, 5_000, PEER_S)
    if what == "river":
        return scale_peers.river(drawn, labels, 200, PEER_S)
    if what == "exact":
        return scale_peers.exact(labels)
    return bounds() if what == "bounds" else tibkat(data / "tibkat", events)


def apart(what: str, labels: int, chosen: argparse.Namespace) -> Any:
    """One measurement, in a process of its own; its error where it could not be made."""
    words = [__file__, "--one", what, "--labels", str(labels), "--data", str(chosen.data)]
    words += ["--events", str(chosen.events)]
    try:
        done = subprocess.run(
            [sys.executable, *words], stdout=subprocess.PIPE, timeout=chosen.limit, check=True
        )
    except subprocess.TimeoutExpired:
        return {"peer": what, "labels": labels, "failed": f"not finished in {chosen.limit:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"peer": what, "labels": labels, "failed": f"ended with {error.returncode}"}
    result = orjson.loads(done.stdout.splitlines()[-1])
    print(what, labels, json.dumps(result), file=sys.stderr)
    return result


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=SIZES)
    parser.add_argument("--quick", action="store_true", help="up to 10,000 labels")
    parser.add_argument("--limit", type=float, default=900, help="seconds for one measurement")
    parser.add_argument("--events", type=int, default=20_000, help="of tibkat")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--one", default=None, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one(chosen.one, chosen.labels[0], chosen.data, chosen.events)))
        return
    from scale_report import chart, report

    sizes = SIZES[:2] if chosen.quick else chosen.labels
    made_on = describe("numpy", "numba", "faiss-cpu", "river", "vowpalwabbit")
    result: dict[str, Any] = {
        "machine": made_on,
        "seed": SEED,
        "bounds": apart("bounds", 0, chosen),
    }
    result["ours"] = [apart("ours", labels, chosen) for labels in sizes]
    for peer in ("vowpal", "river", "exact"):
        few = [labels for labels in sizes if peer != "river" or labels <= 1_000]
        result[peer] = [apart(peer, labels, chosen) for labels in few]
    if (chosen.data / "tibkat").exists():
        result["tibkat"] = apart("tibkat", 0, chosen)
    text = report(result)
    print(text)
    if chosen.out:
        (chosen.out / "scale.md").write_text(text)
        (chosen.out / "scale.json").write_text(json.dumps(result, indent=1) + "\n")
        chart(result, chosen.out / "scale.svg")


if __name__ == "__main__":
    main()
