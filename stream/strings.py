"""Many strings as two plain arrays: UTF-8 bytes in a row, and where each ends."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def pack(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """`name.bytes` (m,) uint8 and `name.bounds` (n + 1,) int64.

    Examples
    --------
    >>> unpack("x", pack("x", ["a", "", "ä"]))
    ['a', '', 'ä']
    """
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    bounds = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=bounds[1:])
    return {
        f"{name}.bytes": np.frombuffer(b"".join(parts), np.uint8),
        f"{name}.bounds": bounds,
    }


def unpack(name: str, arrays: Mapping[str, Any]) -> list[str]:
    """The reverse of `pack`."""
    data = np.asarray(arrays[f"{name}.bytes"], np.uint8).tobytes()
    bounds = arrays[f"{name}.bounds"].tolist()
    if data.isascii():  # a slice of one long text is several times as fast as decoding each
        whole = data.decode("ascii")
        return [whole[start:stop] for start, stop in itertools.pairwise(bounds)]
    return [
        data[start:stop].decode("utf-8", "surrogatepass")
        for start, stop in itertools.pairwise(bounds)
    ]
