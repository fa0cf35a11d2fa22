"""Searchable states that never change, as plain arrays that another process may map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes import scan
from indexes.base import DimensionMismatch, Float32, FrozenIndex, Hits, Int64
from indexes.checks import as_queries, entry
from indexes.coarse import Centres
from indexes.generation import Delta, Lists, View

Arrays = dict[str, NDArray[Any]]
_PREFIXES = ("generation.centres.", "generation.rows.", "overlay.")


def read_only(view: View) -> View:
    """The same arrays, not to be written through this view, as kernels are compiled for it."""
    centres, rows, delta = view
    return View(Centres(*map(_shut, centres)), Lists(*map(_shut, rows)), Delta(*map(_shut, delta)))


def view_of(arrays: Mapping[str, NDArray[Any]]) -> View:
    """The view that `FrozenLists.arrays` named, as it may be written to."""
    fields = (Centres._fields, Lists._fields, Delta._fields)
    centres, rows, delta = (
        [entry(arrays, prefix + name) for name in names]
        for prefix, names in zip(_PREFIXES, fields, strict=True)
    )
    return View(Centres(*centres), Lists(*rows), Delta(*delta))


def _shut(array: NDArray[Any]) -> NDArray[Any]:
    out = array.view(np.ndarray)  # also of a memory map
    out.flags.writeable = False
    return out


class FrozenLists:
    """A generation and the changes to it, at one moment.

    Parameters
    ----------
    view : View
        Its arrays must not change any more.
    probes : int
        Lists that a search looks into.
    live : int
        Ids that are searchable.
    number : int
        Of the generation.
    """

    kind = "faiss_cpu"

    def __init__(self, view: View, probes: int, live: int, number: int) -> None:
        self.view, self.probes = read_only(view), probes
        self._live, self._number = live, number

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        return int(self.view.rows.high.shape[1])

    @property
    def generation_number(self) -> int:
        """See `FrozenIndex.generation_number`."""
        return self._number

    def __len__(self) -> int:
        return self._live

    def search(self, queries: Float32, k: int, effort: float = 1.0) -> Hits:
        """The k nearest of each row of `queries` (n, d) that the probed lists hold."""
        wanted = as_queries(queries, k, self.dimension)
        return scan.search(self.view, wanted, k, self.probes, self._live, effort)

    def exact(self, queries: Float32, k: int) -> Hits:
        """The k nearest of all."""
        return scan.exact(self.view, as_queries(queries, k, self.dimension), k)

    def arrays(self) -> Arrays:
        """See `FrozenIndex.arrays`; the fields of `Centres`, `Lists` and `Delta` by name.

        `overlay.about` (3,) int64 is probes, live ids and the generation's number.
        """
        about = np.array([self.probes, self._live, self._number], np.int64)
        out: Arrays = {"overlay.about": about}
        for prefix, part in zip(_PREFIXES, self.view, strict=True):
            out |= dict(zip((prefix + name for name in part._fields), part, strict=True))  # type: ignore[attr-defined]
        return out

    @classmethod
    def attach(cls, arrays: Mapping[str, NDArray[Any]]) -> FrozenLists:
        """The reverse of `arrays`, without a copy. `ValueError` if one is missing."""
        probes, live, number = entry(arrays, "overlay.about").tolist()
        return cls(view_of(arrays), probes, live, number)

    def check(self, dimension: int) -> None:
        """See that the arrays fit each other.

        Raises
        ------
        ValueError
            They do not (`DimensionMismatch` where the width differs).
        """
        centres, rows, delta = self.view
        if self.dimension != dimension:
            raise DimensionMismatch(f"the vectors are {self.dimension} wide, not {dimension}")
        lists, count, used = len(centres.scale), len(rows.ids), len(delta.ids)
        for what, part, size in (
            ("vectors", rows.high, count), ("vectors", rows.low, count),
            ("vectors", rows.scale, count), ("changed vectors", delta.high, used),
            ("changed vectors", delta.low, used), ("lists", rows.start, lists + 1),
            ("lists", delta.head, lists), ("marks", delta.hidden, count // 8 + 1),
        ):  # fmt: skip
            if len(part) != size:
                raise ValueError(f"a state of {count} ids has {len(part)} {what}, not {size}")


class FrozenFlat:
    """Rows that are all searched.

    Parameters
    ----------
    ids : (n,) int64
    rows : (n, d) float32
        Neither may change any more.
    """

    kind = "flat"
    generation_number = 0

    def __init__(self, ids: Int64, rows: Float32) -> None:
        self._ids, self._rows = _shut(ids), _shut(rows)

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        return int(self._rows.shape[1])

    def __len__(self) -> int:
        return len(self._ids)

    def search(self, queries: Float32, k: int, effort: float = 1.0) -> Hits:
        """The k nearest of each row of `queries` (n, d); exact, ties by rising id."""
        from indexes.flat import nearest

        return nearest(self._rows, self._ids, as_queries(queries, k, self.dimension), k)

    exact = search

    def arrays(self) -> Arrays:
        """`overlay.ids` (n,) int64 and `overlay.rows` (n, d) float32; nothing is big."""
        return {"overlay.ids": self._ids, "overlay.rows": self._rows}


def attach(arrays: Mapping[str, NDArray[Any]]) -> FrozenIndex:
    """A state from the arrays that `FrozenIndex.arrays` gave, or maps of them; nothing is copied.

    Raises
    ------
    ValueError
        An array is missing.
    """
    if "overlay.rows" in arrays:
        return FrozenFlat(entry(arrays, "overlay.ids"), entry(arrays, "overlay.rows"))
    return FrozenLists.attach(arrays)
