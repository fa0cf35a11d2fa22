"""A bounded room where events wait for late labels, and late labels for their event."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from stream.types import Example

Outcome = Literal["joined", "kept", "dropped"]
Names = tuple[str, ...]
Given = tuple[Names, Names | None]
"""Labels, and which were looked for: None for all."""


class WaitingRoom:
    """Joins labels to events by id, whichever comes first; the oldest make room.

    Parameters
    ----------
    most
        Events, and label sets, kept at most.
    most_bytes
        Bytes of waiting events at most, and as many of waiting label sets.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._label_bytes = 0
        self._events: OrderedDict[str, Example] = OrderedDict()
        self._labels: OrderedDict[str, Given] = OrderedDict()

    @property
    def events(self) -> int:
        """Events that wait for labels."""
        return len(self._events)

    @property
    def labels(self) -> int:
        """Label sets that wait for their event."""
        return len(self._labels)

    def event(self, example: Example) -> Example | None:
        """Take in an unlabelled event; returns it labelled where its labels had come before."""
        given = self._drop(example.id)
        if given is not None:
            return replace(example, labels=given[0], checked=given[1])
        self._forget(example.id)
        self._events[example.id] = example
        self._bytes += _weight(example)
        while self._events and (len(self._events) > self._most or self._bytes > self._most_bytes):
            self._forget(next(iter(self._events)))
        return None

    def feedback(
        self, identity: str, labels: Names, checked: Names | None = None
    ) -> tuple[Example | None, Outcome]:
        """Take in late labels; returns the labelled event where it waits, and what was done.

        `checked` are the labels looked for, None for all. `dropped` says that label sets had
        to go, the oldest first: perhaps this one.
        """
        example = self._events.get(identity)
        if example is not None:
            self._forget(identity)
            return replace(example, labels=labels, checked=checked), "joined"
        return None, "dropped" if self._keep(identity, (labels, checked)) else "kept"

    def state(self) -> dict[str, Any]:
        """The whole state as plain JSON values, oldest first."""
        return {
            "events": [_plain(example) for example in self._events.values()],
            "labels": [
                [identity, list(labels), None if checked is None else list(checked)]
                for identity, (labels, checked) in self._labels.items()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Replace the state by one that `state` gave."""
        self._bytes = self._label_bytes = 0
        self._events.clear()
        self._labels.clear()
        for fields in state["events"]:
            vector = fields["vector"]
            dense = None if vector is None else np.array(vector, np.float32)
            self.event(Example(**fields | {"vector": dense}))
        for identity, labels, checked in state["labels"]:
            given = tuple(labels), None if checked is None else tuple(checked)
            self._keep(identity, given)

    def _keep(self, identity: str, given: Given) -> bool:
        """Keep a label set as the newest; whether any had to go."""
        self._drop(identity)
        self._labels[identity] = given
        self._label_bytes += _label_weight(identity, given)
        dropped = False
        while self._labels and (
            len(self._labels) > self._most or self._label_bytes > self._most_bytes
        ):
            self._drop(next(iter(self._labels)))
            dropped = True
        return dropped

    def _drop(self, identity: str) -> Given | None:
        given = self._labels.pop(identity, None)
        if given is not None:
            self._label_bytes -= _label_weight(identity, given)
        return given

    def _forget(self, identity: str) -> None:
        example = self._events.pop(identity, None)
        if example is not None:
            self._bytes -= _weight(example)


def _weight(example: Example) -> int:
    """About the bytes that an example takes."""
    size = 200 + len(example.id) + len(example.text or "")
    if example.features is not None:
        size += sum(90 + len(name) for name in example.features)
    if example.vector is not None:
        size += 4 * len(example.vector)
    return size


def _label_weight(identity: str, given: Given) -> int:
    """About the bytes that a label set takes."""
    labels, checked = given
    return 200 + len(identity) + sum(60 + len(label) for label in (*labels, *(checked or ())))


def _plain(example: Example) -> dict[str, Any]:
    vector = None if example.vector is None else example.vector.tolist()
    return {
        "id": example.id,
        "text": example.text,
        "features": example.features,
        "vector": vector,
        "ts": example.ts,
    }
