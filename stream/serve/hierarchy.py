"""The label hierarchy as nodes: partitions, and what joins them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from stream.learn.partitions.links import Links
from stream.learn.partitions.tree import Join, tree
from stream.serve.view import PartitionInfo, TreeNode


class Hierarchy:
    """Joins of the partitions as they were linked at one moment; made when first asked for.

    Parameters
    ----------
    links
        Nobody changes them any more.
    """

    def __init__(self, links: Links | None = None) -> None:
        self._links = links
        self._joins: tuple[Join, ...] | None = None if links is not None else ()
        self._lock = threading.Lock()

    def nodes(self, partitions: Iterable[PartitionInfo], most: int) -> list[TreeNode]:
        """At most `most` nodes, the largest first, each after its parent."""
        with self._lock:
            if self._joins is None and self._links is not None:
                self._joins, self._links = tree(self._links), None
        return _first(_joined(partitions, self._joins or ()), most)


def _joined(partitions: Iterable[PartitionInfo], joins: Sequence[Join]) -> Iterable[TreeNode]:
    """All nodes. The joins may be older than the partitions: one that has lost a branch is left
    out, and its other branch takes its place."""
    made = {
        one.id: TreeNode(one.id, None, True, one.size, one.events, None, one.labels)
        for one in partitions
    }
    stands_for: dict[int, int] = {}
    for join in joins:
        sides = [stands_for.get(side, side) for side in (join.left, join.right)]
        there = [side for side in sides if side in made]
        if len(there) < 2:
            stands_for[join.node] = there[0] if there else -1
            continue
        left, right = (made[side] for side in there)
        size, events = left.size + right.size, left.events + right.events
        made[join.node] = TreeNode(join.node, None, False, size, events, join.density)
        for side in there:
            made[side] = replace(made[side], parent=join.node)
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
