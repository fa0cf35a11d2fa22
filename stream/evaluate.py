"""Prequential evaluation of a folder: each event is predicted, scored, then learnt.

Events are handed over several at a time, as a service does; each is still predicted with all that
came before it (see `stream.pipeline`), but for the prototype index of extreme spaces, which lags
by so many. A folder holds `X.npz` and `Y.npz` (scipy CSR), rows in stream order unless `order.npy`
gives it; `texts.jsonl.gz` and `label_names.txt.gz` where there are texts.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from stream.config import Settings
from stream.learn.model import CHUNK
from stream.pipeline import Item, Pipeline
from stream.scores import Tally
from stream.source.folder import Folder
from stream.training.opening import school_of
from stream.types import Description

Names = Literal["seen", "all"]
_KIB = 1024


@dataclass(frozen=True)
class Task:
    """What to evaluate.

    Parameters
    ----------
    folder
        The evaluation folder.
    limit
        Events at most, 0 for all.
    text
        Read texts instead of features.
    names
        Also give the model the label names: of labels seen so far, or of all from the start.
    """

    folder: Path
    limit: int = 0
    text: bool = False
    names: Names | None = None


def score_all(task: Task, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the figures so far after every 1 % of the events, and the final ones last.

    Raises
    ------
    SourceError
        The folder does not hold what the task asks for.
    """
    folder = Folder(task.folder, text=task.text)
    total = min(task.limit or folder.events, folder.events)
    pipeline = Pipeline(settings)
    if (school := school_of(settings, inline=True)) is not None:
        pipeline.generations.enrol(school)
    tally = Tally(folder.label_names)
    descriptions = folder.descriptions() if task.names else {}
    if task.names == "all":
        pipeline.step([Item(Description(*pair)) for pair in descriptions.items()])
    alarms = 0
    start = time.perf_counter()
    spent = 0.0
    told = max(1, total // 100)
    at, examples = 0, folder.examples(total)
    while at < total:
        part = list(islice(examples, 1 if task.names == "seen" else CHUNK))
        before = time.perf_counter()
        outcome = pipeline.step([Item(example) for example in part])
        spent += time.perf_counter() - before
        for n, example in enumerate(part):
            tally.add(outcome.predictions[n], example.labels or ())
        alarms += sum(event.kind.endswith("alarm") for event in outcome.drift)
        if task.names == "seen":
            new = [event for event in outcome.drift if event.kind == "new_label"]
            for name in (event.scope.removeprefix("label/") for event in new):
                if name in descriptions:
                    pipeline.step([Item(Description(name, descriptions[name]))])
        before_told, at = at // told, at + len(part)
        if at // told > before_told and at < total:
            yield {"events": at, "of": total, **tally.brief()}
    yield {
        "dataset": folder.name,
        "events": total,
        "of": total,
        "labels": folder.labels,
        "features": folder.features,
        "events_per_second": total / max(spent, 1e-9),
        **tally.full(),
        "partitions": pipeline.model.partitioner.leaves,
        "drift_alarms": alarms,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB,
        "seconds": time.perf_counter() - start,
    }
