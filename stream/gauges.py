"""The gauges that say how large the model is and how it fares."""

from __future__ import annotations

from stream import memory
from stream.metrics import Metrics
from stream.pipeline import Pipeline
from stream.progress import Progress


def show(pipeline: Pipeline, progress: Progress, metrics: Metrics) -> None:
    """Set them all."""
    model, retrieval = pipeline.model, pipeline.retrieval
    metrics.set("braid_position_events", model.position)
    metrics.set("braid_labels", len(model.labels) - len(model.labels.retired))
    metrics.set("braid_refused_labels", model.refused)
    metrics.set("braid_partitions", model.partitioner.leaves)
    metrics.set("braid_waiting_events", pipeline.room.events, what="events")
    metrics.set("braid_waiting_events", pipeline.room.labels, what="labels")
    for what, entries in memory.evicted(pipeline).items():
        metrics.set("braid_evicted", entries, what=what)
    metrics.set("braid_index_labels", len(retrieval.index) if retrieval else 0)
    for k in progress.hits if progress.weight else ():
        metrics.set("braid_precision_at", progress.precision(k), k=str(k))
