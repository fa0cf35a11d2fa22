"""Exact search on a GPU: a tensor of vectors that is changed in place and searched whole.

All device work is done by one thread, so calls neither race nor need locks. Scores are those of
the stored precision.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from indexes.base import Float32, Hits, Int64
from indexes.checks import as_ids, as_pairs, as_queries, as_rows, entry, no_hits
from indexes.device_knn import MOST, nearest, resources
from indexes.extras import (
    DeviceLost,
    DeviceMissing,
    faiss_for,
    is_device_failure,
    torch_for,
)
from indexes.frozen import FrozenFlat
from indexes.slots import Slots

T = TypeVar("T")


class FaissGpu:
    """A brute-force `LabelIndex` in device memory.

    Parameters
    ----------
    dimension : int
        Width of the vectors.
    half : bool
        Keep float16 (half the memory, about three digits) rather than float32.
    device : int
        Number of the CUDA device.
    temporary_mebibytes : int
        Device memory, in MiB, that faiss may keep for its intermediate results.

    Raises
    ------
    ExtraNeeded
        torch or a faiss with GPU support is not installed.
    DeviceMissing
        There is no such CUDA device.
    DeviceLost
        The device failed or is out of memory; every method may raise it. The index is of no use
        after that: fill another from what it is a cache of.
    """

    kind = "faiss_gpu"

    def __init__(
        self,
        dimension: int,
        *,
        half: bool = True,
        device: int = 0,
        temporary_mebibytes: int = 256,
    ) -> None:
        if dimension < 1:
            raise ValueError(f"dimension must be at least 1, not {dimension}")
        faiss, self._torch = faiss_for(self.kind), torch_for(self.kind)
        if not self._torch.cuda.is_available():
            raise DeviceMissing("index faiss_gpu needs a CUDA device, and torch sees none")
        seen = min(int(self._torch.cuda.device_count()), int(faiss.get_num_gpus()))
        if not 0 <= device < seen:
            raise DeviceMissing(f"CUDA device {device} is asked for, and there are {seen}")
        self._dimension = dimension
        self._place = self._torch.device("cuda", device)
        self._dtype = self._torch.float16 if half else self._torch.float32
        self._largest = float(self._torch.finfo(self._dtype).max)
        self._slots = Slots()
        self._owner: ThreadPoolExecutor | None = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="faiss-gpu"
        )
        self._resources: Any = None
        self._rows: Any = None
        self._run(lambda: self._open(temporary_mebibytes))

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        return self._dimension

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def memory_bytes(self) -> int:
        """Bytes of device memory that the vectors hold, spare rows included."""
        return 0 if self._rows is None else int(self._rows.numel() * self._rows.element_size())

    def upsert(self, ids: Int64, vectors: Float32) -> None:
        """Add or replace; see `LabelIndex.upsert`."""
        keys, values = as_pairs(ids, vectors, self._dimension)
        if np.abs(values).max(initial=0.0) > self._largest:
            raise ValueError(f"vectors must be within ±{self._largest:g}, the largest stored")
        self._run(lambda: self._upsert(keys, values))

    def remove(self, ids: Int64) -> int:
        """Remove those that are there; return how many were."""
        keys = as_ids(ids)
        return self._run(lambda: self._remove(keys))

    def search(self, queries: Float32, k: int, effort: float = 1.0) -> Hits:
        """The k nearest of each row of `queries` (n, d), at the stored precision."""
        wanted = as_queries(queries, k, self._dimension)
        return self._run(lambda: self._search(wanted, k))

    exact = search

    def frozen(self) -> FrozenFlat:
        """See `LabelIndex.frozen`; all rows are copied to host memory, as float32."""
        state = self._run(self._snapshot)
        return FrozenFlat(state["ids"].astype(np.int64), state["rows"].astype(np.float32))

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """`ids` (n,) int64 and `rows` (n, d), float16 or float32."""
        return self._run(self._snapshot)

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Replace the state by that of `snapshot`.

        Raises
        ------
        ValueError
            It is not such a state (`DimensionMismatch` where the width differs).
        """
        slots = Slots(as_ids(entry(state, "ids")))
        rows = as_rows(entry(state, "rows"), len(slots), self._dimension)
        self._run(lambda: self._restore(slots, rows))

    def close(self) -> None:
        """Give thread and device memory back; later calls fail, but for another `close`."""
        if self._owner is not None:
            with suppress(DeviceLost):  # there is nothing to give back
                self._run(self._release)
            self._owner.shutdown()
            self._owner = None

    def _run(self, work: Callable[[], T]) -> T:
        if self._owner is None:
            raise RuntimeError("the index is closed")
        try:
            return self._owner.submit(work).result()
        except (RuntimeError, MemoryError) as error:
            if is_device_failure(error):
                raise DeviceLost(f"the CUDA device failed: {error}") from error
            raise

    def _open(self, mebibytes: int) -> None:
        self._torch.cuda.set_device(self._place)
        self._resources = resources(mebibytes)
        self._rows = self._empty(0)

    def _release(self) -> None:
        self._slots, self._rows, self._resources = Slots(), None, None
        self._torch.cuda.empty_cache()

    def _empty(self, count: int) -> Any:
        return self._torch.empty((count, self._dimension), dtype=self._dtype, device=self._place)

    def _to_device(self, array: NDArray[np.generic], dtype: Any = None) -> Any:
        return self._torch.from_numpy(array).to(device=self._place, dtype=dtype)

    def _upsert(self, keys: Int64, values: Float32) -> None:
        # Everything that may run out of memory comes before the first change.
        after = len(self._slots) + int((self._slots.find(keys) < 0).sum())
        rows = self._rows
        if after > len(rows):
            rows = self._empty(max(after, 2 * len(rows), 1_024))
            rows[: len(self._slots)] = self._rows[: len(self._slots)]
        new = self._to_device(values, self._dtype)
        self._rows = rows
        rows.index_copy_(0, self._to_device(self._slots.place(keys)), new)

    def _remove(self, keys: Int64) -> int:
        before = len(self._slots)
        sources, holes = self._slots.remove(keys)
        if len(holes):
            moved = self._rows.index_select(0, self._to_device(sources))
            self._rows.index_copy_(0, self._to_device(holes), moved)
        return before - len(self._slots)

    def _search(self, queries: Float32, k: int) -> Hits:
        hits = no_hits(len(queries), k)
        some = min(k, len(self._slots))
        if some and len(queries):
            wanted = self._to_device(queries, self._dtype)
            scores, rows = self._nearest(wanted, self._rows[: len(self._slots)], some)
            found = rows >= 0
            hits.ids[:, :some][found] = self._slots.ids[rows[found]]
            hits.scores[:, :some][found] = scores[found]
        return hits

    def _nearest(self, queries: Any, rows: Any, k: int) -> tuple[Float32, Int64]:
        if k > MOST:
            scores, found = self._torch.topk((queries @ rows.T).float(), k, dim=1)
        else:
            scores, found = nearest(self._resources, queries, rows, k)
        return scores.cpu().numpy(), found.cpu().numpy()

    def _snapshot(self) -> dict[str, NDArray[np.generic]]:
        rows = self._rows[: len(self._slots)].cpu().numpy()
        return {"ids": self._slots.ids.copy(), "rows": rows}

    def _restore(self, slots: Slots, rows: Float32) -> None:
        fresh = self._to_device(rows, self._dtype)
        self._slots, self._rows = slots, fresh.contiguous()
