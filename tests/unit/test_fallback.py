"""What becomes of the index where a GPU is missing, out of memory or lost."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from indexes import factory
from indexes.base import Hits
from indexes.extras import DeviceLost, DeviceMissing, device_present, is_device_failure
from indexes.flat import Flat
from stream.config import Index
from stream.labels import LabelSpace
from stream.learn.encoder.encoders import Projection
from stream.retrieval import Retrieval

WIDTH = 16


class Device(Flat):
    """An exact index whose device fails at the given call of a method."""

    kind = "faiss_gpu"

    def __init__(self, fails: dict[str, int]) -> None:
        super().__init__(WIDTH)
        self.left, self.closed = dict(fails), False

    def _count(self, method: str) -> None:
        self.left[method] = self.left.get(method, -1) - 1
        if self.left[method] == -1:
            raise DeviceLost("the CUDA device failed: CUDA error: unspecified launch failure")

    def upsert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        self._count("upsert")
        super().upsert(ids, vectors)

    def search(self, queries: np.ndarray, k: int, effort: float = 1.0) -> Hits:
        self._count("search")
        return super().search(queries, k)

    def close(self) -> None:
        self.closed = True
        super().close()


def device(monkeypatch: pytest.MonkeyPatch, made: list[Device], **fails: int) -> None:
    """Let the factory make such an index where a GPU index is asked for."""
    real = factory.make

    def make(kind: str, dimension: int, **options: bool) -> object:
        if kind != "faiss_gpu":
            return real(kind, dimension, **options)
        if "make" in fails:
            raise DeviceLost("the CUDA device failed: CUDA out of memory")
        made.append(Device(fails))
        return made[-1]

    monkeypatch.setattr(factory, "make", make)


def rows_of(count: int) -> np.ndarray:
    rows = np.random.default_rng(3).standard_normal((count, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def teach(retrieval: Retrieval, rows: np.ndarray, start: int = 0) -> None:
    for at, row in enumerate(rows):
        retrieval.learn([[start + at]], row[np.newaxis])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "fails", [{"make": 0}, {"upsert": 0}, {"upsert": 7}, {"search": 0}, {"upsert": 20}]
)
def test_the_cpu_takes_over_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: dict[str, int]
) -> None:
    made: list[Device] = []
    device(monkeypatch, made, **fails)
    settings = Index(kind="faiss_gpu", sync_events=8, neighbours=3)
    retrieval, labels, rows = Retrieval(settings, Projection(WIDTH)), LabelSpace(), rows_of(40)
    teach(retrieval, rows[:30])
    retrieval.near(rows[:2], labels)
    teach(retrieval, rows[30:], 30)
    retrieval.sync()
    assert retrieval.index.kind == "flat"
    assert all(one.closed for one in made)
    found = retrieval.index.search(rows, 1)
    assert found.ids[:, 0].tolist() == list(range(40))
    assert len(warnings(caplog)) == 1
    assert "CPU from now on" in warnings(caplog)[0]
    assert "CUDA" in retrieval.reason
    restored = Retrieval(Index(kind="auto", neighbours=3), Projection(WIDTH))
    restored.load(retrieval.arrays(), "flat")
    assert restored.index.search(rows, 1).ids[:, 0].tolist() == list(range(40))


def test_without_a_device_the_cpu_serves_at_once(caplog: pytest.LogCaptureFixture) -> None:
    if device_present():
        pytest.skip("a CUDA device is here")
    try:
        factory.make("faiss_gpu", WIDTH)
    except DeviceMissing:
        retrieval = Retrieval(Index(kind="faiss_gpu"), Projection(WIDTH))
        assert retrieval.index.kind == "flat"
        assert len(warnings(caplog)) == 1
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("error", "device_s"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("Error in virtual void* faiss::gpu::StandardGpuResourcesImpl: cuda"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError("std::bad_alloc: cudaErrorMemoryAllocation"), True),
        (RuntimeError("the index is closed"), False),
        (ValueError("cuda"), False),
    ],
)
def test_what_is_about_the_device(error: Exception, device_s: bool) -> None:
    assert is_device_failure(error) is device_s


def test_the_errors_of_torch_itself_are_known() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert is_device_failure(torch.cuda.OutOfMemoryError("CUDA out of memory."))
