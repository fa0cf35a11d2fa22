"""What labels are described by, until they are met and after."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.learn.encoder.lessons import Inputs


class Texts:
    """Weighed texts of labels, the newest of each; about 150 bytes and 8 a term."""

    def __init__(self) -> None:
        self._of: dict[int, bytes] = {}  # slots int32, then weights float32

    def __len__(self) -> int:
        return len(self._of)

    def __contains__(self, label: int) -> bool:
        return label in self._of

    def put(self, label: int, row: Inputs) -> None:
        """Keep a text, a sparse row."""
        n = int(row.n[0])
        slot, weight = row.slot[0, :n].astype(np.int32), row.weight[0, :n].astype(np.float32)
        self._of[label] = slot.tobytes() + weight.tobytes()

    def drop(self, label: int) -> None:
        """Forget a label's text."""
        self._of.pop(label, None)

    @property
    def labels(self) -> Any:
        """Labels that have one, (n,) int64."""
        return np.array(list(self._of), np.int64)

    def among(self, labels: Any) -> tuple[Any, Inputs | None]:
        """Those of `labels` that have a text, each once, and the texts as rows."""
        found = [label for label in np.unique(labels).tolist() if label in self._of]
        return np.array(found, np.int64), self._rows(found) if found else None

    def arrays(self) -> dict[str, Any]:
        """All of them, by name: labels (n,) int64, bytes of each (n,) int64, and the bytes."""
        texts = list(self._of.values())
        return {
            "labels": self.labels,
            "sizes": np.array([len(text) for text in texts], np.int64),
            "bytes": np.frombuffer(b"".join(texts), np.uint8),
        }

    def load(self, labels: Any, sizes: Any, data: Any) -> None:
        """Replace them by what `arrays` gave."""
        whole, ends = data.tobytes(), np.cumsum(sizes).tolist()
        starts = [0, *ends[:-1]]
        texts = (whole[start:end] for start, end in zip(starts, ends, strict=False))
        self._of = dict(zip(labels.tolist(), texts, strict=True))

    def _rows(self, labels: list[int]) -> Inputs:
        texts = [self._of[label] for label in labels]
        n = np.array([len(text) // 8 for text in texts], np.int32)
        shape = len(texts), int(n.max())
        slot, weight = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        for at, text in enumerate(texts):
            slot[at, : n[at]] = np.frombuffer(text, np.int32, n[at])
            weight[at, : n[at]] = np.frombuffer(text, np.float32, n[at], 4 * int(n[at]))
        return Inputs(slot, weight, n, np.zeros((len(texts), 0), np.float32))
