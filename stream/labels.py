"""Labels: their names, their stable ids, and the slots that the learner numbers them by.

An id is a 63-bit hash of the name, equal on every member and over restarts, and never reused.
A slot counts labels in order of first sight; it is what arrays are indexed by, and is this
member's own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np

from stream.types import Int64


def label_id(name: str, attempt: int = 0) -> int:
    """The id of a label; `attempt` counts the collisions met before.

    Examples
    --------
    >>> label_id("river") == label_id("river")
    True
    >>> 0 <= label_id("river") < 2**63
    True
    """
    salt = attempt.to_bytes(8, "little")
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt).digest()
    return int.from_bytes(digest, "little") >> 1


class LabelSpace:
    """All labels seen so far. Grows only; retired labels keep their slot."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.ids: list[int] = []
        self.descriptions: dict[int, str] = {}
        self.retired: set[int] = set()
        self._slots: dict[str, int] = {}
        self._by_id: dict[int, int] = {}
        self._sorted: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    def slot(self, name: str) -> int | None:
        """The slot of a label, or None when it was never seen."""
        return self._slots.get(name)

    def slot_of_id(self, identity: int) -> int:
        """The slot that an id stands for, -1 when unknown."""
        return self._by_id.get(identity, -1)

    def add(self, name: str) -> tuple[int, bool]:
        """The slot of a label, and whether it is new; a retired one comes back to life."""
        slot = self._slots.get(name)
        if slot is not None:
            self.retired.discard(slot)
            return slot, False
        attempt = 0
        while (identity := label_id(name, attempt)) in self._by_id:
            attempt += 1
        slot = len(self.names)
        self.names.append(name)
        self.ids.append(identity)
        self._slots[name] = slot
        self._by_id[identity] = slot
        return slot, True

    def retire(self, name: str) -> int | None:
        """Stop predicting a label until an event carries it again; its slot if known."""
        slot = self._slots.get(name)
        if slot is not None:
            self.retired.add(slot)
            self.descriptions.pop(slot, None)
        return slot

    def ids_of(self, slots: Iterable[int]) -> Int64:
        """Ids of slots, (n,) int64."""
        return np.fromiter((self.ids[slot] for slot in slots), np.int64)

    def ids_of_names(self, names: Iterable[str]) -> list[int]:
        """Ids of labels that are known."""
        return [self.ids[self._slots[name]] for name in names]

    def with_prefix(self, prefix: str, most: int, known: int = 1 << 62) -> list[str]:
        """At most `most` names that start with `prefix`, in order, of the first `known` labels."""
        every = self._sorted  # another thread may put a newer list in its place
        if len(every) != len(self.names):
            self._sorted = every = sorted(self.names)
        found: list[str] = []
        for at in range(bisect_left(every, prefix), len(every)):
            if len(found) == most or not every[at].startswith(prefix):
                break
            if self._slots[every[at]] < known:
                found.append(every[at])
        return found

    def state(self) -> dict[str, Any]:
        """The whole state as plain JSON values; ids follow from names and their order."""
        return {
            "names": list(self.names),  # a snapshot is written while more come
            "retired": sorted(self.retired),
            "descriptions": [[slot, text] for slot, text in sorted(self.descriptions.items())],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Replace the state by one that `state` gave."""
        self.__init__()  # type: ignore[misc]  # start anew, in place
        for name in state["names"]:
            self.add(name)
        self.retired = set(state["retired"])
        self.descriptions = dict(state["descriptions"])
