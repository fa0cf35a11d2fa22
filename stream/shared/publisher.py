"""The pipeline's side: views as memory that the endpoint's process maps."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from indexes.base import LabelIndex
from stream import generations
from stream.asking import pays
from stream.clock import Clock
from stream.errors import BraidError, NotReady
from stream.learn import persist
from stream.learn.encoder.encoders import Encoder
from stream.learn.partitions.links import Links
from stream.metrics import Metrics
from stream.pipeline import Pipeline
from stream.retrieval import Retrieval
from stream.shared.board import BUFFERS, Board
from stream.shared.buffer import Writer
from stream.shared.folder import OwnedFolder, memory_root
from stream.shared.names import NameWriter
from stream.views import ModelView, Publisher, about_index

log = logging.getLogger(__name__)

BOARD, STATUS, VIEW, GENERATION, ENCODER = "board", "status", "view-", "generation-", "encoder-"
_BIG = "generation."
ORDER, LINKS = "order", "links."
_STATUS_S = 1.0
_ROOM = "give it more (docker run --shm-size), or set serve.process=false"


class SharedPublisher(Publisher):
    """Makes views for another process; see `stream.views.Publisher`.

    Where there is no memory for the next view, the one before goes on answering.

    Parameters
    ----------
    root
        Where the folder is made; by default where files are memory.

    Attributes
    ----------
    folder : Path
        What the other process maps; removed by `close`.
    """

    def __init__(
        self, every_s: float, clock: Clock, metrics: Metrics, root: Path | None = None
    ) -> None:
        super().__init__(every_s, clock, metrics)
        self._full = False
        self._owned = OwnedFolder(memory_root() if root is None else root)
        self.folder = self._owned.path
        self.board = Board(self.folder / BOARD, make=True)
        self._generation = 0  # counts what was shown of the index's big arrays
        self._shown: tuple[LabelIndex, int] | None = None
        self._encoder: Encoder | None = None
        self._encoders = 0  # counts those that were shown
        self._names = NameWriter(self.folder)
        self._told = float("-inf")
        self._links: Links | None = None
        self._looked = 0  # how often they were
        self._buffers = [Writer(self.folder / f"{VIEW}{n}") for n in range(BUFFERS)]

    def tell(self, problems: Sequence[str]) -> None:
        """Also say how the pipeline fares, once a second."""
        super().tell(problems)
        self._say(force=False)

    def refresh(self, pipeline: Pipeline, lag: int, force: bool = False) -> None:
        """Make a view where one is due."""
        self._lag = lag
        self._say(force)
        super().refresh(pipeline, lag, force)

    def _make(self, pipeline: Pipeline) -> bool:
        """Copy the learner's state into a buffer that nobody reads; whether there was room."""
        buffer = self.board.spare()
        if buffer is None:
            return False
        with self._room():
            self._copy(pipeline, buffer)
            self.board.publish(buffer)
            self._changed = self._full = False
            return True
        return False

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Go on where there is no room; `BraidError` if not even the first view has any."""
        try:
            yield
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            where = self.folder.parent
            if self.board.sequence == 0:
                raise BraidError(f"{where} has no room for the model", remedy=_ROOM) from None
            if not self._full:
                log.error("no room in %s for newer views: %s", where, _ROOM)  # noqa: TRY400
            self._full = True

    def _say(self, force: bool) -> None:
        """Write the status where it is due."""
        now = self._clock.monotonic()
        if not force and now - self._told < _STATUS_S:
            return
        self._told = now
        metrics = self.metrics.exposition(http=False).decode()
        told = {"lag": self._lag, "metrics": metrics, "problems": self._problems}
        new = self.folder / f"{STATUS}.new"
        with self._room():
            new.write_bytes(orjson.dumps(told))
            new.replace(self.folder / STATUS)  # whole, whenever it is read

    def _copy(self, pipeline: Pipeline, buffer: int) -> None:
        model = pipeline.model
        index = self._index_of(pipeline)
        arrays = dict(model.learner.arrays()) | index
        arrays["leaf_of"] = model.partitioner.leaf_of[: len(model.labels)]
        arrays["losses"] = model.drift.losses()
        if (found := self._linked(pipeline)) is not None:
            self._links, self._looked = found, self._looked + 1
        if self._links is not None:
            arrays |= {f"{LINKS}{name}": part for name, part in self._links._asdict().items()}
        encoder = None if pipeline.retrieval is None else self._encoder_of(pipeline.retrieval)
        described = self._changed or self.board.sequence == 0
        meta = {
            "model": persist.kind_of(model),
            "position": model.position,
            "names": self._names.update(model.labels, described),
            "retired": sorted(model.labels.retired),
            "featurizer": pipeline.featurizer.state(),
            "history": orjson.dumps(list(self._history)).decode(),
            "index": about_index(pipeline.retrieval),
            "generations": orjson.dumps(generations.about(pipeline.generations)).decode(),
            "looked": self._looked,
            "generation": self._generation if index else None,
            "encoder": encoder,
        }
        self._buffers[buffer].put(arrays, meta)

    def _index_of(self, pipeline: Pipeline) -> dict[str, Any]:
        """The index's small arrays, where it is asked for; its big ones go to a file of their own.

        An index on a GPU stays in the pipeline's process.
        """
        retrieval, model = pipeline.retrieval, pipeline.model
        if retrieval is None or not pays(retrieval.asking, model.index_worth):
            return {}
        if retrieval.index.kind == "faiss_gpu" or not len(retrieval.index):
            return {}
        frozen = retrieval.index.frozen()
        every = frozen.arrays()
        big = {name: array for name, array in every.items() if name.startswith(_BIG)}
        shown = retrieval.index, frozen.generation_number  # an index made anew counts anew
        if self._shown is None or self._shown[0] is not shown[0] or self._shown[1] != shown[1]:
            writer = Writer(self._generation_file(self._generation + 1))
            try:
                writer.put(big, {})
            finally:
                writer.close()
            old = self._generation_file(self._generation - 1)
            for file in (old, old.with_suffix(".json")):
                file.unlink(missing_ok=True)  # whoever has it mapped keeps it
            self._shown, self._generation = shown, self._generation + 1
        return {name: array for name, array in every.items() if name not in big}

    def _encoder_of(self, retrieval: Retrieval) -> dict[str, Any]:
        """What the embedding is; its arrays go to a file of their own when it is another one."""
        encoder = retrieval.encoder
        if self._encoder is not encoder:
            self._encoder, self._encoders = encoder, self._encoders + 1
            writer = Writer(self.folder / f"{ENCODER}{self._encoders}")
            try:
                writer.put(encoder.arrays(), {})
            finally:
                writer.close()
            old = self.folder / f"{ENCODER}{self._encoders - 2}"
            for file in (old, old.with_suffix(".json")):
                file.unlink(missing_ok=True)
        return {"kind": encoder.kind, "dimension": encoder.dimension, "file": self._encoders}

    def _generation_file(self, number: int) -> Path:
        return self.folder / f"{GENERATION}{number}"

    def _taken(self) -> Iterator[Mapping[str, Any]]:
        """What the other process has written; see `stream.shared.views.SharedViews.order`."""
        yield from super()._taken()
        taken = self.folder / f"{ORDER}.taken"
        with suppress(FileNotFoundError):
            (self.folder / ORDER).replace(taken)  # one that comes now is another file
            yield orjson.loads(taken.read_bytes())

    def current(self) -> ModelView:
        """There is none in this process.

        Raises
        ------
        NotReady
            Always.
        """
        raise NotReady("the views are another process's")

    def close(self) -> None:
        """Give the memory back."""
        self._names.close()
        for buffer in self._buffers:
            buffer.close()
        self.board.close()
        self._owned.close()
