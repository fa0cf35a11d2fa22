"""The label hierarchy as nodes of a treemap, bounded however large the label space is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from stream.clock import Clock
from stream.errors import BraidError
from stream.serve.view import TreeNode, ViewSource

EVERY_S = 5.0
_SHARE = 0.005  # of a processor that making it may take
_NODES = 800
_TOGETHER = 28  # nodes that are shown side by side
_NAMES = 12
_LONG = 60  # characters of a name

Below = dict[int | None, list[TreeNode]]


def nodes(tree: Sequence[TreeNode], accuracy: Mapping[int, float]) -> list[dict[str, Any]]:
    """What is shown side by side, each with what is below it.

    The hierarchy joins two nodes at a time, which would take many clicks to look through; here a
    node opens to as many as can be read at once, the largest being opened first.

    Returns
    -------
    list of dict
        `n` name, `s` labels, `a` accuracy or None, `p` number of a partition; below a group `c`
        nodes; below a partition `l` the most frequent labels and `m` how many more there are.
    """
    below: Below = {}
    for node in tree:
        below.setdefault(node.parent, []).append(node)
    return [_node(one, below, accuracy) for one in _opened(below.get(None, []), below)]


def _opened(begin: list[TreeNode], below: Below) -> list[TreeNode]:
    shown = list(begin)
    while len(shown) < _TOGETHER:
        openable = [one for one in shown if one.id in below]
        if not openable:
            break
        largest = max(openable, key=lambda one: (one.size, -one.id))
        shown.remove(largest)
        shown += below[largest.id]
    return shown


def _node(one: TreeNode, below: Below, accuracy: Mapping[int, float]) -> dict[str, Any]:
    if one.partition:
        names = [label[:_LONG] for label in one.labels[:_NAMES]]
        return {
            "n": names[0] if names else f"partition {one.id}", "s": one.size, "p": one.id,
            "a": _rounded(accuracy.get(one.id)), "l": names, "m": one.size - len(names),
        }  # fmt: skip
    inside = [_node(node, below, accuracy) for node in _opened(below.get(one.id, []), below)]
    largest = max(inside, key=lambda node: int(node["s"]), default=None)
    known = [(node["a"], node["s"]) for node in inside if node["a"] is not None]
    weight = sum(size for _, size in known)
    mean = sum(a * size for a, size in known) / weight if weight else None
    name = largest["n"] if largest else "smaller partitions"
    return {"n": name, "s": one.size, "a": _rounded(mean), "c": inside}


def _rounded(accuracy: float | None) -> float | None:
    return None if accuracy is None else round(max(0.0, accuracy), 3)


class Hierarchy:
    """Makes the nodes while somebody looks, and as rarely as what that takes asks for."""

    def __init__(self, views: ViewSource, clock: Clock) -> None:
        self._views = views
        self._clock = clock
        self._due = 0.0
        self._making = False
        self.number = 0
        """Counts what was made."""
        self.made = b"[]"

    async def fresh(self, seen: int) -> bool:
        """Whether there are nodes newer than those numbered `seen`; makes them where it is time."""
        if not self._making and self._clock.monotonic() >= self._due:
            self._making = True
            try:
                await asyncio.to_thread(self._make)
            except BraidError:  # no view yet
                self._due = self._clock.monotonic() + 1
            finally:
                self._making = False
        return self.number > seen

    def _make(self) -> None:
        """Make the nodes of the newest view; takes a while for very many labels."""
        begun = time.thread_time()
        view = self._views.current()
        self.made = orjson.dumps(nodes(view.tree(_NODES), view.accuracies()))
        self.number += 1
        spent = time.thread_time() - begun
        self._due = self._clock.monotonic() + max(EVERY_S, spent / _SHARE)
