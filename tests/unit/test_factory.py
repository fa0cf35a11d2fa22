"""Which index is chosen, and what is said when a package is missing."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from indexes.extras import device_present
from indexes.factory import KINDS, DeviceMissing, ExtraNeeded, choose, make


@pytest.mark.parametrize(
    ("labels", "device", "kind"),
    [
        (10, True, "flat"),
        (8_192, True, "flat"),
        (8_193, True, "faiss_gpu"),
        (8_193, False, "faiss_cpu"),
        (10_000_000, False, "faiss_cpu"),
    ],
)
def test_auto_goes_by_size_and_device(labels: int, device: bool, kind: str) -> None:
    choice = choose("auto", labels, 256, 8_192, device_present=device)
    assert choice.kind == kind
    assert f"{labels:,} labels" in choice.reason
    assert choice.reason.endswith(".")
    assert choice.reason.count(".") == 1


def test_auto_looks_for_a_device_itself() -> None:
    expected = "faiss_gpu" if device_present() else "faiss_cpu"
    assert choose("auto", 100, 8, 10).kind == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_is_asked_for_stands(kind: str) -> None:
    choice = choose(kind, 10**7, 256, 64)
    assert choice.kind == kind
    assert kind in choice.reason


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'hnsw'.*flat, faiss_cpu, faiss_gpu"):
        choose("hnsw", 1, 8, 64)
    with pytest.raises(ValueError, match="'auto'"):
        make("auto", 8)


@pytest.mark.parametrize("kind", ["flat", "faiss_cpu"])
def test_make_makes_what_was_chosen(kind: str) -> None:
    index = make(kind, 24)
    assert (index.kind, index.dimension, len(index)) == (kind, 24, 0)
    index.close()


@pytest.mark.parametrize(("kind", "extra"), [("faiss_cpu", "cpu"), ("faiss_gpu", "gpu")])
def test_without_faiss_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, kind: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ExtraNeeded, match=rf"{kind} needs .*braidstream\[{extra}\]") as caught:
        make(kind, 8)
    assert caught.value.extra == extra
    assert not device_present()
    assert len(make("flat", 8)) == 0


def test_a_faiss_without_gpu_support_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))
    with pytest.raises(ExtraNeeded, match=r"faiss-gpu in place of faiss-cpu.*braidstream\[gpu\]"):
        make("faiss_gpu", 8)


def test_the_gpu_index_without_a_device_says_so() -> None:
    if device_present():
        pytest.skip("a CUDA device is here")
    with pytest.raises((DeviceMissing, ExtraNeeded), match=r"faiss_gpu needs|CUDA device"):
        make("faiss_gpu", 8)


def test_the_package_imports_no_heavy_module_before_it_is_needed() -> None:
    code = (
        "import sys, indexes.factory as f; f.choose('auto', 10, 8, 64); f.make('flat', 8);"
        "print([m for m in ('faiss', 'torch', 'stream') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
