"""Labels on their way to another process: names and ids that are only appended to.

The other process makes no object of a name before it is asked for, so that a million of them cost
it what their bytes weigh and a table of their ids, and new ones keep no request waiting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import orjson

from stream import strings
from stream.idtable import IdTable
from stream.labels import LabelSpace, label_id
from stream.shared.growing import GrowingReader, GrowingWriter
from stream.shared.prefix import with_prefix
from stream.types import Int32, Int64

_BYTES, _ENDS, _IDS, _TEXTS = "names.bytes", "names.ends", "names.ids", "names.descriptions"


class NameWriter:
    """Appends what has come since the last time.

    Parameters
    ----------
    folder
        Where its files go.
    """

    def __init__(self, folder: Path) -> None:
        self._bytes = GrowingWriter(folder / _BYTES, np.uint8)
        self._ends = GrowingWriter(folder / _ENDS, np.int64)
        self._ends.append([0])
        self._ids = GrowingWriter(folder / _IDS, np.int64)
        self._texts = GrowingWriter(folder / _TEXTS, np.uint8)
        self._known = {"labels": 0, "bytes": 0, "texts": 0}
        self._told: dict[int, str] = {}

    def update(self, labels: LabelSpace, described: bool) -> dict[str, int]:
        """Write new names, and descriptions where some were `described`; how much is there.

        Where it fails, with `OSError` for lack of room, the next call writes over what this one
        began.
        """
        known, before = self._known["labels"], self._known["bytes"]
        packed = strings.pack("new", labels.names[known:])
        self._bytes.append(packed["new.bytes"], before)
        self._ends.append(before + packed["new.bounds"][1:], known + 1)
        self._ids.append(labels.ids[known:], known)
        if described:
            self._describe(labels.descriptions)
        self._known = {
            "labels": len(self._ids), "bytes": len(self._bytes), "texts": len(self._texts),
        }  # fmt: skip
        return self._known

    def close(self) -> None:
        """Close the files."""
        for part in (self._bytes, self._ends, self._ids, self._texts):
            part.close()

    def _describe(self, descriptions: Mapping[int, str]) -> None:
        changed: dict[int, str | None] = {
            slot: text for slot, text in descriptions.items() if self._told.get(slot) != text
        }
        changed |= dict.fromkeys(self._told.keys() - descriptions.keys())
        if changed:
            lines = b"".join(orjson.dumps(pair) + b"\n" for pair in changed.items())
            self._texts.append(np.frombuffer(lines, np.uint8), self._known["texts"])
            self._told = dict(descriptions)


class MappedLabels:
    """The labels of another process; see `stream.labels.Labels`.

    One thread calls `update`; others may read meanwhile, and find at least what was there when
    they began.
    """

    def __init__(self, folder: Path) -> None:
        self._files = (
            GrowingReader(folder / _BYTES, np.uint8), GrowingReader(folder / _ENDS, np.int64),
            GrowingReader(folder / _IDS, np.int64), GrowingReader(folder / _TEXTS, np.uint8),
        )  # fmt: skip
        self._table = IdTable()
        self._read = 0
        self.names: _Names = _Names(np.zeros(0, np.uint8), np.zeros(1, np.int64))
        self.descriptions: dict[int, str] = {}
        self.retired: Collection[int] = ()

    def __len__(self) -> int:
        return len(self.names)

    def update(self, known: Mapping[str, int]) -> None:
        """Take up what `NameWriter.update` has told."""
        files = self._files
        self._table.extend(files[2].first(known["labels"])[len(self._table) :])
        texts = files[3].first(known["texts"])[self._read :].tobytes()
        for line in texts.splitlines():
            slot, text = orjson.loads(line)
            if text is None:
                self.descriptions.pop(slot, None)
            else:
                self.descriptions[slot] = text
        self._read = known["texts"]
        self.names = _Names(files[0].first(known["bytes"]), files[1].first(known["labels"] + 1))

    def slot(self, name: str) -> int | None:
        """The slot of a label, or None when it was never seen."""
        attempt = 0
        while True:  # as `LabelSpace.add` chose its id
            slot = int(self._table.find_all(np.array([label_id(name, attempt)]))[0])
            if slot < 0 or slot >= len(self.names):
                return None
            if self.names[slot] == name:
                return slot
            attempt += 1

    def slots_of_ids(self, ids: Int64) -> Int32:
        """The slot of each id (any shape), -1 where unknown."""
        return self._table.find_all(ids)

    def id_of(self, slot: int) -> int:
        """The id of a slot, as a plain int."""
        return int(self._table.ids[slot])

    def with_prefix(self, prefix: str, most: int, known: int = 1 << 62) -> list[str]:
        """At most `most` names that start with `prefix`, in order, of the first `known` labels."""
        names = self.names
        start = prefix.encode("utf-8", "surrogatepass")
        slots = with_prefix(names.data, names.bounds[: known + 1], start, most)
        return [names[slot] for slot in slots]


class _Names(Sequence[str]):
    """Names by slot, each made when it is asked for."""

    def __init__(self, data: Any, bounds: Any) -> None:
        self.data = data
        self.bounds = bounds

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, slot: int) -> str: ...
    @overload
    def __getitem__(self, slot: slice) -> list[str]: ...
    def __getitem__(self, slot: int | slice) -> str | list[str]:
        if isinstance(slot, slice):
            return [self[at] for at in range(*slot.indices(len(self)))]
        at = slot + len(self) if slot < 0 else slot
        start, stop = self.bounds[at], self.bounds[at + 1]
        return str(self.data[start:stop].tobytes().decode("utf-8", "surrogatepass"))

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))
