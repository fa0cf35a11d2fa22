"""Plugged encoders: how they are found, and the guard that each runs behind."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from stream import encoders
from stream.config import Encoder
from stream.encoders import Guard
from stream.errors import MissingExtra, SettingError
from tests.encoder_harness import Scripted, raises, settle, until, well

SLOW_MS = 40


def guard(encoder: Scripted, failures: int = 3, timeout_ms: int = 10_000, **more: Any) -> Guard:
    """Behind a time that nothing but a test of it comes near."""
    chosen = Encoder(plugin="scripted", failures=failures, timeout_ms=timeout_ms, **more)
    return Guard(encoder, chosen)


def threads() -> int:
    return sum(thread.name == "encoder" for thread in threading.enumerate())


def embedded(found: np.ndarray) -> list[bool]:
    return np.isfinite(found).all(axis=1).tolist()


def test_names_are_found_with_what_is_included(toy_folder: Path) -> None:
    assert {"sentence-transformers", "toy"} <= set(encoders.known())
    assert encoders.load("toy", "").dimension == 48
    assert encoders.load("toy", "") is encoders.load("toy", "")
    assert encoders.guarded(Encoder()) is None
    made = encoders.guarded(Encoder(plugin="toy"))
    assert made is not None
    assert embedded(made.embed(["one", "two"])) == [True, True]


@pytest.mark.parametrize(
    ("name", "model", "parts"),
    [
        ("tiy", "", ["encoder.plugin='tiy'", "installed", "toy"]),
        ("toy", "broken", ["OSError", "no such model"]),
        ("ragged", "", ["(2, 3)", "(2, 48)"]),
        ("wide", "", ["dimension is 0"]),
        ("absent", "", ["AttributeError", "Absent"]),
        ("sentence-transformers", "", ["encoder.model", "folder"]),
        ("sentence-transformers", "/no/such/folder", ["encoder.model", "/no/such/folder"]),
    ],
)
def test_what_cannot_be_made_is_told_by_name(
    toy_folder: Path,
    name: str,
    model: str,
    parts: list[str],
) -> None:
    with pytest.raises(SettingError) as caught:
        encoders.guarded(Encoder(plugin=name, model=model))
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_two_of_one_name_are_refused(toy_folder: Path) -> None:
    about = toy_folder / "other_encoder-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-encoder\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[braidstream.encoders]\ntoy = other:Toy\n")
    with pytest.raises(SettingError, match=r"uninstall all but one.*other:Toy, toy_encoder:Toy"):
        encoders.load("toy", "")


def test_a_missing_extra_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'braidstream\[sentence\]'"):
        encoders.load("sentence-transformers", str(tmp_path))


def test_vectors_come_at_unit_length_in_order() -> None:
    def answer(texts: Any) -> Any:
        found = np.zeros((len(texts), 4), np.float64)
        found[np.arange(len(texts)), [len(text) for text in texts]] = 1e300
        return found

    found = guard(Scripted(answer)).embed(["a", "", "bbb"])
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_texts_are_cut_and_asked_in_parts() -> None:
    scripted = Scripted()
    one = guard(scripted, characters=20)
    texts = [f"{at:03}" + "x" * 100 for at in range(300)]
    assert all(embedded(one.embed(texts)))
    assert [text for call in scripted.calls for text in call] == [text[:20] for text in texts]
    sizes = [len(call) for call in scripted.calls]
    assert sizes[0] == 8
    assert max(sizes) > 8  # it is quick, so parts grow
    one.embed(["lone \ud800 surrogates"])
    assert scripted.calls[-1] == ["lone ? surrogates"]
    assert one.embed([]).shape == (0, 4)
    assert sum(one.lost.values()) == 0


BROKEN: dict[str, tuple[Any, str]] = {
    "raises": (raises, "raised"),
    "exits": (lambda texts: sys.exit(3), "raised"),
    "too few": (lambda texts: well(texts)[1:], "shape"),
    "narrow": (lambda texts: well(texts)[:, :2], "shape"),
    "integers": (lambda texts: well(texts).astype(np.int64), "shape"),
    "nothing": (lambda texts: None, "shape"),
    "words": (lambda texts: np.array(["x"] * len(texts)), "shape"),
    "NaN": (lambda texts: well(texts) * np.nan, "not_finite"),
    "infinite": (lambda texts: np.full((len(texts), 4), np.inf, np.float32), "not_finite"),
    "zeros": (lambda texts: well(texts) * 0, "not_finite"),
}


@pytest.mark.parametrize(("answer", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_is_counted_and_then_cut_off(
    answer: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    scripted = Scripted(*[answer] * 9)
    one = guard(scripted)
    for call in range(1, 4):
        assert embedded(one.embed(["a", "b"])) == [False, False]
        assert one.lost[reason] == 2 * call
        assert bool(one.problem()) == (call == 3)
    assert embedded(one.embed(["a", "b", "c"])) == [False] * 3
    assert len(scripted.calls) == 3
    assert one.lost == dict.fromkeys(encoders.REASONS, 0) | {reason: 6, "cut_off": 3}
    assert "scripted is cut off: 3 failures in a row" in one.problem()
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_one_answer_in_between_keeps_it() -> None:
    one = guard(Scripted(raises, raises, well, raises, raises, well))
    assert [embedded(one.embed(["a"]))[0] for _ in range(6)] == [False, False, True] * 2
    assert not one.cut_off
    assert one.lost["raised"] == 4


def test_single_rows_that_are_not_finite_are_no_failure() -> None:
    def partly(texts: Any) -> Any:
        found = well(texts)
        found[1, 2] = np.nan
        return found

    one = guard(Scripted(*[partly] * 5), failures=1)
    for _ in range(5):
        assert embedded(one.embed(["a", "b", "c"])) == [True, False, True]
    assert not one.cut_off
    assert one.lost["not_finite"] == 5


def test_a_late_one_is_left_alone_and_taken_up_again() -> None:
    before, go = threads(), Event()
    scripted = Scripted(until(go))
    one = guard(scripted, failures=1_000, timeout_ms=SLOW_MS)
    assert embedded(one.embed(["late"])) == [False]
    for _ in range(20):  # at once, while it is still busy
        assert embedded(one.embed(["next"])) == [False]
    assert threads() == before + 1
    assert (one.lost["slow"], one.lost["busy"]) == (1, 20)
    assert scripted.calls == [["late"]]
    go.set()
    settle(one)
    one._limit_s = 10.0  # the test is not of the time
    found = one.embed(["well"])
    assert embedded(found) == [True]
    assert scripted.calls == [["late"], ["well"]]
    assert (threads(), scripted.most_at_once) == (before + 1, 1)
    one._worker.end()


def test_the_caller_waits_no_longer_than_told() -> None:
    go = Event()
    one = guard(Scripted(until(go)), timeout_ms=SLOW_MS)
    began = time.monotonic()
    one.embed([str(at) for at in range(500)])
    waited = time.monotonic() - began
    go.set()
    assert SLOW_MS / 1_000 <= waited < 10  # far below what it would take
    one._worker.end()


def test_one_that_hangs_is_cut_off() -> None:
    before, go = threads(), Event()
    one = guard(Scripted(until(go)), failures=2, timeout_ms=SLOW_MS)
    one.embed(["hangs"])
    end = time.monotonic() + 20
    while not one.cut_off:
        one.embed(["next"])
        assert time.monotonic() < end
    assert "are not done" in one.problem()
    assert one.lost["slow"] == 1
    assert threads() == before + 1
    go.set()
    settle(one)
    while threads() > before:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_slow_again_and_again_is_cut_off() -> None:
    def slow(texts: Any) -> Any:
        time.sleep(2 * SLOW_MS / 1_000)
        return well(texts)

    one = guard(Scripted(*[slow] * 50), failures=3, timeout_ms=SLOW_MS)
    for _ in range(50):
        one.embed(["a"])
        settle(one)
        if one.cut_off:
            break
    assert "not done within" in one.problem()
    assert one.lost["slow"] >= 3


def test_several_who_ask_get_their_own_and_never_at_once() -> None:
    def named(texts: Any) -> Any:
        return np.array([[float(text), 1, 0, 0] for text in texts], np.float32)

    scripted = Scripted(*[named] * 1_000)
    one = guard(scripted)
    wrong: list[str] = []

    def ask(number: int) -> None:
        for at in range(20):
            value = number * 20 + at
            found = one.embed([str(value)] * 3)
            if not np.allclose(found[:, 0] / found[:, 1], value, rtol=1e-4):
                wrong.append(f"{value}: {found}")

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert not wrong
    assert scripted.most_at_once == 1
    one._worker.end()
