"""Snapshots of older formats, brought to the present one a step at a time.

Each step says what its release added, and what a state from before it is given instead. Formats
below `OLDEST` were never part of a release.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stream import strings
from stream.config import Learn
from stream.looks import look
from stream.teaching import Caps

FORMAT = 6
OLDEST = 4

Arrays = dict[str, Any]
Meta = dict[str, Any]


def _from_4(arrays: Arrays, meta: Meta) -> None:
    """Labels have looks; sources have caps, which begin empty."""
    first: dict[int, int] = {}
    for slot, name in enumerate(strings.unpack("labels.names", arrays)):
        first.setdefault(look(name), slot)
    arrays["labels.looks"] = np.array(list(first), np.int64)
    arrays["labels.looks_first"] = np.array(list(first.values()), np.int32)
    defaults = Learn()
    arrays |= Caps(defaults.source_share, defaults.source_burst).arrays()


def _from_5(arrays: Arrays, meta: Meta) -> None:
    """The prototype index has generations, of which there was the first."""
    model = meta["model"]
    first = {"kind": "projection", "dimension": model["width"] or model["dimension"], "number": 0}
    given: Meta = {
        "current": first, "before": None, "newest": 0, "held": False, "verdicts": []
    }  # fmt: skip
    meta["generations"] = None if meta["index"] is None else given


_STEPS: dict[int, Callable[[Arrays, Meta], None]] = {4: _from_4, 5: _from_5}


def migrate(found: int, arrays: Arrays, meta: Meta) -> None:
    """Bring a snapshot of format `found`, OLDEST at least, to FORMAT, in place."""
    for step in range(found, FORMAT):
        _STEPS[step](arrays, meta)
