"""The commands as a person runs them: real processes, real output."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import scipy.sparse

from stream.config import load
from tests.e2e.words import Kept, serving

BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]


def braid(*words: str, timeout: float = 240, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BRAID, *words], capture_output=True, text=True, timeout=timeout, check=False,
        env={**os.environ, **environ},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small evaluation folder in which each label has a feature of its own."""
    rng = np.random.default_rng(3)
    y = rng.random((300, 5)) < 0.3
    x = np.hstack([y, rng.random((300, 20)) < 0.05]).astype(np.float32)
    place = tmp_path / "planted"
    place.mkdir()
    scipy.sparse.save_npz(place / "X.npz", scipy.sparse.csr_matrix(x))
    scipy.sparse.save_npz(place / "Y.npz", scipy.sparse.csr_matrix(y.astype(np.float32)))
    return place


def test_help_imports_nothing_heavy() -> None:
    seen = subprocess.run(
        [sys.executable, "-X", "importtime", *BRAID[1:], "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Kafka" in braid("topics", "--help").stdout
    imported = {line.rsplit("|", 1)[1].strip() for line in seen.stderr.splitlines() if "|" in line}
    heavy = {"numpy", "scipy", "numba", "faiss", "torch", "river", "fastapi", "kafka", "pydantic"}
    assert not imported & heavy


@pytest.mark.parametrize(
    "words",
    [
        "run",
        "serve",
        "replay",
        "evaluate",
        "topics create",
        "check-config",
        "inspect",
        "rollback",
        "resume",
        "metrics",
    ],
)
def test_every_command_has_help_with_an_example(words: str) -> None:
    done = braid(*words.split(), "--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout


def test_evaluate_writes_one_object_a_line(folder: Path) -> None:
    done = braid("evaluate", str(folder), str(folder), "--json", "--limit", "200")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    assert rows[0].keys() >= {
        "dataset", "events", "labels", "features", "events_per_second", "micro_f1", "macro_f1",
        "subset_accuracy", "hamming_loss", "precision_at_1", "precision_at_3", "precision_at_5",
        "ndcg_at_5", "psp_at_5", "partitions", "drift_alarms", "peak_rss_mb",
    }  # fmt: skip
    assert rows[0]["dataset"] == "planted"
    assert rows[0]["events"] == 200
    assert rows[0]["micro_f1"] > 0.8
    assert rows[0]["micro_f1"] == rows[1]["micro_f1"], "evaluation is deterministic"


@pytest.mark.data
def test_objectives_aim_at_their_own_figure(data: Path) -> None:
    rows = [
        json.loads(braid("evaluate", str(data / "emotions"), "--json", "--objective", name).stdout)
        for name in ("micro_f1", "hamming")
    ]
    assert rows[0]["micro_f1"] > rows[1]["micro_f1"]
    assert rows[1]["hamming_loss"] < rows[0]["hamming_loss"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "/nowhere"), "Y.npz is missing"),
        (("run", "--set", "learn.top_k=0"), "learn.top_k='0' cannot work"),
        (("run", "--set", "learn.topk=5"), "did you mean learn.top_k?"),
        (("run", "--source", "/nowhere"), "write kafka, synthetic, synthetic:LABELS, or the path"),
        (("inspect", "/nowhere"), "holds no snapshot"),
        (("check-config", "--set", "learn.exemplar_bytes=5"), "write at least"),
        (("serve",), "there is no snapshot to serve in checkpoint.folder="),
        (("evaluate", "x", "--label-names", "none"), "write seen or all"),
        (("rollback", "--url", "http://127.0.0.1:1"), "http://127.0.0.1:1 cannot be reached"),
    ],
)
def test_wrong_words_end_in_one_line(words: tuple[str, ...], said: str) -> None:
    done = braid(*words)
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_wrong_setting_in_the_environment() -> None:
    done = braid("check-config", BRAID_SERVE__PORT="99999")
    assert done.returncode == 2
    assert "serve.port='99999' cannot work" in done.stderr


def test_config_shows_no_secret() -> None:
    done = braid("check-config", BRAID_KAFKA__SASL_PASSWORD="hunter2")
    assert done.returncode == 0
    assert "hunter2" not in done.stdout + done.stderr


def test_an_operator_goes_back_and_lets_training_go_on(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("chief admin chief-secret-0003\n")
    sets = [f"serve.tokens_file={tmp_path / 'tokens'}"]
    with serving(load(environ={}, overrides=sets), Kept()) as made:
        words = ("rollback", "--url", made.address)
        assert "send the header" in braid(*words).stderr
        for word, said in (
            ("rollback", "from generation 2 back to 1"),
            ("resume", "trained again"),
        ):
            done = braid(word, *words[1:], BRAID_TOKEN="chief-secret-0003")
            assert (done.returncode, done.stderr) == (0, "")
            assert said in done.stdout
        assert made.views.orders == [{"what": "rollback", "from": 2}, {"what": "resume"}]
        made.views.settled = "these are views of a snapshot"
        done = braid(*words, "--token", "chief-secret-0003")
        assert done.returncode == 1
        assert "This cannot be done now: these are views of a snapshot" in done.stderr


def test_run_tags_serves_stops_and_goes_on(tmp_path: Path) -> None:
    """The demo stream: endpoint while it runs, SIGTERM, snapshot, inspect, restart."""
    words = [
        "run", "--source", "synthetic", "--set", "serve.port=0", "--set",
        f"checkpoint.folder={tmp_path / 'state'}", "--output", str(tmp_path / "out.jsonl"),
    ]  # fmt: skip
    running = subprocess.Popen([*BRAID, *words], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        address = ""
        for line in running.stdout:
            if found := re.search(r"http://\S+", line):
                address = found[0]
                break
        assert address, "the address of the endpoint is printed"
        _wait_for(lambda: httpx.get(f"{address}/v1/model").json()["position"] > 2_000)
        body = {"events": [{"text": "no word of this is known"}], "k": 3}
        answer = httpx.post(f"{address}/v1/predict", json=body).json()
        assert len(answer["predictions"][0]["top"]) <= 3
        assert "braid_position_events" in httpx.get(f"{address}/metrics").text
        assert httpx.get(f"{address}/readyz").status_code == 200
    finally:
        running.send_signal(signal.SIGTERM)
        rest, _ = running.communicate(timeout=120)
    assert running.returncode == 0
    assert "P@1" in rest
    ids = [
        json.loads(json.loads(line)["value"])["id"]
        for line in (tmp_path / "out.jsonl").read_text().splitlines()
        if json.loads(line)["topic"] == "braid.predictions"
    ]
    assert len(ids) == len(set(ids)) > 2_000
    looked = json.loads(braid("inspect", str(tmp_path / "state")).stdout)
    assert looked["events_learnt"] == len(ids)
    again = braid(*words, "--seconds", "3")
    assert f"going on from a snapshot at position {len(ids):,}" in again.stdout
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    later = [line for line in lines if json.loads(line)["topic"] == "braid.predictions"]
    assert len({json.loads(json.loads(line)["value"])["id"] for line in later}) == len(later)


def _wait_for(ready: object, timeout: float = 120) -> None:
    assert callable(ready)
    end = time.monotonic() + timeout
    while not ready():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)
