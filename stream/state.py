"""The pipeline's state as a snapshot, and back.

A small state is copied and written by a thread. Copying a large one would hold the stream up, so
a forked child writes it from memory that stays as it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from stream import forked, hugepages
from stream.checkpoint import Snapshot, SnapshotStore, borrow
from stream.config import Settings
from stream.errors import SnapshotError
from stream.learn import persist
from stream.pipeline import Pipeline
from stream.types import TopicPartition

FORK_BYTES = 64_000_000  # copying less than that takes no longer than a fork


@dataclass(frozen=True)
class Recovered:
    """A pipeline from a snapshot, the offsets to go on from, and the ids that topics had."""

    pipeline: Pipeline
    positions: Mapping[TopicPartition, int]
    topic_ids: Mapping[str, str]


def begin(
    store: SnapshotStore, pipeline: Pipeline, positions: Mapping[TopicPartition, int],
    topic_ids: Mapping[str, str],
) -> Callable[[], object]:  # fmt: skip
    """Begin to write a snapshot of this moment; the stream may go on at once.

    Parameters
    ----------
    store
        Where it goes.
    positions, topic_ids
        See `take`.

    Returns
    -------
    callable
        Waits until it is written, for another thread to call, once.

    Raises
    ------
    SnapshotError
        It could not be begun; the callable raises it where it could not be written.
    """
    pipeline.generations.training.keep()
    if forked.can_fork() and size(pipeline) >= FORK_BYTES:

        def write(alive: Callable[[], None]) -> None:
            arrays, meta = _model(pipeline, positions, topic_ids)
            index = pipeline.generations.parts(copied=False)
            store.write_parts(itertools.chain(arrays.items(), index), meta, alive)

        return partial(_finish, forked.Child(write), pipeline)
    taken = take(pipeline, positions, topic_ids)
    return lambda: store.write(taken)


def _finish(child: forked.Child, pipeline: Pipeline) -> None:
    """Wait for the child, then see that the next one costs as little."""
    try:
        child.wait()
    finally:
        model, retrieval = pipeline.model, pipeline.retrieval
        hugepages.join(model.learner.arrays().values())
        hugepages.join(model.partitioner.arrays().values())
        if retrieval is not None:
            hugepages.join(retrieval.prototypes.snapshot(copied=False).values())


def size(pipeline: Pipeline) -> int:
    """About how many bytes a snapshot will have."""
    model, retrieval = pipeline.model, pipeline.retrieval
    arrays = (*model.learner.arrays().values(), *model.partitioner.arrays().values())
    index = 0 if retrieval is None else 2 * retrieval.prototypes.memory_bytes
    return index + sum(int(array.nbytes) for array in arrays)


def take(
    pipeline: Pipeline, positions: Mapping[TopicPartition, int], topic_ids: Mapping[str, str]
) -> Snapshot:
    """A snapshot of this moment; its arrays are copies.

    Parameters
    ----------
    positions
        The offset of the next record to learn, per partition.
    topic_ids
        The identity of each topic, so that a re-created one is noticed.
    """
    arrays, meta = _model(pipeline, positions, topic_ids)
    copied = {name: np.array(array) for name, array in arrays.items()}
    copied |= dict(pipeline.generations.parts())
    return Snapshot(copied, meta)


def _model(
    pipeline: Pipeline, positions: Mapping[TopicPartition, int], topic_ids: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of all but the index, not copied, and the metadata."""
    arrays, model = persist.dump(pipeline.model)
    arrays |= pipeline.caps.arrays() | pipeline.discovery.arrays()
    meta: dict[str, Any] = {
        "model": model,
        "featurizer": pipeline.featurizer.state(),
        "room": pipeline.room.state(),
        "positions": [[at.topic, at.partition, offset] for at, offset in positions.items()],
        "topic_ids": dict(topic_ids),
        "index": None if pipeline.retrieval is None else pipeline.retrieval.index.kind,
        "generations": pipeline.generations.state(),
    }
    return arrays, meta


def recover(settings: Settings, store: SnapshotStore | None) -> Recovered | None:
    """What a member begins with: its newest snapshot, or another's where it has none.

    Raises
    ------
    SnapshotError
        None is whole.
    """
    snapshot = None if store is None else store.load()
    shared = settings.checkpoint.start_from
    if snapshot is None and shared is not None:
        snapshot = borrow(shared)
    if snapshot is None:
        return None
    return Recovered(revive(settings, snapshot), positions(snapshot), snapshot.meta["topic_ids"])


def revive(settings: Settings, snapshot: Snapshot) -> Pipeline:
    """A pipeline that goes on where the snapshot was taken; it takes the arrays over."""
    pipeline = Pipeline(settings)
    meta, arrays = snapshot.meta, dict(snapshot.arrays)
    with ThreadPoolExecutor(1, "index") as pool:  # beside the model: it takes about as long
        index = pool.submit(_load_index, pipeline, arrays, meta)
        try:
            persist.load(pipeline.model, arrays, meta["model"])
        except (KeyError, ValueError) as error:
            raise SnapshotError(
                f"the snapshot does not fit together: {error}",
                remedy="restore an earlier one, or start with an empty folder",
            ) from error
        pipeline.caps.load(arrays)
        pipeline.discovery.load(arrays)
        pipeline.featurizer.load(meta["featurizer"])
        pipeline.room.load(meta["room"])
        index.result()
    return pipeline


def _load_index(pipeline: Pipeline, arrays: dict[str, Any], meta: Mapping[str, Any]) -> None:
    """The generations of the index, where there are any."""
    if meta["index"] is not None:
        dense = meta["model"]["width"] > 0
        pipeline.generations.load(arrays, meta["index"], meta["generations"], dense)


def positions(snapshot: Snapshot) -> dict[TopicPartition, int]:
    """The offsets of the next records to learn."""
    return {
        TopicPartition(topic, partition): offset
        for topic, partition, offset in snapshot.meta["positions"]
    }
