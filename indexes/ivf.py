"""faiss' inverted lists, addressed by row: what `FaissCpu` needs of them and no more. No locks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.base import DimensionMismatch, Float32, Int64

# faiss scores 20 and more queries by BLAS, whose sums depend on the company a query has; below
# that a query's hits are its own.
_TOGETHER = 16
# Vectors of the sample for each list trained; more cost time and bring little.
_SAMPLE = 64
_WIDEN = 4


class Lists:
    """Rows 0 … n-1 in inverted lists, by inner product.

    A row past the live ones stays in its list until it is written again; `live` hides it.
    """

    def __init__(self, faiss: Any, index: Any, threads: int) -> None:
        self._faiss, self._index, self._threads = faiss, index, threads

    @classmethod
    def train(cls, faiss: Any, rows: Float32, count: int, seed: int, threads: int) -> Lists:
        """`count` lists around the centres of `rows` (n ≥ count, d), which then fill them."""
        width = rows.shape[1]
        faiss.omp_set_num_threads(threads)
        centres = faiss.IndexFlatIP(width)
        index = faiss.IndexIVFFlat(centres, width, count, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = seed
        index.cp.max_points_per_centroid = _SAMPLE
        index.cp.min_points_per_centroid = 1  # else faiss prints to stderr
        index.train(rows)
        index.set_direct_map_type(faiss.DirectMap.Array)
        index.add(rows)
        return cls(faiss, index, threads)

    @classmethod
    def load(cls, faiss: Any, state: NDArray[np.uint8], dimension: int, threads: int) -> Lists:
        """The reverse of `dump`.

        Raises
        ------
        ValueError
            faiss cannot read it (`DimensionMismatch` where the width differs).
        """
        try:
            index = faiss.deserialize_index(state)
        except RuntimeError as error:
            raise ValueError(f"faiss cannot read the lists of the snapshot: {error}") from error
        if index.d != dimension:
            raise DimensionMismatch(f"the snapshot's vectors are {index.d} wide, not {dimension}")
        return cls(faiss, index, threads)

    def dump(self) -> NDArray[np.uint8]:
        """The lists as bytes; a copy."""
        return np.asarray(self._faiss.serialize_index(self._index), np.uint8)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def count(self) -> int:
        """How many lists."""
        return int(self._index.nlist)

    @property
    def memory_bytes(self) -> int:
        """Bytes of vectors, centres, ids and the map from row to place; spare room not counted."""
        width = int(self._index.d)
        return 4 * width * (len(self) + self.count) + 16 * len(self)

    def put(self, rows: Int64, values: Float32) -> None:
        """Write `values` (n, d) to `rows` (n,), distinct; those past the end in rising order."""
        self._faiss.omp_set_num_threads(self._threads)
        old = rows < len(self)
        if old.any():
            self._index.update_vectors(rows[old], values[old])
        if not old.all():
            self._index.add(values[~old])

    def move(self, sources: Int64, holes: Int64) -> None:
        """Copy rows `sources` (n,) to rows `holes` (n,)."""
        if len(sources):
            self.put(holes, self._index.reconstruct_batch(sources))

    def rows(self, live: int) -> Float32:
        """The first `live` rows, (live, d); a copy."""
        out: Float32 = self._index.reconstruct_n(0, live)
        return out

    def nearest(self, queries: Float32, k: int, probes: int, live: int) -> tuple[Int64, Float32]:
        """The best k of the first `live` rows in the `probes` nearest lists.

        Where those lists hold fewer than k, more are searched, in the end all.

        Returns
        -------
        rows : (n, k) int64
            -1 where there is none, at the end only.
        scores : (n, k) float32
        """
        rows = np.empty((len(queries), k), np.int64)
        scores = np.empty((len(queries), k), np.float32)
        for at in range(0, len(queries), _TOGETHER):
            part = slice(at, at + _TOGETHER)
            rows[part], scores[part] = self._widening(queries[part], k, probes, live)
        return rows, scores

    def _widening(self, queries: Float32, k: int, probes: int, live: int) -> tuple[Int64, Float32]:
        probes = min(probes, self.count)
        rows, scores = self._once(queries, k, probes, live)
        while probes < self.count and (short := np.flatnonzero(rows[:, -1] < 0)).size:
            probes = min(probes * _WIDEN, self.count)
            rows[short], scores[short] = self._once(queries[short], k, probes, live)
        return rows, scores

    def _once(self, queries: Float32, k: int, probes: int, live: int) -> tuple[Int64, Float32]:
        faiss = self._faiss
        faiss.omp_set_num_threads(self._threads)
        hide = {} if live == len(self) else {"sel": faiss.IDSelectorRange(0, live)}
        how = faiss.SearchParametersIVF(nprobe=probes, **hide)
        scores, rows = self._index.search(queries, k, params=how)
        return rows, scores
