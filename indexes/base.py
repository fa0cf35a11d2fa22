"""The one interface of every index, and the rules that its contract suite checks.

- Vectors are (n, d) float32, compared by inner product; give unit vectors for cosine.
- Ids are the caller's own int64, never negative, one vector an id.
- `upsert` is searchable when it returns. A removed id never comes back from a search.
- Results are sorted by falling score; ties by rising id where scores are equal to the bit
  (exact indexes; others may order ties as they like). Fewer than k results: the row is padded
  with id -1 and score -inf, at the end only.
- All methods may be called from any thread.
- An index is a cache: it can be dropped and rebuilt from the prototypes at any time.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

PAD = -1


class DimensionMismatch(ValueError):
    """Vectors of another width than the index."""


class Hits(NamedTuple):
    """Search results: `ids` (n, k) int64 padded with -1, `scores` (n, k) float32."""

    ids: Int64
    scores: Float32


class FrozenIndex(Protocol):
    """What an index held at one moment; it never changes, and is searched without any lock."""

    @property
    def kind(self) -> str:
        """`flat` or `faiss_cpu`: how it is searched."""
        ...

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def generation_number(self) -> int:
        """Which generation it has: 0 for none, else another number for each in this process."""
        ...

    def __len__(self) -> int:
        """How many ids are searchable."""
        ...

    def search(self, queries: Float32, k: int, effort: float = 1.0) -> Hits:
        """As `LabelIndex.search` at that moment."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The state by name, for `indexes.frozen.attach`; not copied, and not to be changed.

        `generation.*` are big and the same for equal `generation_number`; `overlay.*` are small
        and each state's own. Of one generation, `overlay.ids`, `high`, `low`, `scale`, `bits`,
        `facts`, `lists` and `following` only ever grow at the end: rows that an earlier state
        had are still there, unchanged.
        """
        ...


class LabelIndex(Protocol):
    """Nearest prototypes by inner product."""

    @property
    def kind(self) -> str:
        """`flat`, `faiss_cpu` or `faiss_gpu`."""
        ...

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        ...

    def __len__(self) -> int:
        """How many ids are searchable."""
        ...

    def upsert(self, ids: Int64, vectors: Float32) -> None:
        """Add or replace; the last one wins where `ids` repeats.

        Raises
        ------
        DimensionMismatch
            `vectors` is not (len(ids), dimension).
        ValueError
            An id is negative, or a value is not finite; nothing was changed.
        """
        ...

    def remove(self, ids: Int64) -> int:
        """Remove those that are there; return how many were."""
        ...

    def search(self, queries: Float32, k: int, effort: float = 1.0) -> Hits:
        """The k nearest of each row of `queries` (n, d); k ≥ 1.

        `effort`, in (0, 1], is how much of what an approximate index would look at it looks at:
        less finds fewer of them sooner. An exact index pays no heed.
        """
        ...

    def frozen(self) -> FrozenIndex:
        """What is searchable now, as a state that later changes leave as it is."""
        ...

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The whole state as named arrays; a copy."""
        ...

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Replace the state by one that `snapshot` made; later searches give the same hits."""
        ...

    def close(self) -> None:
        """Release threads and device memory; idempotent."""
        ...
