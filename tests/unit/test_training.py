"""Training in a process of its own: what it is told and tells, and how it ends."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `encoder` is not installed")

from stream.config import Encoder as Settings
from stream.learn.encoder.contest import Contest
from stream.learn.encoder.encoders import Bag
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.verdicts import Refused
from stream.training import beside, wire
from stream.training.beside import TrainingProcess
from stream.training.child import Pupil
from stream.training.kept import Challengers
from tests.learning_harness import BATCH, SMALL, Topics, sparse

TOPICS = Topics(noise=4)
LONG_S = 60.0  # that anything takes here
ORDER: dict[str, Any] = {
    "recipe": vars(SMALL), "seed": 3, "memory": 1_024, "window": 512, "width": 0, "device": "cpu",
    "most": 1_000, "threads": 1, "rest": 0.0, "folder": None, "kept_s": 1.0,
}  # fmt: skip


@contextmanager
def training(
    recipe: Recipe = SMALL, folder: Path | None = None, **changed: Any
) -> Iterator[TrainingProcess]:
    given = {"memory": 1_024, "window": 512, "cpu_share": 1.0, "device": "cpu"} | changed
    made = TrainingProcess(Settings.model_validate(given), recipe, 3, 0, folder, kept_s=0.0)
    try:
        yield made
    finally:
        made.close()
        assert not made._thread.is_alive()
        assert made._process is None or made._process.returncode is not None  # no zombie


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def learnt(one: TrainingProcess) -> float:
    return one.told()["braid_training_events_total"]


def fed(one: TrainingProcess, batches: range) -> None:
    """Show events, and wait until they are learnt."""
    before = learnt(one)
    for at in batches:
        one.learn(TOPICS.batch(at))
    until(lambda: learnt(one) >= before + BATCH * len(batches))


def message(kind: str, arrays: dict[str, Any], **about: Any) -> bytes:
    file = io.BytesIO()
    wire.write(file, kind, arrays, **about)
    return file.getvalue()


ARRAYS = {
    "bytes": np.arange(6, dtype=np.int8).reshape(2, 3),
    "none": np.zeros(0, np.float32),
    "flat": np.zeros((4, 0), np.int32),
    "tall": np.zeros((0, 128), np.float32),
    "turned": np.arange(12.0).reshape(3, 4).T,
    "half": np.array([1.5, np.nan], np.float16),
    "truth": np.array([True, False]),
    "long": np.array([1 << 40], np.int64),
}


def test_messages_come_as_they_were_sent() -> None:
    about = {"label": 7, "evidence": {"p1": 0.25, "reason": "größer"}}
    file = io.BytesIO(message("one", ARRAYS, **about) + message("two", {}))
    kind, arrays, meta = wire.read(file) or ("", {}, {})
    assert (kind, meta) == ("one", about)
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype, name
        assert arrays[name].shape == array.shape, name
        np.testing.assert_array_equal(arrays[name], array)
        arrays[name][...] = 0  # they can be written to
    assert wire.read(file) == ("two", {}, {})
    assert wire.read(file) is None


def test_a_message_that_is_cut_off_is_the_end() -> None:
    whole = message("one", ARRAYS, label=7)
    for size in range(len(whole)):
        assert wire.read(io.BytesIO(whole[:size])) is None


def test_one_that_is_killed_is_begun_again_and_one_without_room_is_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """With the champion and the texts of then, without what was retired."""
    monkeypatch.setattr(beside, "_FIRST_PAUSE_S", 0.01)
    table = np.random.default_rng(1).integers(-9, 9, (1 << 12, 32)).astype(np.int8)
    with training(folder=tmp_path, labels=500) as one:
        one.resume(0)
        one.crown(Bag(table, np.ones(1 << 12, np.float32)), *prototypes(60))
        for label in (100, 101):
            one.describe(label, TOPICS.text(3))
        one.retire(7)
        one.retire(101)
        fed(one, range(2))
        assert one.told()["braid_training_bytes"] > 10_000_000
        first = one._process
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: one._process is not first)
        fed(one, range(2, 4))
        told = one.told()
        assert told["braid_training_restarts_total"] == 1
        assert told["braid_training_events_total"] == 4 * BATCH  # counters never fall
        assert "ended (-9); another begins" in caplog.text
        one.keep(4 * BATCH)
        until(lambda: list(tmp_path.glob("challenger-*")))
        (arrays, about), *_ = Challengers(tmp_path).of(4 * BATCH)
        assert about["events"] == 2 * BATCH  # the second one's own
        assert arrays["texts.labels"].tolist() == [100]
        known = arrays["labels.known"].tolist()
        assert len(known) == 61
        assert 101 not in known
        assert known.index(7) >= 59  # it had events again, and came back last
        one.news()
        one.describe(500, TOPICS.text(3))
        until(lambda: one._over)
        (news,) = one.news()
        assert isinstance(news, Refused)
        assert "encoder.labels=500" in news.evidence["reason"]
        for at in range(100):  # nothing piles up after that
            one.learn(TOPICS.batch(at % 2))
        one.describe(3, TOPICS.text(3))
        one.retire(3)
        assert one._queue.empty()
        assert one.told()["braid_training_restarts_total"] == 1


def prototypes(labels: int) -> tuple[Any, Any, Any]:
    means = np.random.default_rng(2).normal(size=(labels, 32)).astype(np.float32)
    return np.arange(labels), means, np.ones(labels, np.float32)


def pupil(folder: Path, **changed: Any) -> Pupil:
    return Pupil(ORDER | {"folder": str(folder), "kept_s": 0.0} | changed)


def test_a_restart_goes_on_with_what_was_kept(tmp_path: Path) -> None:
    first, second, third = (pupil(tmp_path) for _ in range(3))
    for at in range(3):
        first.contest.learn(TOPICS.batch(at))
    first.heed("keep", {}, {"position": 1_000})
    second.heed("resume", {}, {"position": 1_200})
    second.contest.learn(TOPICS.batch(3))
    second.heed("keep", {}, {"position": 2_000})
    (_, about), (_, before) = Challengers(tmp_path).of(2_000)
    assert about["events"] == 4 * BATCH
    assert before["events"] == 3 * BATCH
    assert about["trial"] == {"seen": 1_024, "due": 960, "trials": 1}
    # the stream goes on from before that, where labels may come to have other numbers
    third.heed("resume", {}, {"position": 900})
    assert third.contest.challenger.events == 0
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_kept_with_every_snapshot(tmp_path: Path) -> None:
    one = pupil(tmp_path, kept_s=600.0)
    one.heed("keep", {}, {"position": 5, "last": True})
    assert list(tmp_path.iterdir()) == []  # it has learnt nothing
    one.contest.learn(TOPICS.batch(0))
    one.heed("keep", {}, {"position": 10})
    assert list(tmp_path.iterdir()) == []
    one.heed("keep", {}, {"position": 20, "last": True})
    assert len(list(tmp_path.iterdir())) == 1


def test_of_another_recipe_or_a_bad_folder_nothing_is_gone_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = pupil(tmp_path / "kept")
    first.contest.learn(TOPICS.batch(0))
    first.heed("keep", {}, {"position": 10})
    other = Pupil(
        ORDER | {"folder": str(tmp_path / "kept"), "recipe": vars(replace(SMALL, bits=8))}
    )
    other.heed("resume", {}, {"position": 10})
    assert "not gone on with: it was trained by another recipe" in caplog.text
    assert other.contest.challenger.events == 0
    (tmp_path / "file").write_text("")
    none = pupil(tmp_path / "file")
    assert "challengers are not kept: cannot make the snapshot folder" in caplog.text
    none.heed("keep", {}, {"position": 10})
    none.heed("resume", {}, {"position": 10})


def test_a_damaged_one_is_refused_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    here = Contest(SMALL, 3, 1_024, 512)
    store = Challengers(tmp_path)
    for at in range(3):
        here.learn(TOPICS.batch(at))
        store.keep(at, *here.parts())
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["challenger-000000000002", "challenger-000000000003"]
    broken = tmp_path / names[1] / "encoder.table.npy"
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    (tmp_path / ".tmp-1-9").mkdir()  # an interrupted write
    kept = list(Challengers(tmp_path).of(9))
    assert [about["events"] for _, about in kept] == [2 * BATCH]
    assert f"{names[1]}/encoder.table.npy is damaged" in caplog.text
    assert not (tmp_path / ".tmp-1-9").exists()
    again = Contest(SMALL, 8, 1_024, 512)
    again.load(*kept[0])
    assert again.challenger.events == 2 * BATCH
    assert list(Challengers(tmp_path).of(0)) == []
    assert list(tmp_path.iterdir()) == []


def test_events_that_find_the_queue_full_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process here reads nothing, so that only the pipe and the queue have room."""
    monkeypatch.setattr(beside.subprocess, "Popen", sleeper)
    monkeypatch.setattr(beside, "_GRACE_S", 0.5)
    batch = TOPICS.batch(0)
    with training() as one:
        for _ in range(beside._WAITING + 36):
            one.learn(batch)
        one.describe(5, TOPICS.text(5))
        one.retire(5)
        one.alarm()
        passed = one.told()["braid_training_passed_over_total"]
        assert 30 * BATCH <= passed <= 36 * BATCH
        assert one.told()["braid_training_events_total"] == 0


