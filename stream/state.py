"""The pipeline's state as a snapshot, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stream.checkpoint import Snapshot
from stream.config import Settings
from stream.errors import SnapshotError
from stream.learn import persist
from stream.pipeline import Pipeline
from stream.retrieval import Retrieval
from stream.types import TopicPartition


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
    arrays, model = persist.dump(pipeline.model)
    meta: dict[str, Any] = {
        "model": model,
        "featurizer": pipeline.featurizer.state(),
        "room": pipeline.room.state(),
        "positions": [[at.topic, at.partition, offset] for at, offset in positions.items()],
        "topic_ids": dict(topic_ids),
        "index": None,
    }
    copied = {name: np.array(array) for name, array in arrays.items()}
    if pipeline.retrieval is not None:
        meta["index"] = pipeline.retrieval.index.kind
        copied |= pipeline.retrieval.arrays()
    return Snapshot(copied, meta)


def revive(settings: Settings, snapshot: Snapshot) -> Pipeline:
    """A pipeline that goes on where the snapshot was taken."""
    pipeline = Pipeline(settings)
    meta, arrays = snapshot.meta, dict(snapshot.arrays)
    try:
        persist.load(pipeline.model, arrays, meta["model"])
    except (KeyError, ValueError) as error:
        raise SnapshotError(
            f"the snapshot does not fit together: {error}",
            remedy="restore an earlier one, or start with an empty folder",
        ) from error
    pipeline.featurizer.load(meta["featurizer"])
    pipeline.room.load(meta["room"])
    if meta["index"] is not None:
        dimension = meta["model"]["width"] or meta["model"]["dimension"]
        pipeline.retrieval = Retrieval(settings.index, dimension)
        pipeline.retrieval.load(arrays, meta["index"])
    return pipeline


def positions(snapshot: Snapshot) -> dict[TopicPartition, int]:
    """The offsets of the next records to learn."""
    return {
        TopicPartition(topic, partition): offset
        for topic, partition, offset in snapshot.meta["positions"]
    }
