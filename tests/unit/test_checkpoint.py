"""Snapshots: whole or refused by name, and the one before it is used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from stream.checkpoint import FORMAT, Snapshot, SnapshotStore, read
from stream.errors import SnapshotError

ARRAYS: dict[str, Any] = {
    "empty": np.zeros(0, np.float32),
    "flat.empty": np.zeros((0, 7), np.int64),
    "none": np.zeros((3, 0), np.int8),
    "scalar": np.array(1.5),
    "large": np.arange(3_000_000, dtype=np.int64),  # more than one chunk
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(20)[::3],
    "other_order": np.arange(5, dtype=">f4"),
    "text": np.array(["a", "bcd", ""]),
    "time": np.array(["2020-01-01"], "datetime64[s]"),
    "bytes": np.array([b"x", b"yz"]),
    "nan": np.array([np.nan, np.inf, -0.0]),
} | {
    f"kind_{code}": np.ones((2, 3), code)
    for code in ("?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d", "F", "D")
}
META = {"position": 7, "name": "ü", "nested": {"list": [1, None, 2.5, True]}}


def small(number: int) -> Snapshot:
    return Snapshot({"a": np.full(100, number), "b": np.zeros(0)}, {"number": number})


def test_round_trip_of_every_kind_of_array(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "deep" / "folder")
    assert store.load() is None
    store.write(Snapshot(ARRAYS, META))
    found = store.load()
    assert found is not None
    assert found.meta == META
    assert set(found.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name, strict=True)


def test_the_newest_is_loaded_and_as_many_are_kept(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, keep=3)
    for number in range(12):
        store.write(small(number))
    assert [path.name[-2:] for path in sorted(tmp_path.iterdir())] == ["10", "11", "12"]
    assert loaded(SnapshotStore(tmp_path)) == 11


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, keep=1)
    for name in ("snapshot-backup", "snapshot-", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "snapshot-000000000099").write_text("a file")
    store.write(small(1))
    store.write(small(2))
    assert loaded(store) == 2
    assert len(list(tmp_path.iterdir())) == 5


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def garble(file: Path) -> None:
    file.write_bytes(bytes(255 - byte for byte in file.read_bytes()))


def head(file: Path) -> None:
    """Damage the first lines, which tell a reader the shape."""
    file.write_bytes(file.read_bytes().replace(b"(100,)", b"(9**9,"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [("a.npy", head)]
    + [
        (name, damage)
        for name in ("a.npy", "b.npy", "manifest.json")
        for damage in (cut, empty, flip, garble, Path.unlink)
    ],
)
def test_damaged_one_is_refused_by_name(
    name: str, damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SnapshotStore(tmp_path)
    store.write(small(1))
    newest = store.write(small(2))
    damage(newest / name)
    with pytest.raises(SnapshotError, match=newest.name):
        read(newest)
    assert loaded(store) == 1
    assert newest.name in caplog.text
    store.write(small(3))
    assert loaded(store) == 3


def test_none_is_whole(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    paths = [store.write(small(number)) for number in (1, 2)]
    for path in paths:
        flip(path / "a.npy")
    with pytest.raises(SnapshotError) as refused:
        store.load()
    assert all(path.name in str(refused.value) for path in paths)
    assert "backup" in refused.value.remedy


def test_newer_format_is_refused(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    path = store.write(small(1))
    text = orjson.dumps({"format": FORMAT + 1, "sums": {}, "meta": {}})
    digest = blake2b(text, digest_size=16).hexdigest().encode()
    (path / "manifest.json").write_bytes(digest + b"\n" + text)
    with pytest.raises(
        SnapshotError, match=f"format {FORMAT + 1}, this release reads 4 to {FORMAT}"
    ):
        read(path)


def test_a_swapped_array_is_noticed(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    one, two = store.write(small(1)), store.write(small(2))
    shutil.copy(one / "a.npy", two / "a.npy")
    with pytest.raises(SnapshotError, match=r"a\.npy is damaged"):
        read(two)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    path = SnapshotStore(tmp_path).write(small(1))
    np.save(path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(SnapshotError, match=r"a\.npy is damaged"):
        read(path)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SnapshotError, match="cannot make the snapshot folder") as refused:
            SnapshotStore(folder)
        assert "checkpoint.folder" in refused.value.remedy


def test_failed_write_leaves_the_ones_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(tmp_path)
    store.write(small(1))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SnapshotError, match="No space left") as refused:
            store.write(small(2))
    assert "checkpoint.folder" in refused.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot-000000000001"]
    assert loaded(store) == 1


def test_what_was_begun_is_loaded_once(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.write(small(1))
    store.begin()
    assert loaded(store) == 1
    path = store.write(small(2))
    assert loaded(store) == 2
    (path / "a.npy").write_bytes(b"")
    store.begin()
    assert loaded(store) == 1  # the one before
    (tmp_path / "snapshot-000000000001" / "manifest.json").unlink()
    store.begin()
    with pytest.raises(SnapshotError, match="no snapshot is whole"):
        store.load()


def test_interrupted_writes_are_ignored_and_swept(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    kept = store.write(small(1))
    left = tmp_path / ".tmp-1-2"
    shutil.copytree(kept, left)
    (left / "manifest.json").unlink()
    assert loaded(SnapshotStore(tmp_path)) == 1
    assert left.exists()  # looking does not remove: its writer may be alive
    store.sweep()
    assert list(tmp_path.iterdir()) == [kept]


def loaded(store: SnapshotStore) -> object:
    found = store.load()
    assert found is not None
    return found.meta["number"]
