"""The extreme learner: neighbours and the index make a shortlist, a small network re-scores it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from stream.features import Rows
from stream.learn import decide
from stream.learn.arrays import borrow, dump, duplicate, own, power, restore
from stream.learn.extreme import bag, batch, names
from stream.learn.extreme.batch import Shortlists, parts
from stream.learn.extreme.forgetting import forget
from stream.learn.extreme.former import Rows as RecalledRows
from stream.learn.extreme.recalled import recalled
from stream.learn.extreme.scratch import scratch, sized
from stream.learn.extreme.state import (
    CANDIDATES,
    EVENTS,
    FREE,
    KINDS,
    LABELS,
    Extreme,
    capacities,
    enlarge,
    make,
    naming,
)
from stream.learn.extreme.why import why
from stream.learn.looked import Looked, everywhere
from stream.learn.why import Why
from stream.types import Float32

INDEX = slice(16, 18)  # of a candidate's features, what the index says
_KNOWN = 2_000  # true labels from which the worth of the index is known


class ExtremeLearner:
    """Learner whose cost for an event does not grow with the number of labels.

    Parameters
    ----------
    seed
        Seed of the network's first weights.
    width
        Length of dense rows, 0 for sparse ones.
    exemplars, hash_bits, linear_bits
        Capacities, see `stream.config.Learn`.
    dimension
        Width of the embedding of sparse rows.
    objective
        What the chosen set is for, see `stream.learn.decide.CODES`.
    off
        Parts left out, see `stream.learn.extreme.scratch.PARTS`.
    """

    kind = "extreme"

    def __init__(
        self, seed: int, width: int, exemplars: int, hash_bits: int, linear_bits: int,
        dimension: int, objective: int = decide.MICRO, off: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.width = width
        self.objective = objective
        self.dimension = width or dimension
        self._capacity = capacities(exemplars, hash_bits, linear_bits, width, 1_024, 64)
        self.state = make(self._capacity, seed)
        self._off = off
        self._scratch = scratch(self.state, off)

    @property
    def labels(self) -> int:
        """Labels known."""
        return int(self.state.sizes[LABELS])

    @property
    def events(self) -> int:
        """Labelled events learnt."""
        return int(self.state.sizes[EVENTS])

    @property
    def threshold(self) -> float:
        """The probability from which a label is chosen for micro-F1."""
        return float(decide.threshold(self.state.rescorer.counts))

    @property
    def index_worth(self) -> float | None:
        """Share of true labels that only the index made candidates; None until that is known."""
        truths, brought = self.state.rescorer.brought
        return float(brought / truths) if truths >= _KNOWN else None

    def add_labels(self, total: int, leaves: int = 0) -> None:
        """Make room for `total` labels and `leaves` partitions."""
        capacity = self._capacity | {
            "labels": power(total + 1, self._capacity["labels"]),
            "leaves": power(leaves + 1, self._capacity["leaves"]),
        }
        self._enlarge(capacity)
        self.state.sizes[LABELS] = max(total, self.labels)

    def _enlarge(self, capacity: dict[str, int]) -> None:
        if capacity != self._capacity:
            self._capacity = capacity
            self.state = enlarge(self.state, capacity)
            self._scratch = scratch(self.state, self._off)

    def embed(self, rows: Rows) -> Float32:
        """Unit embeddings (n, dimension) float32, as the idf stands now."""
        out = np.zeros((len(rows), self.dimension), np.float32)
        batch.embed(self.state, self._scratch, *parts(rows), out)
        return out

    def weighed(self, rows: Rows) -> tuple[Any, Any, Any]:
        """Strongest terms of sparse rows as the idf stands now.

        Returns
        -------
        slot, weight
            (n, MOST) int32 and float32.
        n
            (n,) int32 terms of each row.
        """
        shape = len(rows), bag.MOST
        slot, weight = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        n = np.zeros(len(rows), np.int32)
        df = self.state.terms.df
        bag.weighed(df, self.events, rows.indptr, rows.hashes, rows.terms, slot, weight, n)
        return slot, weight, n

    def recalled(self, wanted: Any, each: int, most: int) -> RecalledRows:
        """See `stream.learn.extreme.recalled.recalled`."""
        return recalled(self.state, wanted, each, most)

    def predict(self, rows: Rows, leaf_of: Any, near: Any, similar: Any) -> Shortlists:
        """Score candidates; `near`, `similar` (n, k) are what the index found. Pure."""
        found = _room(len(rows))
        batch.predict(
            self.state, self._scratch, leaf_of, *parts(rows), near, similar, self.objective, found
        )
        return found

    def learn(
        self, rows: Rows, truths: Any, bounds: Any, leaf_of: Any, near: Any, similar: Any,
        looked: Looked | None = None,
    ) -> Shortlists:  # fmt: skip
        """Learn events in order; returns what each scored just before it was learnt.

        See `SmallLearner.learn` for the parameters.
        """
        found = _room(len(rows))
        batch.learn(
            self.state, self._scratch, leaf_of, *parts(rows), truths, bounds,
            everywhere(len(rows)) if looked is None else looked, near, similar,
            self.objective, found,
        )  # fmt: skip
        return found

    def why(
        self, row: Rows, leaf_of: Any, near: Any, similar: Any, slots: Sequence[int], most: int
    ) -> Why:
        """What the scores of some labels of one row are made of, and its nearest exemplars."""
        self.predict(row, leaf_of, near, similar)
        return why(self.state, self._scratch, leaf_of, slots, most)

    def describe(self, rows: Rows, slot: int, named: Sequence[Any] = ()) -> None:
        """Keep a label's description as an exemplar of the label, and its name to look for.

        Parameters
        ----------
        rows
            The description as a row.
        slot
            The label.
        named
            The words of its name, (m,) uint64, and of a shorter form that it starts with.
        """
        batch.describe(self.state, self._scratch, *parts(rows), np.array([slot], np.int32))
        if slot >= self._capacity["named"]:
            self._enlarge(self._capacity | naming(power(slot + 1, self._capacity["named"])))
        words = named[0] if named else np.zeros(0, np.uint64)
        names.put(self.state.names, slot, words, len(named[-1]) if named else 0)

    def retire(self, slot: int, retired: bool) -> None:
        """Take a label out of every shortlist, or back in; its name is forgotten."""
        self.state.labels.retired[slot] = retired
        if retired:
            names.drop(self.state.names, slot)

    def react(self, slots: Any, boost: float, values: int = 0) -> None:
        """The reaction to drift: larger steps; with `values`, forget all but so many events."""
        self.state.labels.boost[slots] = boost
        if values:
            forget(self.state, slots, values)

    def look(self, slots: Any, values: int) -> bool:
        """Whether a former state of labels is back in their newest events, and taken back."""
        return forget(self.state, slots, values, True)

    @property
    def brought(self) -> tuple[float, float]:
        """What `index_worth` is computed of."""
        truths, brought = self.state.rescorer.brought.tolist()
        return truths, brought

    def renew_index(self, brought: tuple[float, float] = (0.0, 0.0)) -> None:
        """Another index from now on: how to weigh it is to be learnt.

        What it is worth is to be seen, but where `brought` is what it was worth before.
        """
        rescorer = self.state.rescorer
        rescorer.brought[:] = brought
        for squares in (rescorer.w1_g, rescorer.skip_g):
            squares[..., INDEX] = 1.0

    def retire_leaf(self, leaf: int) -> None:
        """Clear a partition's correction, so that its number can be used again."""
        if leaf < len(self.state.rescorer.leaf):
            self.state.rescorer.leaf[leaf] = 0
            self.state.rescorer.leaf_g[leaf] = 1

    def counts(self) -> Any:
        """(labels,) events of each label, not copied."""
        return self.state.labels.count[: self.labels]

    def frozen(self, room: ExtremeLearner | None = None) -> ExtremeLearner:
        """A copy that goes on predicting as this one does now, in `room` where that fits."""
        twin = copy(self)
        used = int(self.state.sizes[FREE])
        if room is not None and len(room.state.terms.seq) >= used:
            state, terms = room.state, room.state.terms
            inside = terms._replace(seq=terms.seq[:used], weight=terms.weight[:used])
            copied = duplicate(self._trimmed(), state._replace(terms=inside))
            whole = copied.terms._replace(seq=terms.seq, weight=terms.weight)
            twin.state = copied._replace(terms=whole)
        else:
            copied = duplicate(self._trimmed())
            size = len(self.state.terms.seq)
            whole = copied.terms._replace(
                seq=_padded(copied.terms.seq, size), weight=_padded(copied.terms.weight, size)
            )
            twin.state = copied._replace(terms=whole)
        twin._scratch = scratch(twin.state, twin._off)
        return twin

    def arrays(self) -> dict[str, Any]:
        """The state by name, not copied."""
        named = {"extreme.sizes": self.state.sizes, "extreme.table": self.state.table}
        named["extreme.pool"] = np.array([len(self.state.terms.seq)])
        for kind, part in zip(KINDS, self._trimmed()[1:-1], strict=True):
            named |= dump(part, f"extreme.{kind.__name__.lower()}")
        return named

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        parts: list[Any] = [
            restore(kind, arrays, f"extreme.{kind.__name__.lower()}") for kind in KINDS
        ]
        terms, exemplars, labels, rescorer, named = parts
        pool = int(arrays["extreme.pool"][0])
        terms = terms._replace(seq=_padded(terms.seq, pool), weight=_padded(terms.weight, pool))
        sizes, table = own(arrays["extreme.sizes"]), own(arrays["extreme.table"])
        self.state = Extreme(sizes, terms, exemplars, labels, rescorer, named, table)
        window, wide = exemplars.vector.shape
        self._capacity = {
            "terms": len(terms.df),
            "pool": pool,
            "exemplars": len(exemplars.n),
            "window": window,
            "width": wide,
            "labels": len(labels.count),
            "leaves": len(rescorer.leaf),
            **naming(len(named.of)),
            "table": len(table),
        }
        self._scratch = scratch(self.state, self._off)

    def attach(self, arrays: Mapping[str, Any], before: ExtremeLearner | None = None) -> None:
        """Predict from arrays that `arrays` gave, which are not copied; never learn.

        The room of `before` is taken over where it fits: the two must not work at once.
        """
        parts: list[Any] = [
            borrow(kind, arrays, f"extreme.{kind.__name__.lower()}") for kind in KINDS
        ]
        terms, exemplars, labels, rescorer, named = parts
        sizes, table = arrays["extreme.sizes"], arrays["extreme.table"]
        self.state = Extreme(sizes, terms, exemplars, labels, rescorer, named, table)
        fits = before is not None and sized(before.state) == sized(self.state)
        self._scratch = before._scratch if before and fits else scratch(self.state, self._off)

    def _trimmed(self) -> Extreme:
        """The state without the part of the posting pool that was never used."""
        terms, used = self.state.terms, int(self.state.sizes[FREE])
        return self.state._replace(
            terms=terms._replace(seq=terms.seq[:used], weight=terms.weight[:used])
        )


def _room(n: int) -> Shortlists:
    """Shortlists of n events, to be filled."""
    shape = n, CANDIDATES
    return Shortlists(
        np.full(shape, -1, np.int32), np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    )


def _padded(array: Any, size: int) -> Any:
    whole = np.zeros(size, array.dtype)
    whole[: len(array)] = array
    return whole
