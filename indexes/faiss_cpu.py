"""Approximate search on the CPU: inverted lists around trained centres, vectors updated in place.

Until there are enough vectors to train on, an exact index answers. faiss calls a vector by the
order in which it came; here that is its row in `Slots`, so removal moves the last row into the
hole, and rows past the live ones are dead: a selector hides them, and new ids take them again.

faiss keeps its thread count for each calling thread, and other OpenMP libraries of that thread
see it too, so it is set before each call rather than once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.base import Float32, Hits, Int64
from indexes.checks import as_ids, as_pairs, as_queries, entry, no_hits
from indexes.extras import faiss_for
from indexes.flat import Flat
from indexes.gate import Gate, Mutex
from indexes.ivf import Lists
from indexes.slots import Slots


class FaissCpu:
    """An IVF `LabelIndex`: exact when small, then searching the nearest lists only.

    Parameters
    ----------
    dimension : int
        Width of the vectors.
    train_at : int
        Vectors at which the lists are first trained; exact below.
    lists : int or None
        How many lists; None: about twice the root of the number of vectors.
    probes : int or None
        Lists searched at first for a query, more where they hold fewer than k live vectors; None:
        one in 16, at least 32.
    growth : float
        Trained anew when the index has so many times the vectors it was trained on.
    threads : int
        Threads of one faiss call.
    seed : int
        Seed of the training, which is deterministic.

    Raises
    ------
    ExtraNeeded
        faiss is not installed.

    Notes
    -----
    A writer waits for searches and the other way round; searches run beside each other, and go
    on while the lists are trained. The lists are those of Sivic and Zisserman, "Video Google"
    (ICCV 2003), as faiss implements them (Douze et al., "The Faiss library", 2024).
    """

    kind = "faiss_cpu"

    def __init__(
        self,
        dimension: int,
        *,
        train_at: int = 8_192,
        lists: int | None = None,
        probes: int | None = None,
        growth: float = 4.0,
        threads: int = 1,
        seed: int = 7,
    ) -> None:
        if min(train_at, threads, *(given for given in (lists, probes) if given is not None)) < 1:
            raise ValueError("train_at, lists, probes and threads must be at least 1")
        if growth <= 1:
            raise ValueError(f"growth must be above 1, not {growth}")
        self._faiss: Any = faiss_for(self.kind)
        self._train_at, self._growth, self._probes = train_at, growth, probes
        self._wanted_lists, self._threads, self._seed = lists, threads, seed
        self._flat = Flat(dimension)
        self._lists: Lists | None = None
        self._slots = Slots()
        self._trained_on = 0
        self._writer = Mutex()
        self._gate = Gate()

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        return self._flat.dimension

    @property
    def trained(self) -> bool:
        """Whether searches are approximate by now."""
        return self._lists is not None

    def __len__(self) -> int:
        return len(self._flat) if self._lists is None else len(self._slots)

    @property
    def memory_bytes(self) -> int:
        """Bytes held, roughly."""
        lists = 0 if self._lists is None else self._lists.memory_bytes
        return self._flat.memory_bytes + self._slots.bytes + lists

    def upsert(self, ids: Int64, vectors: Float32) -> None:
        """Add or replace; trains when it is time. See `LabelIndex.upsert`."""
        keys, values = as_pairs(ids, vectors, self.dimension)
        with self._writer:
            if self._lists is None:
                self._flat.upsert(keys, values)
            else:
                with self._gate.alone():
                    self._lists.put(self._slots.place(keys), values)
            due = self._trained_on * self._growth if self.trained else self._train_at
            if len(self) >= due:
                self._train()

    def remove(self, ids: Int64) -> int:
        """Remove those that are there; return how many were."""
        keys = as_ids(ids)
        with self._writer:
            if self._lists is None:
                return self._flat.remove(keys)
            with self._gate.alone():
                before = len(self._slots)
                sources, holes = self._slots.remove(keys)
                self._lists.move(sources, holes)
                return before - len(self._slots)

    def search(self, queries: Float32, k: int) -> Hits:
        """The k nearest of each row of `queries` (n, d) that the probed lists hold."""
        return self._search(queries, k, whole=False)

    def exact(self, queries: Float32, k: int) -> Hits:
        """The k nearest of all: every list is searched. For measuring recall."""
        return self._search(queries, k, whole=True)

    def _search(self, queries: Float32, k: int, *, whole: bool) -> Hits:
        wanted = as_queries(queries, k, self.dimension)
        with self._gate.shared():
            if self._lists is None:
                return self._flat.search(wanted, k)
            hits = no_hits(len(wanted), k)
            live = len(self._slots)
            if live and len(wanted):
                some = min(k, live)
                lists = self._lists.count
                probes = lists if whole else self._probes or max(32, lists // 16)
                rows, scores = self._lists.nearest(wanted, some, probes, live)
                found = rows >= 0
                hits.ids[:, :some][found] = self._slots.ids[rows[found]]
                hits.scores[:, :some][found] = scores[found]
            return hits

    def rebuild(self) -> None:
        """Train the lists anew on the vectors there are; exact again below half of `train_at`.

        Searches go on meanwhile; other writers wait. An index never trained stays exact.
        """
        with self._writer:
            if self.trained or len(self) >= self._train_at:
                self._train()

    def _train(self) -> None:
        # Only the writer changes what is read here, so searches need not wait for it.
        if self._lists is None:
            ids, rows = self._flat.copy()
        else:
            ids, rows = self._slots.ids, self._lists.rows(len(self._slots))
        lists = None
        if len(rows) >= self._train_at / 2:
            count = self._wanted_lists or round(2 * len(rows) ** 0.5)
            lists = Lists.train(self._faiss, rows, min(count, len(rows)), self._seed, self._threads)
        self._swap(ids, rows, lists, len(rows))

    def _swap(self, ids: Int64, rows: Float32, lists: Lists | None, trained_on: int) -> None:
        slots, flat = Slots(), Flat(self.dimension)
        if lists is None:
            flat.restore({"ids": ids, "rows": rows})
        else:
            slots = Slots(ids)
        with self._gate.alone():
            self._lists, self._slots, self._flat = lists, slots, flat
            self._trained_on = trained_on

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """`ids` (n,) int64, and `rows` (n, d) while exact, else `lists` as faiss writes them.

        `trained_on` (1,) int64 is the number of vectors at the last training.
        """
        with self._writer:
            trained_on = np.array([self._trained_on], np.int64)
            if self._lists is None:
                return {**self._flat.snapshot(), "trained_on": trained_on}
            ids = self._slots.ids.copy()
            return {"ids": ids, "lists": self._lists.dump(), "trained_on": trained_on}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Replace the state by that of `snapshot`.

        Raises
        ------
        ValueError
            It is not such a state (`DimensionMismatch` where the width differs).
        """
        ids = as_ids(entry(state, "ids"))
        trained_on = int(entry(state, "trained_on").astype(np.int64)[0])
        rows, lists = np.empty((0, self.dimension), np.float32), None
        if "lists" in state:
            packed = np.asarray(state["lists"], np.uint8)
            lists = Lists.load(self._faiss, packed, self.dimension, self._threads)
            if len(lists) < len(ids):
                raise ValueError(f"snapshot has {len(ids)} ids, but {len(lists)} vectors")
        else:
            rows = np.asarray(entry(state, "rows"), np.float32)
        with self._writer:
            self._swap(ids, rows, lists, trained_on)

    def close(self) -> None:
        """Give the memory back; the index is empty afterwards."""
        with self._writer:
            self._swap(np.empty(0, np.int64), np.empty((0, self.dimension), np.float32), None, 0)
