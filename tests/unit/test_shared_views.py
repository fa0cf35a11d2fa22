"""Views that another process maps: never torn, names in step, buffers given back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stream.clock import SystemClock
from stream.config import Index, Learn, Settings
from stream.errors import BraidError, NotReady
from stream.labels import label_id
from stream.metrics import Metrics
from stream.pipeline import Item, Pipeline
from stream.serve.view import LabelInfo
from stream.shared.board import BUFFERS, Board
from stream.shared.buffer import Reader, Writer
from stream.shared.folder import memory_root, sweep
from stream.shared.publisher import SharedPublisher
from stream.shared.views import SharedViews
from stream.types import Description, Example
from stream.views import Publisher
from tests.generations_harness import LABELS, World, text

TINY = Learn(small_labels=4, exemplar_bytes=400_000, hash_bits=12, linear_bytes=65_536)
SETTINGS = Settings(learn=TINY, index=Index(dimension=32, worth=0, background=False))

READER = """
import sys
import time
from pathlib import Path
from stream.shared.board import Board
from stream.shared.buffer import Reader
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
board, readers = Board(folder / "board"), {}
seen, end = set(), time.monotonic() + seconds
while time.monotonic() < end:
    taken = board.take()
    if taken is None:
        continue
    _, buffer = taken
    arrays, meta = readers.setdefault(buffer, Reader(folder / f"view-{buffer}")).get()
    numbers = {int(x) for array in arrays.values() for x in (array.min(), array.max())}
    assert numbers == {meta["number"]}, (numbers, meta)
    seen.add(meta["number"])
    board.leave(buffer)
