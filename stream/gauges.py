"""The gauges that say how large the model is and how it fares."""

from __future__ import annotations

from stream import memory
from stream.encoders import REASONS
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
    guard = None if pipeline.plug is None else pipeline.plug.guard
    for reason in REASONS:
        metrics.set("braid_encoder_lost", guard.lost[reason] if guard else 0, reason=reason)
    metrics.set("braid_encoder_cut_off", bool(guard and guard.cut_off))
    metrics.set("braid_index_labels", len(retrieval.index) if retrieval else 0)
    metrics.set("braid_index_generation", retrieval.number if retrieval else 0)
    told = pipeline.generations.training.figures()
    metrics.set("braid_training_bytes", told.pop("braid_training_bytes", 0))
    for name, total in told.items():
        metrics.reach(name, total)
    for k in progress.hits if progress.weight else ():
        metrics.set("braid_precision_at", progress.precision(k), k=str(k))


def problems(pipeline: Pipeline, progress: Progress) -> list[str]:
    """What is wrong with what is learnt, a sentence each."""
    found = []
    if (refused := pipeline.model.refused) > 0:
        most = pipeline.settings.learn.most_labels
        found.append(f"{refused:,} times a label left out: learn.most_labels={most:,} are known")
    if (capped := progress.capped) > 0:
        found.append(f"{capped:,} labels not learnt: over learn.source_share of their source")
    if pipeline.plug is not None and (problem := pipeline.plug.guard.problem()):
        found.append(problem)
    return found
