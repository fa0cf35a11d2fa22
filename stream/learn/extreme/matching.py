"""What an event's words say of labels' names: whole names that occur, and parts of names."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.extreme import names as table
from stream.learn.extreme.names import COMMON, GRAM, KEYS, NAMED, SHARED, Names

TOLD = 4_096  # labels of which an event's words say anything
_READ = 20_000  # postings read of parts of names
_DECAY = 0.99
_STRENGTH = 2.0  # matches that the shared precision counts for in a label's own
_TOP = np.uint64(1 << 63)

# columns of `Told.said`
TITLE, BODY, INSIDE, WORDS, PART, TITLE_PART = range(6)


class Told(NamedTuple):
    """Labels that an event's words tell of; room for one event."""

    n: Any  # labels, and the number of the event
    label: Any  # (TOLD,) int32
    at: Any  # (labels,) int32 place of a label, -1 for none
    said: Any  # (TOLD, 6): see the columns
    asked: Any  # (keys,) int64 last event that asked for a key


def room(labels: int, keys: int) -> Told:
    """Room for a table of so many labels and keys."""
    return Told(
        np.zeros(2, np.int64),
        np.zeros(TOLD, np.int32),
        np.full(labels, -1, np.int32),
        np.zeros((TOLD, 6), np.float32),
        np.full(keys, -1, np.int64),
    )


@kernel
def _tell(told: Told, label: int) -> int:
    """The place of a label among those told, -1 when there is no room."""
    at = told.at[label]
    if at < 0 and told.n[0] < TOLD:
        at = told.n[0]
        told.n[0] += 1
        told.at[label] = at
        told.label[at] = label
        told.said[at, :] = 0
    return at


@kernel
def clear(told: Told) -> None:
    """Forget the event."""
    for k in range(told.n[0]):
        told.at[told.label[k]] = -1
    told.n[0] = 0


@kernel
def scan(names: Names, words: Any, told: Told) -> None:
    """Fill `told` from an event's words (m,) uint64; a name inside a longer one counts apart."""
    if names.sizes[NAMED] == 0:
        return
    body = False
    reach = 0
    keys = np.empty(GRAM, np.int64)
    for i in range(len(words)):
        if words[i] == 0:
            body = True
            continue
        most = 0
        gram = np.uint64(0)
        for n in range(min(GRAM, len(words) - i)):
            if words[i + n] == 0:
                break
            gram = table.extend(gram, words[i + n])
            keys[n] = table.find(names, gram)
            most = n + 1
        for n in range(most - 1, -1, -1):
            if keys[n] < 0:
                continue
            end = i + n + 1
            column = INSIDE if end <= reach else (BODY if body else TITLE)
            reach = max(reach, end)
            posting = names.first[keys[n]]
            for _ in range(SHARED):
                if posting < 0:
                    break
                at = _tell(told, posting // KEYS)
                if at >= 0:
                    told.said[at, column] += 1
                    told.said[at, WORDS] = max(told.said[at, WORDS], np.float32(n + 1))
                posting = names.after[posting // KEYS, posting % KEYS]
    _parts(names, words, told)


@kernel
def weight(names: Names, key: int) -> float:
    """What a part of names is worth, 0 for one that too many have."""
    count = names.count[key]
    if count > COMMON:
        return 0.0
    return np.log((1.0 + names.sizes[NAMED]) / count)


@kernel
def _parts(names: Names, words: Any, told: Told) -> None:
    told.n[1] += 1
    left = _READ
    body = False
    for word in words:
        if word == 0:
            body = True
            continue
        key = table.find(names, table.head(word))
        if key < 0 or told.asked[key] == told.n[1] or left < names.count[key]:
            continue
        told.asked[key] = told.n[1]
        worth = weight(names, key)
        posting = names.first[key] if worth > 0 else -1
        while posting >= 0:
            at = _tell(told, posting // KEYS)
            if at >= 0:
                told.said[at, PART] += worth
                if not body:
                    told.said[at, TITLE_PART] += worth
            posting = names.after[posting // KEYS, posting % KEYS]
            left -= 1


@kernel
def whole(names: Names, label: int) -> float:
    """What all parts of a label's name are worth."""
    total = 0.0
    for place in range(KEYS):
        key = names.of[label, place]
        if key >= 0 and names.key[key] >= _TOP:
            total += weight(names, key)
    return total


@kernel
def kind(said: Any) -> int:
    """How a whole name occurs: 1 in the title, 0 elsewhere, -1 not at all."""
    if said[TITLE] > 0:
        return 1
    return 0 if said[BODY] > 0 or said[INSIDE] > 0 else -1


@kernel
def precision(names: Names, label: int, how: int) -> float:
    """The learnt share of a label's matches that were true, shrunk to that of all labels."""
    prior = (names.shared[how, 1] + 1.0) / (names.shared[how, 0] + 10.0)
    return (names.hit[label, how] + _STRENGTH * prior) / (names.shown[label, how] + _STRENGTH)


@kernel
def learn(names: Names, told: Told, truth: Any) -> None:
    """Count which matches of the event were true."""
    for k in range(told.n[0]):
        how = kind(told.said[k])
        if how < 0:
            continue
        label = told.label[k]
        y = 0.0
        for other in truth:
            if other == label:
                y = 1.0
        names.shown[label, how] = names.shown[label, how] * _DECAY + 1.0
        names.hit[label, how] = names.hit[label, how] * _DECAY + y
        names.shared[how, 0] += 1.0
        names.shared[how, 1] += y
