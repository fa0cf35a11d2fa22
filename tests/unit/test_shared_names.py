"""Labels that another process has appended: found by name, by id and by prefix as in its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import strings
from stream.idtable import IdTable
from stream.labels import LabelSpace
from stream.shared.growing import GrowingReader, GrowingWriter
from stream.shared.names import MappedLabels, NameWriter
from stream.shared.prefix import with_prefix

WORDS = st.text(st.sampled_from("abä€𝄞\ud800"), max_size=4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_entries_stay_while_the_file_grows(tmp_path: Path, dtype: type) -> None:
    writer, reader = GrowingWriter(tmp_path / "x", dtype), GrowingReader(tmp_path / "x", dtype)
    every = np.arange(300_000).astype(dtype)
    at, seen = 0, []
    for many in (0, 1, 9_000, 90_000, 200_999):
        writer.append(every[at : at + many])
        at += many
        assert len(writer) == at
        seen.append(reader.first(at))
    for part in seen:
        assert np.array_equal(part, every[: len(part)])
        assert part.dtype == dtype
        assert part.flags.writeable  # of the type for which kernels are compiled
    writer.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=4), WORDS)
def test_labels_are_found_as_where_they_were_added(
    tmp_path_factory: pytest.TempPathFactory, turns: list[list[str]], start: str
) -> None:
    folder = tmp_path_factory.mktemp("names")
    space, writer, mapped = LabelSpace(), NameWriter(folder), MappedLabels(folder)
    for turn in turns:
        for name in turn:
            space.add(name)
        mapped.update(writer.update(space, False))
        assert len(mapped) == len(space)
        assert list(mapped.names) == space.names
        for name in {*space.names, start, "never"}:
            assert mapped.slot(name) == space.slot(name)
        for slot in range(len(space)):
            assert mapped.id_of(slot) == space.id_of(slot)
        ids = np.append(space.ids, [3, 4])
        assert np.array_equal(mapped.slots_of_ids(ids), space.slots_of_ids(ids))
        for prefix in (start, start[:1], ""):
            for most in (0, 1, 3, 100):
                for known in (0, len(space) // 2, len(space), 1 << 62):
                    assert mapped.with_prefix(prefix, most, known) == space.with_prefix(
                        prefix, most, known
                    )
    writer.close()


def test_a_name_whose_id_was_taken_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 63-bit ids do not meet in a test's life, so that here they are cut to three values
    from stream import labels
    from stream.shared import names

    real = labels.label_id
    for module in (labels, names):
        monkeypatch.setattr(module, "label_id", lambda name, attempt=0: real(name, attempt) % 40)
    space, writer, mapped = LabelSpace(), NameWriter(tmp_path), MappedLabels(tmp_path)
    every = [f"label{n}" for n in range(30)]
    for name in every:
        space.add(name)
    mapped.update(writer.update(space, False))
    assert [mapped.slot(name) for name in every] == list(range(30))
    assert mapped.slot("another") is None
    writer.close()


def test_descriptions_follow_and_go_with_their_label(tmp_path: Path) -> None:
    space, writer, mapped = LabelSpace(), NameWriter(tmp_path), MappedLabels(tmp_path)
    for name in ("a", "b"):
        slot, _ = space.add(name)
        space.descriptions[slot] = f"{name}\nof old"
    mapped.update(writer.update(space, True))
    assert mapped.descriptions == {0: "a\nof old", 1: "b\nof old"}
    space.descriptions[1] = "b, anew"
    mapped.update(writer.update(space, False))
    assert mapped.descriptions[1] == "b\nof old"
    space.retire("a")
    mapped.update(writer.update(space, True))
    assert mapped.descriptions == space.descriptions == {1: "b, anew"}
    writer.close()


def test_the_first_of_very_many_names_are_in_order() -> None:
    rng = np.random.default_rng(5)
    names = [f"{n:x}" for n in rng.integers(0, 1 << 40, 20_000).tolist()]
    packed = strings.pack("x", names)
    for prefix in ("", "a", "1f", "zz"):
        found = with_prefix(packed["x.bytes"], packed["x.bounds"], prefix.encode(), 50)
        wanted = sorted(name for name in names if name.startswith(prefix))[:50]
        assert [names[slot] for slot in found] == wanted


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200), unique=True), st.lists(st.integers(1, 60), max_size=6))
def test_ids_by_the_many_are_as_ids_one_by_one(ids: list[int], cuts: list[int]) -> None:
    one, many = IdTable(), IdTable()
    for identity in ids:
        one.append(identity)
    rest = np.array(ids, np.int64)
    for cut in cuts:
        many.extend(rest[:cut])
        rest = rest[cut:]
    many.extend(rest)
    assert len(many) == len(one) == len(ids)
    asked = np.arange(-1, 202)
    assert np.array_equal(one.find_all(asked), many.find_all(asked))
    assert [many.find(identity) for identity in ids] == list(range(len(ids)))
    assert np.array_equal(many.ids, np.array(ids, np.int64))