print(len(seen))
"""


def test_a_reader_in_another_process_never_sees_a_torn_view(tmp_path: Path) -> None:
    board = Board(tmp_path / "board", make=True)
    writers = [Writer(tmp_path / f"view-{n}") for n in range(BUFFERS)]
    command = [sys.executable, "-c", READER, str(tmp_path), "3"]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    number = 0
    while reader.poll() is None:
        buffer = board.spare()
        assert buffer is not None
        number += 1
        size = 50_000 + 10 * number  # arrays grow, so that files are laid out anew
        arrays = {name: np.full(size, number) for name in "abc"}
        writers[buffer].put(arrays, {"number": number})
        board.publish(buffer)
    told, _ = reader.communicate()
    board.close()
    assert reader.returncode == 0
    assert int(told) > 3


def test_buffers_that_are_read_are_not_written(tmp_path: Path) -> None:
    board, reading = Board(tmp_path / "board", make=True), Board(tmp_path / "board")
    assert reading.take() is None
    for n in range(BUFFERS):
        assert board.spare() == n
        board.publish(n)
        assert reading.take() == (2 * (n + 1), n)
    assert board.spare() is None
    reading.leave(2)
    assert board.spare() == 2
    board.forget_readers()
    assert board.spare() == 0
    board.close()
    reading.close()


def test_arrays_of_any_kind_come_back(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "v")
    arrays = {
        "a": np.arange(7, dtype=np.int32), "b": np.zeros((0, 3)), "c": np.ones((2, 3), np.uint8),
        "d": np.array([True]), "e": np.arange(12.0).reshape(3, 4)[:, ::2],
    }  # fmt: skip
    writer.put(arrays, {"x": 1})
    found, meta = Reader(tmp_path / "v").get()
    assert meta == {"x": 1}
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert found[name].flags.c_contiguous
        assert found[name].flags.writeable  # for kernels it is of their own type
    found["a"][0] = 99
    assert Reader(tmp_path / "v").get()[0]["a"][0] == 0  # and yet nobody else sees it


@pytest.fixture
def little_memory(tmp_path: Path) -> Iterator[Path]:
    """A place for files that holds one view, but not two."""
    command = ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(tmp_path)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("this user may not mount")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_without_room_for_a_newer_view_the_one_before_answers(
    little_memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = SharedPublisher(60, SystemClock(), Metrics(), little_memory)
    pipeline, views = Pipeline(SETTINGS), SharedViews(SETTINGS, shared.folder)
    try:
        pipeline.step([event(n, f"l{n}") for n in range(40)])
        shared.refresh(pipeline, 0, force=True)
        assert views.current().position == 40
        pipeline.step([event(n, f"m{n}") for n in range(40)])
        for _ in range(3):
            shared.refresh(pipeline, 0, force=True)
            assert views.current().position == 40
        told = views.current().predict([Example("q", text="topicl1")], 1)
        assert told[0].top[0].label == "l1"
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "serve.process=false" in caplog.text
        subprocess.run(["mount", "-o", "remount,size=64m", str(little_memory)], check=True)
        shared.refresh(pipeline, 0, force=True)
        assert views.current().position == 80
        for name in ("l7", "m7"):
            assert views.current().label(name) == LabelInfo(
                name, label_id(name), 1, -1, False, None
            )
    finally:
        views.close()
        shared.close()


def test_without_room_for_the_first_view_the_remedy_is_told(little_memory: Path) -> None:
    pipeline = Pipeline(SETTINGS)
    pipeline.step([event(n, "l") for n in range(4)])  # a small space, of some megabytes
    shared = SharedPublisher(60, SystemClock(), Metrics(), little_memory)
    try:
        with pytest.raises(BraidError, match="no room") as told:
            shared.refresh(pipeline, 0, force=True)
        assert "serve.process=false" in told.value.remedy
    finally:
        shared.close()


def event(n: int, label: str) -> Item:
    return Item(Example(str(n), text=f"topic{label} word{label} n{n % 3}", labels=(label,)))


@pytest.mark.parametrize(
    ("labels", "kind"), [(3, "auto"), (40, "flat"), (40, "faiss_cpu"), (5_000, "faiss_cpu")]
)
def test_a_mapped_view_answers_as_one_of_this_process(labels: int, kind: str) -> None:
    clock, metrics = SystemClock(), Metrics()
    settings = SETTINGS.model_copy(
        update={"index": Index(dimension=32, worth=0, background=False, kind=kind)}
    )
    shared, plain = SharedPublisher(60, clock, metrics), Publisher(60, clock, Metrics())
    pipeline, views = Pipeline(settings), SharedViews(settings, shared.folder)
    try:
        with pytest.raises(NotReady):
            views.current()
        assert views.status()["ready"] is False
        for turn in range(3):
            for n in range(max(labels, 240)):
                pipeline.step([event(n, f"l{n % labels}-{turn}")])
            pipeline.step([Item(Description(f"new{turn}", f"fresh{turn} words"))])
            shared.note([], True)
            shared.refresh(pipeline, 5, force=True)
            plain.refresh(pipeline, 5, force=True)
            asked = [Example(str(n), text=f"topicl{n}-{turn} fresh{turn}") for n in range(3)]
            one, other = views.current(), plain.current()
            assert one.position == other.position == pipeline.model.position
            assert one.predict(asked, 5) == other.predict(asked, 5)
            assert one.label(f"l1-{turn}") == other.label(f"l1-{turn}")
            assert one.label(f"new{turn}") == other.label(f"new{turn}")
            assert one.labels("l1", 9) == other.labels("l1", 9)
            assert one.partitions() == other.partitions()
            if turn == 1 and labels > 3:  # as after a restart: the index counts anew
                index = pipeline.retrieval
                assert index is not None
                kept = dict(index.arrays())
                index.load(kept, index.index.kind)
        assert views.status()["lag"] == 5
        assert b"braid_view_age_seconds" in views.metrics()
    finally:
        views.close()
        shared.close()
    assert not shared.folder.exists()


def test_a_mapped_view_changes_its_generation_as_a_whole() -> None:
    world, clock = World(), SystemClock()
    world.learn(0, LABELS)
    shared, plain = SharedPublisher(60, clock, Metrics()), Publisher(60, clock, Metrics())
    views = SharedViews(world.settings, shared.folder)
    asked = [Example(str(n), text=text(n)) for n in range(LABELS)]
    held = []
    try:
        for number in range(4):
            if number:
                world.promote(seed=number)
            for publisher in (shared, plain):
                publisher.refresh(world.pipeline, 0, force=True)
                publisher.note([], True)
            one, other = views.current(), plain.current()
            assert one.predict(asked, 5) == other.predict(asked, 5)
            assert one.generations() == other.generations()
            assert one.model()["index"]["generation"] == number
            held = [*held[-1:], (one, one.predict(asked, 5))]
            for view, was in held:  # the one before answers from its own generation
                assert view.predict(asked, 5) == was
        views.order({"what": "rollback", "from": 2})  # not the one in use any more
        views.order({"what": "rollback", "from": 3})
        shared.refresh(world.pipeline, 0)
        world.until(lambda: world.generations.current.number == 2)
        shared.refresh(world.pipeline, 0, force=True)
        assert views.current().generations()["training"]["state"] == "held"
        assert not [*shared.folder.glob("order*")][1:], "what was obeyed is put aside"
    finally:
        views.close()
        shared.close()


OWNER = """
import sys
from stream.clock import SystemClock
from stream.metrics import Metrics
from stream.shared.publisher import SharedPublisher
print(SharedPublisher(60, SystemClock(), Metrics()).folder, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_swept_and_no_more() -> None:
    command = [sys.executable, "-c", OWNER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    owners = [subprocess.Popen(command, **pipes) for _ in range(2)]
    try:
        gone, alive = (Path(owner.stdout.readline().strip()) for owner in owners)
        assert gone.exists()
        owners[0].kill()
        owners[0].wait()
        mine = SharedPublisher(60, SystemClock(), Metrics())
        try:
            assert not gone.exists()
            sweep(memory_root())
            assert mine.folder.exists()
            assert alive.exists()
        finally:
            mine.close()
    finally:
        for owner in owners:
            owner.kill()
            owner.communicate()
    sweep(memory_root())
    assert not alive.exists()


def test_a_folder_that_is_being_made_is_not_swept(tmp_path: Path) -> None:
    made, old = tmp_path / "braid-1-new", tmp_path / "braid-2-old"
    for folder in (made, old):
        folder.mkdir()
    os.utime(old, (1, 1))
    sweep(tmp_path)
    assert made.exists()
    assert not old.exists()


def test_a_thread_takes_up_new_views_and_gives_buffers_back() -> None:
    shared = SharedPublisher(60, SystemClock(), Metrics())
    pipeline, views = Pipeline(SETTINGS), SharedViews(SETTINGS, shared.folder)
    try:
        shared.refresh(pipeline, 0, force=True)
        views.current()
        views.follow()
        for turn in range(3 * BUFFERS):
            pipeline.step([event(turn, f"l{turn}")])
            shared.refresh(pipeline, turn, force=True)
            end = time.monotonic() + 30
            while views.current().position != turn + 1:
                assert time.monotonic() < end
                time.sleep(0.005)
            assert views.status()["lag"] == turn
    finally:
        views.close()
        shared.close()
