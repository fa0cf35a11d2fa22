"""The pipeline's side: views as memory that the endpoint's process maps."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import orjson

from stream.clock import Clock
from stream.errors import NotReady
from stream.learn import persist
from stream.metrics import Metrics
from stream.pipeline import Pipeline
from stream.retrieval import pays
from stream.shared.board import BUFFERS, Board
from stream.shared.buffer import Writer
from stream.shared.names import NameWriter
from stream.views import ModelView, Publisher, about_index

BOARD, NAMES, VIEW, GENERATION = "board", "names", "view-", "generation-"
_BIG = "generation."
_PREFIX = "braid-"


def sweep(root: Path) -> None:
    """Remove what processes that are gone left behind."""
    for left in root.glob(f"{_PREFIX}[0-9]*-*"):
        pid = left.name.split("-")[1]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)


def memory_root() -> Path:
    """Where files are memory; a temporary folder where there is no such place."""
    shm = Path("/dev/shm")
    return shm if os.access(shm, os.W_OK) else Path(tempfile.gettempdir())


class SharedPublisher(Publisher):
    """Makes views for another process; see `stream.views.Publisher`.

    Attributes
    ----------
    folder : Path
        What the other process maps; removed by `close`.
    """

    def __init__(self, every_s: float, clock: Clock, metrics: Metrics) -> None:
        super().__init__(every_s, clock, metrics)
        root = memory_root()
        sweep(root)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
        self.board = Board(self.folder / BOARD, make=True)
        self._before = self._generation = 0  # numbers of the index's last two generations
        self._names = NameWriter(self.folder / NAMES)
        self._buffers = [Writer(self.folder / f"{VIEW}{n}") for n in range(BUFFERS)]

    def _make(self, pipeline: Pipeline) -> bool:
        """Copy the learner's state into a buffer that nobody reads; whether there was one."""
        buffer = self.board.spare()
        if buffer is None:
            return False
        model = pipeline.model
        index = self._index_of(pipeline)
        arrays = dict(model.learner.arrays()) | index
        arrays["leaf_of"] = model.partitioner.leaf_of[: len(model.labels)]
        described = self._changed or self.board.sequence == 0
        meta = {
            "model": persist.kind_of(model),
            "position": model.position,
            "names": self._names.update(model.labels, described),
            "retired": sorted(model.labels.retired),
            "featurizer": pipeline.featurizer.state(),
            "history": orjson.dumps(list(self._history)).decode(),
            "lag": self._lag,
            "index": about_index(pipeline.retrieval),
            "generation": self._generation if index else None,
            "metrics": self._metrics.exposition(http=False).decode(),
        }
        self._buffers[buffer].put(arrays, meta)
        self.board.publish(buffer)
        self._changed = False
        return True

    def _index_of(self, pipeline: Pipeline) -> dict[str, Any]:
        """The index's small arrays, where it is asked for; its big ones go to a file of their own.

        An index on a GPU stays in the pipeline's process.
        """
        retrieval, model = pipeline.retrieval, pipeline.model
        if retrieval is None or not pays(retrieval.settings, model.index_worth):
            return {}
        if retrieval.index.kind == "faiss_gpu" or not len(retrieval.index):
            return {}
        frozen = retrieval.index.frozen()
        every = frozen.arrays()
        big = {name: array for name, array in every.items() if name.startswith(_BIG)}
        if frozen.generation_number != self._generation:
            Writer(self.folder / f"{GENERATION}{frozen.generation_number}").put(big, {})
            for old in self.folder.glob(f"{GENERATION}{self._before}*"):
                old.unlink()  # whoever has it mapped keeps it
            self._before, self._generation = self._generation, frozen.generation_number
        return {name: array for name, array in every.items() if name not in big}

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
        self.board.close()
        shutil.rmtree(self.folder, ignore_errors=True)
