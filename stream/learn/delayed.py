"""A bounded room where events wait for late labels, and late labels for their event."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from stream.types import Example

Outcome = Literal["joined", "kept", "dropped"]


class WaitingRoom:
    """Joins labels to events by id, whichever comes first; the oldest make room.

    Parameters
    ----------
    most
        Events, and label sets, kept at most.
    most_bytes
        Bytes of waiting payloads at most.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._events: OrderedDict[str, Example] = OrderedDict()
        self._labels: OrderedDict[str, tuple[str, ...]] = OrderedDict()

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
        labels = self._labels.pop(example.id, None)
        if labels is not None:
            return replace(example, labels=labels)
        self._forget(example.id)
        self._events[example.id] = example
        self._bytes += _weight(example)
        while self._events and (len(self._events) > self._most or self._bytes > self._most_bytes):
            self._forget(next(iter(self._events)))
        return None

    def feedback(self, identity: str, labels: tuple[str, ...]) -> tuple[Example | None, Outcome]:
        """Take in late labels; returns the labelled event where it waits, and what was done."""
        example = self._events.get(identity)
        if example is not None:
            self._forget(identity)
            return replace(example, labels=labels), "joined"
        self._labels.pop(identity, None)
        self._labels[identity] = labels
        if len(self._labels) > self._most:
            self._labels.popitem(last=False)
            return None, "dropped"
        return None, "kept"

    def state(self) -> dict[str, Any]:
        """The whole state as plain JSON values, oldest first."""
        return {
            "events": [_plain(example) for example in self._events.values()],
            "labels": [[identity, list(labels)] for identity, labels in self._labels.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Replace the state by one that `state` gave."""
        self._bytes = 0
        self._events.clear()
        self._labels.clear()
        for fields in state["events"]:
            vector = fields.pop("vector")
            dense = None if vector is None else np.array(vector, np.float32)
            self.event(Example(**fields, vector=dense))
        for identity, labels in state["labels"]:
            self._labels[identity] = tuple(labels)

    def _forget(self, identity: str) -> None:
        example = self._events.pop(identity, None)
        if example is not None:
            self._bytes -= _weight(example)


def _weight(example: Example) -> int:
    """About the bytes that an example takes."""
    size = 200 + len(example.text or "")
    if example.features is not None:
        size += sum(90 + len(name) for name in example.features)
    if example.vector is not None:
        size += 4 * len(example.vector)
    return size


def _plain(example: Example) -> dict[str, Any]:
    vector = None if example.vector is None else example.vector.tolist()
    return {
        "id": example.id,
        "text": example.text,
        "features": example.features,
        "vector": vector,
        "ts": example.ts,
    }