POPEN = subprocess.Popen


def sleeper(command: list[str], **given: Any) -> Any:
    return POPEN([sys.executable, "-c", "import time; time.sleep(600)"], **given)


def test_closing_waits_for_nobody() -> None:
    with training():
        pass  # before there is a process
    with training() as one:
        until(lambda: one._process is not None)  # which imports
        one.close()


def test_a_process_that_cannot_begin_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*given: Any, **named: Any) -> Any:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(beside.subprocess, "Popen", none)
    monkeypatch.setattr(beside, "_FIRST_PAUSE_S", 0.01)
    with training() as one:
        until(lambda: one.told()["braid_training_restarts_total"] >= 3)
    assert "Cannot allocate memory" in caplog.text
    caplog.clear()


def test_it_keeps_its_share_and_ends_with_the_process_that_began_it() -> None:
    """It rests three times as long as it works, hears no signals, and ends with its input."""
    with child(rest=3.0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        batch = TOPICS.batch(0)
        arrays = batch.inputs._asdict() | {"labels": batch.labels, "bounds": batch.bounds}
        busy, begun = 0.0, time.monotonic()
        for at in range(6):
            wire.write(process.stdin, "learn", arrays)
            told: Any = None
            while told is None or told[0] != "told":  # a verdict
                told = wire.read(process.stdout)
                assert told is not None
            if at:
                assert time.monotonic() - begun > 3 * busy  # before the next there was a rest
            busy += told[2]["busy"]
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.stdin.close()
        assert process.wait(LONG_S) == 0


@contextmanager
def child(rest: float = 0.0) -> Iterator[subprocess.Popen[bytes]]:
    """The process alone, once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stream.training.child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        wire.write(process.stdin, "order", **(ORDER | {"rest": rest}))
        wire.write(process.stdin, "alarm")
        assert wire.read(process.stdout) is not None
        yield process
    finally:
        with suppress(OSError):
            process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def test_threads_and_rests_make_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside.TrainingProcess, "_keep", lambda one: None)
    for cores, share, threads, rest in (
        (16, 0.25, 4, 0.0), (2, 0.25, 1, 1.0), (1, 0.25, 1, 3.0), (6, 0.25, 1, 0.0), (2, 1, 2, 0.0),
    ):  # fmt: skip
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        with training(replace(SMALL, dimension=8), cpu_share=share) as one:
            assert (one._order["threads"], one._order["rest"]) == (threads, rest)


def test_texts_are_not_kept_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million labels have texts; what waits in the queue has none of its own."""
    monkeypatch.setattr(beside.TrainingProcess, "_keep", lambda one: None)
    with training() as one:
        one.describe(3, sparse([[5, 6]]))
        one.describe(4, sparse([[7]]))
        one.retire(4)
        queued = list(one._queue.queue)
        assert not any(arrays for _, arrays, _ in queued)
        told = [made for message in queued for made in one._complete(message)]
        assert [(kind, about["label"]) for kind, _, about in told] == [
            ("describe", 3), ("retire", 4),
        ]  # fmt: skip
        assert told[0][1]["slot"].tolist() == [[5, 6]]
