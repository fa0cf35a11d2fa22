"""Caps on what one source may teach of one label, so that a flood of it does not drown the rest.

A source is who sends labels: the token's name where they come by HTTP, or an event's own field
`source`. For each pair of source and label a bucket fills by one with each event taught and
empties by a share of all events that are taught; a full one takes no more. Events without a
source are not capped: whoever may write to the topic is trusted.

Buckets are counted in events, never in seconds, and lie in one table of fixed size, so that a
flood of sources or labels takes no memory. Two pairs that meet in a bucket share its cap. A source
that teaches one label and nobody else anything is heard no more once it has had its burst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np

from stream.types import Example

_BUCKETS = 1 << 16


class Caps:
    """The buckets.

    Parameters
    ----------
    share
        Of all events taught, how much one source may go on to teach of one label; 1 caps nothing.
    burst
        Events of one label that one source may teach beyond its share.
    """

    def __init__(self, share: float, burst: int) -> None:
        self._share = share
        self._burst = burst
        self._filled = np.zeros(_BUCKETS, np.float64)
        self._at = np.zeros(_BUCKETS, np.int64)
        self._taught = 0

    def admit(self, example: Example) -> tuple[Example | None, int]:
        """What may be taught of a labelled example, None for nothing, and how many labels not.

        Labels above their cap become unknown: only the others were looked for, then.
        """
        labels, source = example.labels or (), example.source
        if source is None or not labels or self._share >= 1:
            self._taught += 1
            return example, 0
        kept = tuple(label for label in labels if self._take(source, label))
        if not kept:
            return None, len(labels)
        self._taught += 1
        if len(kept) == len(labels):
            return example, 0
        looked = kept if example.checked is None else (*kept, *example.checked)
        over = set(labels).difference(kept)
        checked = tuple(label for label in looked if label not in over)
        return replace(example, labels=kept, checked=checked), len(over)

    def arrays(self) -> dict[str, Any]:
        """The whole state by name; not copied."""
        taught = np.array([self._taught], np.int64)
        return {
            "teaching.filled": self._filled, "teaching.at": self._at, "teaching.taught": taught,
        }  # fmt: skip

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `arrays` gave."""
        self._filled, self._at = arrays["teaching.filled"], arrays["teaching.at"]
        self._taught = int(arrays["teaching.taught"][0])

    def _take(self, source: str, label: str) -> bool:
        """Put one event into a bucket; False where it is full."""
        digest = blake2b(label.encode(), digest_size=8, key=_key(source)).digest()
        bucket = int.from_bytes(digest, "little") % _BUCKETS
        emptied = self._share * (self._taught - int(self._at[bucket]))
        filled = max(0.0, float(self._filled[bucket]) - emptied)
        taken = filled + 1 <= self._burst
        self._filled[bucket] = filled + taken
        self._at[bucket] = self._taught
        return taken


def _key(source: str) -> bytes:
    return blake2b(source.encode(), digest_size=16).digest()
