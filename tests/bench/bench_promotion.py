"""A promotion and a rollback under load, and what training costs the stream.

    python tests/bench/bench_promotion.py [--labels 100000] [--rate 200] [--keep FOLDER]
        [--parts throughput load] [--out DIR] [--set NAME=VALUE ...]

A service learns the synthetic stream until every label was seen, and keeps a snapshot; from it
another learns with `encoder.train` until a learnt embedding has taken over, and keeps one too. All
that follow have `serve.process`. At full speed, for the throughput: the fixed projection, without
and with training; the learnt embedding, without and with training, and without where the index is
asked for every event (`index.learnt_worth=0`). Then one with training, from the first snapshot, is
under an open load over HTTP until a learnt embedding has taken over, and goes on while
`POST /v1/generations/rollback` takes it back. Latencies are of the spans in which either happened,
and of the usual ones of the same run; every answer other than 200 counts as failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from bench_serve import Service, load, prepare, wait_for
from machine import describe

_SPAN_S, _PHASES = 10.0, 4
_LONGEST_S = 420.0
_AFTER_S = 5.0
_TRAIN = "encoder.train=true"
PARTS = ("throughput", "load")


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--keep", type=Path, help="Of the snapshot, to use again.")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--set", dest="sets", action="append", default=[])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        kept = (asked.keep or Path(own) / "snapshot").resolve()
        if not kept.is_dir() or not any(kept.iterdir()):
            kept.mkdir(parents=True, exist_ok=True)
            prepare(asked.labels, kept, asked.sets)
        found: dict[str, Any] = {"machine": describe("torch", "numba", "fastapi")}
        found |= {"labels": asked.labels, "rate": asked.rate}
        if "throughput" in asked.parts:
            found |= _throughputs(kept, asked)
        if "load" in asked.parts:
            with _service(kept, asked, [_TRAIN]) as service:
                found |= _changes(service, asked)
    print(json.dumps(found, indent=1))
    if asked.out:
        file = asked.out / "promotion.json"
        before = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(before | found, indent=1) + "\n")


def _throughputs(kept: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Events learnt a second, with and without training."""
    learnt, of = _promoted(kept, asked), {}
    for name, folder, sets in (
        ("fixed", kept, []),
        ("fixed_training", kept, [_TRAIN, "encoder.window=1000000"]),  # no trial ends
        ("learnt", learnt, []),
        ("learnt_training", learnt, [_TRAIN, "encoder.window=1000000"]),
        ("learnt_always_asked", learnt, ["index.learnt_worth=0"]),
    ):
        with _service(folder, asked, sets) as service:
            of[name] = _throughput(service)
        print(name, of[name], flush=True)
    found: dict[str, Any] = {"learnt_per_s": of}
    for kind in ("fixed", "learnt"):
        found[f"throughput_kept_{kind}"] = round(of[f"{kind}_training"] / of[kind], 3)
    return found


class _service:  # noqa: N801  # a context manager, used as a function is
    """A service that goes on from a copy of the snapshot."""

    def __init__(self, kept: Path, asked: argparse.Namespace, sets: list[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=kept.parent)
        shutil.copytree(kept, self._folder.name, dirs_exist_ok=True, copy_function=os.link)
        own = [f"checkpoint.folder={self._folder.name}", "checkpoint.interval_s=100000"]
        words = ["run", "--source", f"synthetic:{asked.labels}"]
        self._service = Service(words, [*own, "serve.process=true", *asked.sets, *sets])

    def __enter__(self) -> Service:
        return self._service.__enter__()

    def __exit__(self, *what: object) -> None:
        self._service.__exit__(*what)
        self._folder.cleanup()


def _promoted(kept: Path, asked: argparse.Namespace) -> Path:
    """Beside the snapshot, one of after the first promotion."""
    folder = kept.parent / f"{kept.name}.promoted"
    if not folder.is_dir():
        shutil.copytree(kept, folder)
        sets = [f"checkpoint.folder={folder}", "checkpoint.interval_s=100000", *asked.sets, _TRAIN]
        with Service(["run", "--source", f"synthetic:{asked.labels}"], sets) as service:
            wait_for(lambda: service.model()["index"]["generation"] > 0, _LONGEST_S)
            time.sleep(_SPAN_S)
    return folder


def _throughput(service: Service) -> float:
    """Events learnt a second, the median of some spans."""
    time.sleep(_AFTER_S)
    spans = []
    for _ in range(_PHASES):
        before, begun = service.model()["position"], time.monotonic()
        time.sleep(_SPAN_S)
        spans.append((service.model()["position"] - before) / (time.monotonic() - begun))
    return round(median(spans), 1)


def _changes(service: Service, asked: argparse.Namespace) -> dict[str, Any]:
    """A promotion and a rollback, under one load after the other."""
    told: dict[str, Any] = {}
    for what in ("promotion", "rollback"):
        rounds: list[dict[str, Any]] = []
        over = False
        begun = time.monotonic()
        before = service.model()["index"]["generation"]
        if what == "rollback":
            threading.Timer(3 * _SPAN_S, _roll_back, (service,)).start()
        while time.monotonic() - begun < _LONGEST_S:
            start = service.model()
            made = load(service, asked.rate, _SPAN_S, asked.labels)
            end = service.model()
            rounds.append(
                {
                    "ms": made["ms"], "failed": len(made["refused"]),
                    "changed": end["index"]["generation"] != start["index"]["generation"],
                    "learnt": end["position"] - start["position"],
                }
            )  # fmt: skip
            if over:
                break
            step = end["index"]["generation"] - start["index"]["generation"]
            over = step > 0 if what == "promotion" else step < 0
        told[what] = _figures(rounds)
        told[what]["generation"] = [before, service.model()["index"]["generation"]]
    return told


def _roll_back(service: Service) -> None:
    """Ask for it until it is begun: another promotion may be under way."""
    request = urllib.request.Request(
        f"{service.address}/v1/generations/rollback", method="POST", data=b""
    )
    for _ in range(int(_LONGEST_S)):
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError:
            time.sleep(1)
        else:
            return


def _figures(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    during = [one for one in rounds if one["changed"]]
    usual = [one for one in rounds if not one["changed"]]
    return {
        "rounds": len(rounds),
        "requests": sum(len(one["ms"]) for one in rounds),
        "failed": sum(one["failed"] for one in rounds),
        "p99_ms_usual": round(median(float(np.percentile(one["ms"], 99)) for one in usual), 1),
        "p99_ms_changing": [round(float(np.percentile(one["ms"], 99)), 1) for one in during],
        "learnt_per_round_usual": median(one["learnt"] for one in usual),
        "learnt_per_round_changing": [one["learnt"] for one in during],
    }


if __name__ == "__main__":
    main()
