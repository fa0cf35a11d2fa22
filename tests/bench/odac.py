"""ODAC on Jaccard dissimilarity, written from its description, as a peer to compare with.

Rodrigues, Gama, Pedroso (TKDE 2008), as iHOMER (Neves et al., ECAI 2025) uses it on labels. All
labels start in one leaf. A leaf splits when its two largest dissimilarities differ by more than
the Hoeffding bound, or the bound is below tau; the farthest pair are the pivots, and the others
join the nearer one. Siblings merge back when one's diameter exceeds their parent's by the bound.
New leaves count anew. Pairs that never met have dissimilarity 1 and are not stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice, pairwise
from typing import Any

import numpy as np


@dataclass(eq=False)
class Node:
    """A leaf, or an inner node once it has children."""

    members: list[int]
    opened: int
    parent: Node | None = None
    children: tuple[Node, ...] = ()
    diameter: float = 1.0


class Odac:
    """Divides `labels` labels; `leaf_of` gives each one's leaf.

    Parameters
    ----------
    labels
        Known from the start, as ODAC's variables are.
    delta, tau
        Confidence and tie threshold of the Hoeffding bound.
    every
        Events between tests of all leaves.
    """

    def __init__(
        self, labels: int, delta: float = 0.05, tau: float = 0.02, every: int = 500
    ) -> None:
        self._delta, self._tau, self._every = delta, tau, every
        self._seen = 0
        self._n = [0] * labels
        self._met: list[dict[int, int]] = [{} for _ in range(labels)]
        root = Node(list(range(labels)), 0)
        self._leaves = [root]
        self._leaf = [root] * labels
        self.changes = 0
        """Labels that went to another leaf, by splits (the smaller side) and merges."""

    @property
    def leaf_of(self) -> Any:
        """(labels,) int64, numbered from 0."""
        number = {id(leaf): at for at, leaf in enumerate(self._leaves)}
        return np.array([number[id(leaf)] for leaf in self._leaf])

    def observe(self, truths: Any, bounds: Any) -> None:
        """Learn events in order; int32 labels in a row, and (n + 1,) int64 bounds."""
        labels, ends = truths.tolist(), bounds.tolist()
        for low, high in pairwise(ends):
            event = labels[low:high]
            for label in event:
                self._n[label] += 1
            for a, b in combinations(event, 2):
                if self._leaf[a] is self._leaf[b]:
                    self._met[a][b] = self._met[a].get(b, 0) + 1
                    self._met[b][a] = self._met[b].get(a, 0) + 1
            self._seen += 1
            if self._seen % self._every == 0:
                self._test()

    def _apart(self, a: int, b: int) -> float:
        met = self._met[a].get(b, 0)
        return 1.0 - met / (self._n[a] + self._n[b] - met) if met else 1.0

    def _farthest(self, leaf: Node) -> list[tuple[float, int, int]]:
        """The two largest dissimilarities of a leaf and their pairs; the first of ties."""
        never = [(1.0, a, b) for a, b in islice(self._never(leaf), 2)]
        if len(never) == 2:
            return never
        pairs = ((self._apart(a, b), a, b) for a, b in combinations(leaf.members, 2))
        return sorted(pairs, key=lambda pair: -pair[0])[:2]

    def _never(self, leaf: Node) -> Iterator[tuple[int, int]]:
        for at, a in enumerate(leaf.members):
            met = self._met[a]
            if len(met) < len(leaf.members) - 1:
                yield from ((a, b) for b in leaf.members[at + 1 :] if b not in met)

    def _test(self) -> None:
        for leaf in list(self._leaves):
            n = self._seen - leaf.opened
            if n < self._every or len(leaf.members) < 3 or leaf not in self._leaves:
                continue
            bound = math.sqrt(math.log(1 / self._delta) / (2 * n))
            (first, a, b), (second, _, _) = self._farthest(leaf)
            leaf.diameter = first
            if leaf.parent and first - leaf.parent.diameter > bound:
                self._merge(leaf.parent)
            elif first - second > bound or bound < self._tau:
                self._split(leaf, a, b)

    def _split(self, leaf: Node, a: int, b: int) -> None:
        nearer_b = {
            label for label in leaf.members
            if label == b or (label != a and self._apart(label, b) < self._apart(label, a))
        }  # fmt: skip
        sides = [x for x in leaf.members if x not in nearer_b], sorted(nearer_b)
        leaf.children = tuple(Node(side, self._seen, leaf) for side in sides)
        self.changes += min(len(side) for side in sides)
        self._leaves.remove(leaf)
        self._open(leaf.children)

    def _merge(self, parent: Node) -> None:
        below = [leaf for leaf in self._leaves if _under(leaf, parent)]
        self.changes += len(parent.members) - max(len(leaf.members) for leaf in below)
        self._leaves = [leaf for leaf in self._leaves if leaf not in below]
        parent.children, parent.opened = (), self._seen
        self._open((parent,))

    def _open(self, leaves: tuple[Node, ...]) -> None:
        for leaf in leaves:
            self._leaves.append(leaf)
            for label in leaf.members:
                self._leaf[label], self._n[label], self._met[label] = leaf, 0, {}


def _under(leaf: Node, node: Node) -> bool:
    above: Node | None = leaf
    while above is not None and above is not node:
        above = above.parent
    return above is node
