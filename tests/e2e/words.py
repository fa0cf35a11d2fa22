"""A view that needs no model, an inlet that keeps what it is sent, and the endpoint over both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np

from stream.config import Settings
from stream.errors import Conflict, InvalidRecord, NotReady, Unavailable
from stream.metrics import Metrics
from stream.serve.app import create_app
from stream.serve.server import EndpointServer
from stream.serve.view import (
    Exemplar,
    Explanation,
    LabelInfo,
    PartitionInfo,
    Reasons,
    TreeNode,
)
from stream.types import DriftEvent, Example, Prediction, Scored

GENERATIONS: dict[str, Any] = {
    "generations": [
        {"number": 2, "encoder": "bag", "dimension": 256, "state": "in use", "labels": 900},
        {"number": 1, "encoder": "bag", "dimension": 256, "state": "before", "labels": 900},
    ],
    "training": {"state": "held", "reason": "somebody went back"},
    "verdicts": [DriftEvent("rollback", "encoder", 7, {"generation": 2, "before": 1})],
}
LABELS = ("art", "art history", "law/eu", "music")


class WordView:
    """Tags a text with the words in it, a vector with its first entry as the score."""

    def __init__(self, position: int) -> None:
        self.position = position

    def predict(
        self, examples: Sequence[Example], k: int, among: Sequence[str] = ()
    ) -> list[Prediction]:
        if not among:
            return [self._one(example, k) for example in examples]
        found = [self._one(example, 100) for example in examples]
        tops = [tuple(each for each in one.top if each.label in among)[:k] for one in found]
        return [replace(one, top=top) for one, top in zip(found, tops, strict=True)]

    def explain(self, example: Example, labels: Sequence[str]) -> Explanation:
        if "odd" in labels:
            raise RuntimeError("no reason")
        reasons = (Reasons(label, 0.5, 0.0, 7, False, {"prior": 0.0}) for label in labels)
        return Explanation(tuple(reasons), (Exemplar(0.5, 3, ("art",)),))

    def _one(self, example: Example, k: int) -> Prediction:
        assert example.labels is None
        if example.vector is not None:
            if example.vector.shape != (2,):
                raise InvalidRecord("vector_length", "the stream's vectors have 2 entries")
            words = {"vector": float(example.vector[0])}
        elif example.features is not None:
            words = example.features
        else:
            words = {word: 1 / (n + 1) for n, word in enumerate((example.text or "").split())}
        if "crash" in words:
            raise RuntimeError("secret path /srv/model")
        top = tuple(Scored(word, score) for word, score in words.items())[:k]
        return Prediction(example.id, top, tuple(one.label for one in top[:1]), self.position)

    def label(self, name: str) -> LabelInfo | None:
        known = name in LABELS
        return LabelInfo(name, 2**62, 3, -1, False, None) if known else None

    def labels(self, prefix: str, most: int) -> list[str]:
        return [label for label in LABELS if label.startswith(prefix)][:most]

    def partitions(self) -> list[PartitionInfo]:
        return [PartitionInfo(n, 10 - n, 1.5, ("art",)) for n in range(5)]

    def tree(self, most: int) -> list[TreeNode]:
        nodes = [
            TreeNode(9, None, False, 12, 3.0, 1.5),
            TreeNode(4, 9, True, 7, 2.0, None, ("art",)),
            TreeNode(2, 9, True, 5, 1.0, None, ("law/eu",)),
        ]
        return nodes[:most]

    def drift(self) -> list[DriftEvent]:
        return [DriftEvent("split", f"partition/{n}", n, {"into": [n, n + 1]}) for n in range(3)]

    def model(self) -> dict[str, Any]:
        index = {"kind": "none", "generation": 0, "encoder": "none", "plugin": ""}
        index |= {"labels": np.int64(4), "reason": "few labels"}
        sizes = {"labels": 4, "partitions": 2, "lag": 0, "threshold": 0.3, "memory_bytes": 1_000}
        return {"position": self.position, "learner": "small", **sizes, "index": index}

    def generations(self) -> Mapping[str, Any]:
        return GENERATIONS


class Views:
    """A new position for each view handed out, so that a mixture of views would show."""

    def __init__(self) -> None:
        self.made = 0
        self.reason = self.settled = ""
        self.orders: list[Mapping[str, Any]] = []

    def current(self) -> WordView:
        if self.reason:
            raise NotReady(self.reason)
        self.made += 1
        return WordView(self.made)

    def status(self) -> dict[str, Any]:
        return {"ready": not self.reason, "reason": self.reason, "lag": 0, "position": self.made}

    def order(self, what: Mapping[str, Any]) -> None:
        if self.settled:
            raise Conflict(self.settled)
        self.orders.append(what)


class Kept:
    """An inlet that keeps what it is sent, or fails when told to."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.told: list[tuple[bytes, bytes | None]] = []
        self.down = False

    def send(self, events: Sequence[tuple[bytes, bytes]]) -> None:
        if self.down:
            raise Unavailable("no broker at 10.0.0.7:9092")
        self.pairs += events

    def describe(self, labels: Sequence[tuple[bytes, bytes | None]]) -> None:
        self.told += labels


@contextmanager
def serving(settings: Settings, inlet: Kept | None) -> Iterator[SimpleNamespace]:
    views, metrics = Views(), Metrics()
    serve = settings.serve.model_copy(update={"page": False})  # it asks for views of its own
    settings = settings.model_copy(update={"serve": serve})
    server = EndpointServer(create_app(settings, views, inlet, metrics), "127.0.0.1", 0)
    address = server.start()
    try:
        with httpx.Client(base_url=address, timeout=30) as client:
            yield SimpleNamespace(
                client=client, views=views, metrics=metrics, inlet=inlet, address=address
            )
    finally:
        server.stop()
