"""The label hierarchy as nodes: partitions, and what joins them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from stream.learn.partitions.links import Links, strongest
from stream.learn.partitions.tree import Join, tree
from stream.serve.view import PartitionInfo, TreeNode

_PAIRS = 20_000  # of linked partitions that are joined, about 1.5 s
_SHARE = 0.02  # of the time that joining may take


class Hierarchy:
    """Joins of the partitions as they were linked when they were last joined.

    Joining takes Python's time, so that it is done when the tree is asked for, of the strongest
    links alone, and again only when a small share of the time allows; until then, and for who
    asks meanwhile, the joins from before stand.
    """

    def __init__(self) -> None:
        self._links: Links | None = None
        self._joins: tuple[Join, ...] = ()
        self._due = float("-inf")
        self._lock = threading.Lock()

    def renew(self, links: Links) -> None:
        """Take newer links for the next joining; nobody changes them any more."""
        self._links = links

    def nodes(self, partitions: Iterable[PartitionInfo], most: int) -> list[TreeNode]:
        """At most `most` nodes, the largest first, each after its parent."""
        if self._lock.acquire(blocking=False):
            try:
                self._join()
            finally:
                self._lock.release()
        return _first(_joined(partitions, self._joins), most)

    def _join(self) -> None:
        links, begun = self._links, time.monotonic()
        if links is None or begun < self._due:
            return
        self._links = None
        self._joins = tree(strongest(links, _PAIRS))
        ended = time.monotonic()
        self._due = ended + (ended - begun) / _SHARE


def _joined(partitions: Iterable[PartitionInfo], joins: Sequence[Join]) -> Iterable[TreeNode]:
    """All nodes; those of joins have negative numbers, clear of the partitions'.

    The joins may be older than the partitions: one that has lost a branch is left out, and its
    other branch takes its place.
    """
    made = {
        one.id: TreeNode(one.id, None, True, one.size, one.events, None, one.labels)
        for one in partitions
    }
    stands_for: dict[int, int | None] = {}
    for number, join in enumerate(joins, 1):
        sides = [stands_for.get(side, side) for side in (join.left, join.right)]
        there = [side for side in sides if side in made]
        if len(there) < 2:
            stands_for[join.node] = there[0] if there else None
            continue
        left, right = (made[side] for side in there)
        size, events = left.size + right.size, left.events + right.events
        made[-number] = TreeNode(-number, None, False, size, events, join.density)
        stands_for[join.node] = -number
        for side in there:
            made[side] = replace(made[side], parent=-number)
    return made.values()


def _first(every: Iterable[TreeNode], most: int) -> list[TreeNode]:
    below: dict[int | None, list[TreeNode]] = {}
    for node in every:
        below.setdefault(node.parent, []).append(node)
    heap = [(-node.size, node.id, node) for node in below.get(None, [])]
    heapify(heap)
    found: list[TreeNode] = []
    while heap and len(found) < most:
        node = heappop(heap)[2]
        found.append(node)
        for child in below.get(node.id, []):
            heappush(heap, (-child.size, child.id, child))
    return found
