"""A real disk that is full, or may only be read, beneath the snapshots; and a clock that lies."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.checkpoint import SnapshotStore, borrow
from stream.errors import SnapshotError
from tests.recovery.world import World


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 MB; needs the right to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128m", "braid-test", str(place)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_costs_a_snapshot_and_nothing_else(disk: Path) -> None:
    world = World(disk)
    world.produce(60)
    member = world.member()
    member.finish()
    member.snapshot()
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * (129 << 20))
    member.snapshot()
    (problem,) = member.runner.problems()
    assert "the last snapshot was not written" in problem
    assert "No space left on device" in problem
    assert "free space" in problem
    world.produce(60)
    member.finish()  # the stream goes on
    world.account()
    assert [path.name for path in (disk / "a").iterdir()] == ["snapshot-000000000001"]
    filler.unlink()
    member.snapshot()
    assert member.runner.problems() == []
    member.crash()
    again = world.member()
    assert again.learnt == 120
    again.crash()


def test_a_folder_that_may_only_be_read(disk: Path) -> None:
    world = World(disk)
    world.produce(30)
    member = world.member()
    member.finish()
    member.snapshot()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    member.snapshot()
    (problem,) = member.runner.problems()
    assert "Read-only file system" in problem
    member.crash()
    again = world.member()  # what is there can be started from
    assert again.learnt == 30
    again.crash()
    with pytest.raises(SnapshotError, match="Read-only file system"):
        SnapshotStore(disk / "new")


def test_a_clock_that_jumps_back_does_not_make_old_snapshots_new(tmp_path: Path) -> None:
    world = World(tmp_path)
    member = world.member()
    for n in range(4):
        world.produce(10)
        member.finish()
        member.snapshot()
        newest = max((tmp_path / "a").glob("snapshot-*"))
        os.utime(newest / "manifest.json", (1_000_000 - n, 1_000_000 - n))
    member.crash()
    again = world.member()
    assert again.learnt == 40
    again.crash()


def test_a_new_member_starts_from_anothers_snapshot(tmp_path: Path) -> None:
    world = World(tmp_path, checkpoint={"start_from": tmp_path})
    world.produce(60)
    first = world.member("a")
    first.finish()
    first.snapshot()
    second = world.member("b")
    assert second.learnt == 60
    world.produce(30)
    for one in (first, second):
        one.finish()
    second.snapshot()
    first.crash()
    second.crash()
    world.account()
    again = world.member("b")  # its own comes first from now on
    assert again.learnt == 90
    again.crash()


def test_borrowing_passes_over_what_is_damaged_and_writes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path / "all")
    world.produce(20)
    for name in ("a", "b"):
        member = world.member(name)
        member.finish()
        member.snapshot()
        member.crash()
    damaged = tmp_path / "all" / "b" / "snapshot-000000000001"
    (damaged / "labels.ids.npy").write_bytes(b"x")
    before = sorted(path for path in (tmp_path / "all").rglob("*"))
    found = borrow(tmp_path / "all")
    assert found is not None
    assert sorted(path for path in (tmp_path / "all").rglob("*")) == before
    (tmp_path / "none").mkdir()
    assert borrow(tmp_path / "none") is None
    with pytest.raises(SnapshotError, match="cannot read the folder") as refused:
        borrow(tmp_path / "missing")
    assert "checkpoint.start_from" in refused.value.remedy
