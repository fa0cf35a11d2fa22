"""The pipeline's side: views as memory that the endpoint's process maps."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
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

BOARD, STATUS, VIEW, GENERATION = "board", "status", "view-", "generation-"
_OWNER = "owner"
_BIG = "generation."
_PREFIX = "braid-"
_STATUS_S = 1.0
_YOUNG_S = 60.0  # a folder without an owner may be one that is just being made


def sweep(root: Path) -> None:
    """Remove what processes that are gone left behind.

    An owner holds a lock, since its number says nothing where containers share the memory.
    """
    for left in root.glob(f"{_PREFIX}[0-9]*-*"):
        with suppress(OSError):  # held; or another process sweeps too
            try:
                owner = os.open(left / _OWNER, os.O_RDONLY)
            except FileNotFoundError:
                if time.time() - left.stat().st_mtime > _YOUNG_S:
                    shutil.rmtree(left, ignore_errors=True)
                continue
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(owner)


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
        self._owner = os.open(self.folder / _OWNER, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        self.board = Board(self.folder / BOARD, make=True)
        self._before = self._generation = 0  # numbers of the index's last two generations
        self._names = NameWriter(self.folder)
        self._told = float("-inf")
        self._buffers = [Writer(self.folder / f"{VIEW}{n}") for n in range(BUFFERS)]

    def refresh(self, pipeline: Pipeline, lag: int, force: bool = False) -> None:
        """Make a view where one is due, and say how the pipeline fares once a second."""
        now = self._clock.monotonic()
        if force or now - self._told >= _STATUS_S:
            self._told = now
            metrics = self._metrics.exposition(http=False).decode()
            new = self.folder / f"{STATUS}.new"
            new.write_bytes(orjson.dumps({"lag": lag, "metrics": metrics}))
            new.replace(self.folder / STATUS)  # whole, whenever it is read
        super().refresh(pipeline, lag, force)

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
            "index": about_index(pipeline.retrieval),
            "generation": self._generation if index else None,
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
        os.close(self._owner)
