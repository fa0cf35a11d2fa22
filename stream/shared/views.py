"""The endpoint's side: the newest view, mapped."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import orjson

from indexes.frozen import attach
from stream.config import Settings
from stream.errors import NotReady
from stream.learn import persist
from stream.learn.model import Frozen
from stream.retrieval import FrozenRetrieval
from stream.shared.board import BUFFERS, Board
from stream.shared.buffer import Reader
from stream.shared.names import NameReader
from stream.shared.publisher import BOARD, GENERATION, NAMES, VIEW
from stream.types import DriftEvent
from stream.views import ModelView


class SharedViews:
    """Hands out the newest view of another process; see `stream.serve.view.ViewSource`.

    Parameters
    ----------
    settings
        Of the whole service, as the other process has them.
    folder
        `SharedPublisher.folder`.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._board = Board(folder / BOARD)
        self._names = NameReader(folder / NAMES)
        self._buffers = [Reader(folder / f"{VIEW}{n}") for n in range(BUFFERS)]
        self._turn = threading.Lock()
        self._working = threading.Lock()  # learners take over each other's room
        self._folder, self._generation = folder, 0
        self._big: dict[str, Any] = {}
        self._sequence = 0
        self._view: ModelView | None = None
        self._learner: Any = None
        self._meta: dict[str, Any] = {}

    def current(self) -> ModelView:
        """The newest view."""
        if self._view is None or self._board.sequence != self._sequence:
            with self._turn:
                if self._view is None or self._board.sequence != self._sequence:
                    self._follow()
        assert self._view is not None, "followed"
        return self._view

    def status(self) -> dict[str, Any]:
        """Whether requests can be answered, and the reason where not."""
        try:
            view = self.current()
        except NotReady as error:
            return {"ready": False, "reason": str(error), "lag": 0, "position": 0}
        return {"ready": True, "reason": "", "lag": self._meta["lag"], "position": view.position}

    def metrics(self) -> bytes:
        """The other process's metrics, as of the newest view."""
        self.current()
        return str(self._meta["metrics"]).encode()

    def close(self) -> None:
        """Close the files; views that are still in use stay whole."""
        self._names.close()
        self._board.close()

    def _follow(self) -> None:
        taken = self._board.take()
        if taken is None:
            raise NotReady("the model has not made its first view yet")
        sequence, buffer = taken
        try:
            arrays, meta = self._buffers[buffer].get()
            self._names.update(meta["names"])
            labels = self._names.labels
            labels.retired = set(meta["retired"])
            learner = persist.attach(self._settings.learn, arrays, meta["model"], self._learner)
            frozen = Frozen(labels, learner, arrays["leaf_of"], meta["position"])
            told, lag = meta.pop("history"), int(meta["lag"])
            index = self._index_of(arrays, meta["generation"])
            view = ModelView(
                meta["featurizer"], index, frozen, lambda: _events(told), lambda: lag,
                meta["index"], self._working,
            )  # fmt: skip
        except BaseException:
            self._board.leave(buffer)
            raise
        weakref.finalize(view, self._board.leave, buffer)
        self._learner, self._meta = learner, meta
        self._view, self._sequence = view, sequence

    def _index_of(self, arrays: dict[str, Any], generation: int | None) -> FrozenRetrieval | None:
        """The prototype index of a view, None where it is not asked."""
        if generation is None:
            return None
        if generation != self._generation:
            self._big = {}
            if generation:
                self._big, _ = Reader(self._folder / f"{GENERATION}{generation}").get()
            self._generation = generation
        small = {name: part for name, part in arrays.items() if name.startswith("overlay.")}
        return FrozenRetrieval(self._settings.index, attach(small | self._big))


def _events(told: str) -> list[DriftEvent]:
    return [DriftEvent(**event) for event in orjson.loads(told)]
