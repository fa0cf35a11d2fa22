"""Label names and descriptions on their way to another process: a file that is only appended to."""

from __future__ import annotations

from pathlib import Path

import orjson

from stream.labels import LabelSpace


class NameWriter:
    """Appends what has come since the last time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._names = 0
        self._told: dict[int, str] = {}

    def update(self, labels: LabelSpace, described: bool) -> int:
        """Write new names, and descriptions where some were `described`; bytes in the file."""
        lines = [orjson.dumps(name) for name in labels.names[self._names :]]
        self._names += len(lines)
        if described:
            changed = {
                slot: text for slot, text in labels.descriptions.items()
                if self._told.get(slot) != text
            }  # fmt: skip
            lines += [orjson.dumps([slot, text]) for slot, text in changed.items()]
            self._told |= changed
        if lines:
            self._file.write(b"\n".join(lines) + b"\n")
            self._file.flush()
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class NameReader:
    """Follows the file into a label space of its own; not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.labels = LabelSpace()

    def update(self, until: int) -> None:
        """Read on up to a byte of the file."""
        for line in self._file.read(until - self._file.tell()).splitlines():
            entry = orjson.loads(line)
            if isinstance(entry, str):
                self.labels.add(entry)
            else:
                self.labels.descriptions[entry[0]] = entry[1]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
