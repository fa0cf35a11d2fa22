"""The latest events of each cluster, by id and in words, and which events may get their labels."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from stream import features, strings
from stream.learn.discovery.state import CLUSTERS, TERMS
from stream.learn.discovery.vectors import weights
from stream.types import Example

EVENTS = 12  # kept a cluster
WAITING = 4_096  # unlabelled events that were counted and may get labels
_READ = 1_000  # characters of a text
_NAMES = 24  # named features of an event
_LONGEST = 60  # characters of a term
_TOLD = 8  # terms told
_TWICE = 2  # kept events that a typical term is in, at least
_BETWEEN = "\x1f"
_WORD = re.compile(r"[^\W_]{2,}")


class Kept:
    """Bounded: EVENTS a cluster with their terms, and WAITING ids."""

    def __init__(self) -> None:
        self._of: list[deque[tuple[str, str]]] = [deque(maxlen=EVENTS) for _ in range(CLUSTERS)]
        self.waiting: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By id: the number of the cluster that an event was counted in, and the event's own."""

    def add(self, cluster: int, new: bool, example: Example, terms: str) -> None:
        """Keep an event of a cluster, which is a new one where `new`; `terms` of `terms_of`."""
        if new:
            self._of[cluster].clear()
        self._of[cluster].append((example.id, terms))

    def wait(self, identity: str, born: int, number: int) -> None:
        """Remember where an event without labels was counted."""
        self.waiting[identity] = born, number
        self.waiting.move_to_end(identity)
        if len(self.waiting) > WAITING:
            self.waiting.popitem(last=False)

    def join(self, cluster: int, gone: int) -> None:
        """Give the events of a cluster that is gone to another, as its oldest."""
        both = [*self._of[gone], *self._of[cluster]]
        self._of[cluster] = deque(both, maxlen=EVENTS)
        self._of[gone].clear()

    def ids(self, cluster: int) -> list[str]:
        """The events kept, newest last."""
        return [identity for identity, _ in self._of[cluster]]

    def typical(self, cluster: int, table: Any, total: float) -> list[str]:
        """Terms in many of a cluster's events and few others, by count times idf."""
        found = Counter(term for _, text in self._of[cluster] for term in _split(text))
        often = {term: n for term, n in found.items() if n >= _TWICE}
        scored = sorted((-n * _rarity(term, table, total), term) for term, n in often.items())
        return [term for _, term in scored[:_TOLD]]

    def arrays(self) -> dict[str, Any]:
        """The whole state by name."""
        held = [pair for events in self._of for pair in events]
        return {
            "discovery.kept": np.array([len(events) for events in self._of], np.int64),
            "discovery.waiting": np.array(list(self.waiting.values()), np.int64).reshape(-1, 2),
            **strings.pack("discovery.kept_ids", [identity for identity, _ in held]),
            **strings.pack("discovery.kept_terms", [text for _, text in held]),
            **strings.pack("discovery.waiting_ids", list(self.waiting)),
        }

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        ids = iter(strings.unpack("discovery.kept_ids", arrays))
        texts = iter(strings.unpack("discovery.kept_terms", arrays))
        self._of = [
            deque(((next(ids), next(texts)) for _ in range(n)), maxlen=EVENTS)
            for n in arrays["discovery.kept"].tolist()
        ]
        names = strings.unpack("discovery.waiting_ids", arrays)
        pairs = arrays["discovery.waiting"].tolist()
        self.waiting = OrderedDict(
            (name, (born, number)) for name, (born, number) in zip(names, pairs, strict=True)
        )


def terms_of(example: Example, table: Any, total: float, keys: Any, values: Any) -> str:
    """The beginning of a text, or the names of the features that stand out; none of a vector.

    `keys` and `values` are the event's row.
    """
    if example.text is not None:
        return example.text[:_READ].replace(_BETWEEN, " ")
    names = [name for name, value in (example.features or {}).items() if value]
    if not names:
        return ""
    heavy = weights(table, total, keys, values)
    most = np.argsort(-heavy, kind="stable")[:_NAMES]
    chosen = [names[at][:_LONGEST].replace(_BETWEEN, " ") for at in most.tolist() if heavy[at] > 0]
    return "".join(_BETWEEN + name for name in chosen)


def _split(text: str) -> set[str]:
    """The names of features, or the words of a text, each once."""
    if text.startswith(_BETWEEN):
        return set(text[1:].split(_BETWEEN))
    return {word for word in _WORD.findall(text.lower()) if len(word) <= _LONGEST}


def _rarity(term: str, table: Any, total: float) -> float:
    """Idf of a word or a name, whichever is there more often."""
    word = features.of_text(term)[0][:1]
    slots = [int(key) & (TERMS - 1) for key in (*word, *features.name_hashes([term]))]
    return float(np.log((total + 1) / (max(table[slot, 0] for slot in slots) + 1)))
