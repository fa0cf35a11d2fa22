"""Labels: their names, their stable ids, and the slots that the learner numbers them by.

An id is a 63-bit hash of the name, equal on every member and over restarts, and never reused.
A slot counts labels in order of first sight; it is what arrays are indexed by, and is this
member's own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np

from stream import strings
from stream.idtable import IdTable
from stream.looks import look
from stream.types import Int32, Int64

_SAMPLE = 256  # ids of a snapshot that are computed again
_ATTEMPTS = 64  # collisions that a name may have met, as far as the sample is asked


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


class Labels(Protocol):
    """What a view of the model asks of a label space; see `LabelSpace`."""

    @property
    def names(self) -> Sequence[str]:
        """By slot."""
        ...

    @property
    def descriptions(self) -> Mapping[int, str]:
        """By slot."""
        ...

    @property
    def retired(self) -> Collection[int]:
        """Slots that are not predicted."""
        ...

    def __len__(self) -> int: ...

    def slot(self, name: str) -> int | None:
        """The slot of a label, or None when it was never seen."""
        ...

    def slots_of_ids(self, ids: Int64) -> Int32:
        """The slot of each id (any shape), -1 where unknown; for any thread."""
        ...

    def id_of(self, slot: int) -> int:
        """The id of a slot, as a plain int."""
        ...

    def with_prefix(self, prefix: str, most: int, known: int = 1 << 62) -> list[str]:
        """At most `most` names that start with `prefix`, in order, of the first `known` labels."""
        ...


class LabelSpace:
    """All labels seen so far. Grows only; retired labels keep their slot."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.descriptions: dict[int, str] = {}
        self.retired: set[int] = set()
        self._slots: dict[str, int] = {}
        self._table = IdTable()
        self._looks = IdTable()
        self._first = array("i")
        """The first slot of each look."""
        self._sorted: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    @property
    def ids(self) -> Int64:
        """(n,) int64: the id of each slot; a view."""
        return self._table.ids

    def slot(self, name: str) -> int | None:
        """The slot of a label, or None when it was never seen."""
        return self._slots.get(name)

    def slot_of_id(self, identity: int) -> int:
        """The slot that an id stands for, -1 when unknown."""
        return self._table.find(identity)

    def slots_of_ids(self, ids: Int64) -> Int32:
        """The slot of each id (any shape), -1 where unknown; for any thread."""
        return self._table.find_all(ids)

    def id_of(self, slot: int) -> int:
        """The id of a slot, as a plain int."""
        return int(self._table.ids[slot])

    def alike(self, name: str) -> str | None:
        """The first label that looks like this one; None where there is none but itself."""
        at = self._looks.find(look(name))
        first = self.names[self._first[at]] if at >= 0 else name
        return None if first == name else first

    def add(self, name: str) -> tuple[int, bool]:
        """The slot of a label, and whether it is new; a retired one comes back to life."""
        slot = self._slots.get(name)
        if slot is not None:
            self.retired.discard(slot)
            return slot, False
        attempt = 0
        while self._table.find(identity := label_id(name, attempt)) >= 0:
            attempt += 1
        slot = len(self.names)
        self.names.append(name)
        self._slots[name] = slot
        self._table.append(identity)
        if self._looks.find(seen := look(name)) < 0:
            self._looks.append(seen)
            self._first.append(slot)
        return slot, True

    def retire(self, name: str) -> int | None:
        """Stop predicting a label until an event carries it again; its slot if known."""
        slot = self._slots.get(name)
        if slot is not None:
            self.retired.add(slot)
            self.descriptions.pop(slot, None)
        return slot

    def ids_of(self, slots: Sequence[int] | Int64) -> Int64:
        """Ids of slots, (n,) int64."""
        return self.ids[np.asarray(slots, np.int64)]

    def slots_of_names(self, names: Iterable[str]) -> list[int]:
        """Slots of labels, those that are not known left out."""
        slots = self._slots
        return [slots[name] for name in names if name in slots]

    def with_prefix(self, prefix: str, most: int, known: int = 1 << 62) -> list[str]:
        """At most `most` names that start with `prefix`, in order, of the first `known` labels."""
        every = self._sorted  # another thread may put a newer list in its place
        if len(every) != len(self.names):
            # What was sorted before is one run, which sorting passes over.
            self._sorted = every = sorted(every + self.names[len(every) :])
        found: list[str] = []
        for at in range(bisect_left(every, prefix), len(every)):
            if len(found) == most or not every[at].startswith(prefix):
                break
            if self._slots[every[at]] < known:
                found.append(every[at])
        return found

    def arrays(self) -> dict[str, Any]:
        """The whole state by name; a copy."""
        described = sorted(self.descriptions.items())
        return {
            "labels.ids": self.ids.copy(),
            "labels.looks": self._looks.ids.copy(),
            "labels.looks_first": np.array(self._first, np.int32),
            "labels.retired": np.array(sorted(self.retired), np.int32),
            "labels.described": np.array([slot for slot, _ in described], np.int32),
            **strings.pack("labels.names", self.names),
            **strings.pack("labels.descriptions", [text for _, text in described]),
        }

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave.

        Raises
        ------
        ValueError
            Ids and names do not belong together.
        """
        ids, names = np.asarray(arrays["labels.ids"]), strings.unpack("labels.names", arrays)
        if len(ids) != len(names):
            raise ValueError(f"{len(ids)} label ids for {len(names)} names")
        for slot in range(0, len(names), max(1, len(names) // _SAMPLE)):
            if all(label_id(names[slot], n) != ids[slot] for n in range(_ATTEMPTS)):
                raise ValueError(f"the id of label {names[slot]!r} is another")
        self.names = names
        self._slots = dict(zip(names, range(len(names)), strict=True))
        if len(self._slots) != len(names):
            raise ValueError("label names repeat")
        self._table = IdTable(ids)
        self._looks = IdTable(np.asarray(arrays["labels.looks"]))
        self._first = array("i", np.asarray(arrays["labels.looks_first"], np.int32).tobytes())
        self._sorted = []
        self.retired = set(arrays["labels.retired"].tolist())
        texts = strings.unpack("labels.descriptions", arrays)
        self.descriptions = dict(zip(arrays["labels.described"].tolist(), texts, strict=True))
