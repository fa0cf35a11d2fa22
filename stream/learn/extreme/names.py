"""Names of labels, found in an event's words: whole names by n-grams, parts by first letters.

A name is posted under up to KEYS keys: a hash of all its stems where it has GRAM words at most,
the same for the part before a bracket, and its distinct first letters. Keys and postings are
linked lists in arrays, so that a name is put in and taken out in a time that depends on nothing
else; reading stops after a bounded number of postings, whoever shares a key.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.arrays import Spec, Specs

KEYS = 8  # postings of a name
GRAM = 4  # words of a name that is looked for whole
SHARED = 16  # labels read of one whole name
COMMON = 300  # first letters of more names than that say nothing

# sizes
USED, FREED, NAMED = 0, 1, 2

_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xC2B2AE3D27D4EB4F)
_TOP = np.uint64(1 << 63)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


class Names(NamedTuple):
    """The table. A posting is a label's number times KEYS plus a place."""

    sizes: Any  # keys ever used, head of the freed ones less one, labels with a name
    bucket: Any  # (buckets,) int32 first key of a hash, -1 for none
    key: Any  # (keys,) uint64
    chain: Any  # (keys,) int32 next key of its bucket, or next freed one
    first: Any  # (keys,) int32 newest posting
    count: Any  # (keys,) int32 postings
    of: Any  # (named, KEYS) int32 key of a posting, -1 for none
    after: Any  # (named, KEYS) int32 older posting of the same key
    before: Any  # (named, KEYS) int32 newer one
    shown: Any  # (named, 2) decayed matches of the whole name, in bodies and in titles
    hit: Any  # (named, 2) those of them where the label was true
    shared: Any  # (2, 2) matches of all labels, in bodies and in titles, and the true ones


NAMES: Specs = {
    "sizes": Spec((4,), np.int64),
    "bucket": Spec(("keys",), np.int32, -1),
    "key": Spec(("keys",), np.uint64),
    "chain": Spec(("keys",), np.int32, -1),
    "first": Spec(("keys",), np.int32, -1),
    "count": Spec(("keys",), np.int32),
    "of": Spec(("named", KEYS), np.int32, -1),
    "after": Spec(("named", KEYS), np.int32, -1),
    "before": Spec(("named", KEYS), np.int32, -1),
    "shown": Spec(("named", 2)),
    "hit": Spec(("named", 2)),
    "shared": Spec((2, 2), np.float64),
}


@kernel
def extend(gram: Any, word: Any) -> Any:
    """The hash of an n-gram and one more word; a first gram is 0."""
    gram = (gram ^ (word >> _HALF)) * _A
    return (gram ^ (gram >> np.uint64(29))) & ~_TOP


@kernel
def head(word: Any) -> Any:
    """The key of a word's first letters."""
    return ((word & _LOW) * _B) | _TOP


@kernel
def find(names: Names, key: Any) -> int:
    """The number of a key, -1 when no name has it."""
    at = names.bucket[_bucket(names, key)]
    while at >= 0 and names.key[at] != key:
        at = names.chain[at]
    return at


@kernel
def _bucket(names: Names, key: Any) -> Any:
    mixed = (key ^ (key >> np.uint64(31))) * _A
    return np.int64((mixed >> np.uint64(20)) & np.uint64(len(names.bucket) - 1))


@kernel
def _post(names: Names, label: int, place: int, key: Any) -> bool:
    """Post a label under a key; False when no key is left."""
    at = find(names, key)
    if at < 0:
        at = names.sizes[FREED] - 1
        if at >= 0:
            names.sizes[FREED] = np.int64(names.chain[at]) + 1
        elif names.sizes[USED] < len(names.key):
            at = names.sizes[USED]
            names.sizes[USED] += 1
        else:
            return False
        bucket = _bucket(names, key)
        names.key[at] = key
        names.chain[at] = names.bucket[bucket]
        names.bucket[bucket] = at
        names.first[at] = -1
        names.count[at] = 0
    posting = label * KEYS + place
    older = names.first[at]
    names.of[label, place] = at
    names.after[label, place] = older
    names.before[label, place] = -1
    if older >= 0:
        names.before[older // KEYS, older % KEYS] = posting
    names.first[at] = posting
    names.count[at] += 1
    return True


@kernel
def _unpost(names: Names, label: int, place: int) -> None:
    at = names.of[label, place]
    older, newer = names.after[label, place], names.before[label, place]
    names.of[label, place] = -1
    if older >= 0:
        names.before[older // KEYS, older % KEYS] = newer
    if newer >= 0:
        names.after[newer // KEYS, newer % KEYS] = older
    else:
        names.first[at] = older
    names.count[at] -= 1
    if names.count[at] > 0:
        return
    bucket = _bucket(names, names.key[at])
    if names.bucket[bucket] == at:
        names.bucket[bucket] = names.chain[at]
    else:
        other = names.bucket[bucket]
        while names.chain[other] != at:
            other = names.chain[other]
        names.chain[other] = names.chain[at]
    names.chain[at] = names.sizes[FREED] - 1
    names.sizes[FREED] = at + 1


@kernel
def drop(names: Names, label: int) -> None:
    """Forget a label's name, and how well it did."""
    if label >= len(names.of):
        return
    had = False
    for place in range(KEYS):
        if names.of[label, place] >= 0:
            had = True
            _unpost(names, label, place)
    if had:
        names.sizes[NAMED] -= 1
    names.shown[label] = 0
    names.hit[label] = 0


@kernel
def put(names: Names, label: int, words: Any, bare: int) -> None:
    """Give a label a name: its words, of which the first `bare` stand before a bracket."""
    drop(names, label)
    place = 0
    gram = np.uint64(0)
    for n in range(min(len(words), GRAM)):
        gram = extend(gram, words[n])
        if (n + 1 == len(words) or n + 1 == bare) and _post(names, label, place, gram):
            place += 1
    for n in range(len(words)):
        key = head(words[n])
        fresh = place < KEYS
        for other in range(place):
            if names.key[names.of[label, other]] == key:
                fresh = False
        if fresh and _post(names, label, place, key):
            place += 1
    if place > 0:
        names.sizes[NAMED] += 1


@kernel
def rehash(names: Names) -> None:
    """Link all keys anew, after the buckets were enlarged."""
    names.bucket[:] = -1
    for at in range(names.sizes[USED]):
        if names.count[at] > 0:
            bucket = _bucket(names, names.key[at])
            names.chain[at] = names.bucket[bucket]
            names.bucket[bucket] = at
