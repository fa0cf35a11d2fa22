"""The endpoint's side: the newest view, mapped.

A thread follows the other process, so that no request waits for a view to be mapped.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import orjson

from indexes.frozen import attach
from stream.config import Settings
from stream.encoders import guarded
from stream.errors import NotReady
from stream.learn import persist
from stream.learn.encoder.encoders import Encoder, revived
from stream.learn.model import Frozen
from stream.learn.partitions.links import Links
from stream.retrieval import FrozenRetrieval
from stream.serve.hierarchy import Hierarchy
from stream.shared.board import BUFFERS, Board
from stream.shared.buffer import Reader
from stream.shared.names import MappedLabels
from stream.shared.publisher import BOARD, ENCODER, GENERATION, LINKS, ORDER, STATUS, VIEW
from stream.types import DriftEvent
from stream.views import ModelView

log = logging.getLogger(__name__)

_POLL_S = 0.02


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
        self._labels = MappedLabels(folder)
        self._buffers = [Reader(folder / f"{VIEW}{n}") for n in range(BUFFERS)]
        self._turn = threading.Lock()
        self._working = threading.Lock()  # learners take over each other's room
        self._folder, self._generation = folder, 0
        self._big: dict[str, Any] = {}
        self._encoder: tuple[int, Encoder] | None = None
        self._guard = guarded(settings.encoder)
        self._hierarchy, self._looked = Hierarchy(), 0
        self._sequence = 0
        self._view: ModelView | None = None
        self._learner: Any = None
        self._left: deque[int] = deque()  # buffers that no view needs any more
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def follow(self) -> None:
        """From now on let a thread take up new views."""
        self._thread = threading.Thread(target=self._keep_up, name="views", daemon=True)
        self._thread.start()

    def current(self) -> ModelView:
        """The newest view, or with `follow` the newest that was taken up."""
        if self._view is None or self._thread is None:
            self._catch_up()
        assert self._view is not None, "caught up"
        return self._view

    def status(self) -> dict[str, Any]:
        """Whether requests can be answered, and the reason where not."""
        try:
            view = self.current()
        except NotReady as error:
            return {"ready": False, "reason": str(error), "lag": 0, "position": 0, "problems": []}
        told = self._told()
        return {
            "ready": True,
            "reason": "",
            "lag": int(told["lag"]),
            "position": view.position,
            "problems": told["problems"] + self._own_problems(),
        }

    def _own_problems(self) -> list[str]:
        """What is wrong with this process's own encoder."""
        if self._guard is None or not (problem := self._guard.problem()):
            return []
        return [f"in the endpoint's process {problem}; it answers without the index"]

    def metrics(self) -> bytes:
        """The other process's metrics, as of the last second."""
        return str(self._told()["metrics"]).encode()

    def order(self, what: Mapping[str, Any]) -> None:
        """Let the pipeline's process have an order, with the next micro-batch.

        Of several that come between two micro-batches the last is obeyed.
        """
        new = self._folder / f"{ORDER}.{token_hex(8)}"
        new.write_bytes(orjson.dumps(what))
        new.replace(self._folder / ORDER)  # whole, whenever it is read

    def close(self) -> None:
        """Close the files; views that are still in use stay whole."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        self._board.close()

    def _lag(self) -> int:
        return int(self._told()["lag"])

    def _told(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads((self._folder / STATUS).read_bytes())
        return found

    def _keep_up(self) -> None:
        failed = ""
        while not self._closed.wait(_POLL_S):
            try:
                with suppress(NotReady):
                    self._catch_up()
                failed = ""
            except Exception as error:  # the view before still answers
                if str(error) != failed:
                    log.exception("a view could not be taken up")
                failed = str(error)

    def _catch_up(self) -> None:
        with self._turn:
            while self._left:
                self._board.leave(self._left.popleft())
            if self._view is None or self._board.sequence != self._sequence:
                try:
                    self._take_up()
                except FileNotFoundError:  # two generations of the index came meanwhile
                    self._take_up()

    def _take_up(self) -> None:
        taken = self._board.take()
        if taken is None:
            raise NotReady("the model has not made its first view yet")
        sequence, buffer = taken
        try:
            arrays, meta = self._buffers[buffer].get()
            labels = self._labels
            labels.update(meta["names"])
            labels.retired = meta["retired"]
            learner = persist.attach(self._settings.learn, arrays, meta["model"], self._learner)
            frozen = Frozen(labels, learner, arrays["leaf_of"], meta["position"], arrays["losses"])
            told = meta["history"]
            index = self._index_of(arrays, meta["generation"], meta["encoder"])
            view = ModelView(
                meta["featurizer"], index, frozen, lambda: _events(told), self._lag,
                meta["index"], orjson.loads(meta["generations"]),
                self._hierarchy_of(arrays, meta["looked"]), self._working, self._guard,
            )  # fmt: skip
        except BaseException:
            self._board.leave(buffer)
            raise
        # later: a finaliser may run anywhere, also where the board is locked
        weakref.finalize(view, self._left.append, buffer)
        self._learner = learner
        self._view, self._sequence = view, sequence

    def _hierarchy_of(self, arrays: dict[str, Any], looked: int) -> Hierarchy:
        """The label hierarchy; its links are copied, since the buffer is written again."""
        if looked != self._looked:
            named = {name: np.array(arrays[f"{LINKS}{name}"]) for name in Links._fields}
            self._hierarchy.renew(Links(**named))
            self._looked = looked
        return self._hierarchy

    def _index_of(
        self, arrays: dict[str, Any], generation: int | None, about: dict[str, Any] | None
    ) -> FrozenRetrieval | None:
        """The prototype index of a view, None where it is not asked."""
        if generation is None:
            return None
        if generation != self._generation:
            self._big, _ = Reader(self._folder / f"{GENERATION}{generation}").get()
            self._generation = generation
        small = {name: part for name, part in arrays.items() if name.startswith("overlay.")}
        assert about is not None, "an index has an encoder"
        return FrozenRetrieval(
            self._settings.index, attach(small | self._big), self._encoder_of(about)
        )

    def _encoder_of(self, about: dict[str, Any]) -> Encoder:
        if self._encoder is None or self._encoder[0] != about["file"]:
            arrays, _ = Reader(self._folder / f"{ENCODER}{about['file']}").get()
            made = revived(about["kind"], about["dimension"], arrays)
            self._encoder = about["file"], made
        return self._encoder[1]


def _events(told: str) -> list[DriftEvent]:
    return [DriftEvent(**event) for event in orjson.loads(told)]
