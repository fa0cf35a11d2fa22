"""What the service will hold in memory, part by part, before anything of it is made.

Figures are those of an extreme label space at a number of labels. Arrays grow by doubling, so
that what is reserved may be up to twice what so many labels need. Parts marked `about` depend on
the stream or on Python's own objects.
"""

from __future__ import annotations

from dataclasses import dataclass

from indexes.prototypes import label_bytes, labels_within
from stream.config import Settings
from stream.learn import adwin, suspicion
from stream.learn.arrays import nbytes, power
from stream.learn.discovery import state as discovery
from stream.learn.encoder.recipe import Recipe
from stream.learn.extreme import capacity
from stream.learn.extreme.capacity import costs, exemplars_in, table_bits
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.model import CHUNK
from stream.learn.partitions import partitioner
from stream.learn.partitions.company import row_bytes, rows_in
from stream.pipeline import Pipeline

LABELS_IN_LEAF = 4  # as few as partitions have on the streams that we know
_NAME = 170  # bytes of a name of 20 letters, its id, and the maps to its slot
_MAPPED = 60  # bytes of a name, its id and their places in the endpoint's process
_PROCESS = 300_000_000  # bytes of the interpreter, the libraries and the compiled kernels
_LISTED = 330  # bytes of a label in the index beside its codes
_TRAINER = 800_000_000  # bytes of the process of training with torch, and of what a batch takes
_REMEMBERED = 1_100  # bytes of a sparse event that is kept for training
_READ = 120_000_000  # bytes of exemplars that are read back for a generation
_ROOM = 1_024  # labels that the learner has room for at first


@dataclass(frozen=True, slots=True)
class Part:
    """One part: the setting that bounds it (empty for none), its entries, and their bytes."""

    name: str
    setting: str
    entries: int
    bytes: int
    about: bool = False


def plan(
    settings: Settings, labels: int, width: int = 0, leaves: int | None = None,
    described: int | None = None,
) -> list[Part]:  # fmt: skip
    """What so many labels take.

    Parameters
    ----------
    labels
        Labels known.
    width
        Length of dense rows, 0 for sparse ones.
    leaves
        Partitions; None for one in LABELS_IN_LEAF labels.
    described
        Labels of which the labels topic told the name; None for all.

    Raises
    ------
    SettingError
        A capacity is too small to work at all; says the least.
    """
    learn, index = settings.learn, settings.index
    leaves = labels // LABELS_IN_LEAF if leaves is None else leaves
    described = labels if described is None else described
    cost = costs(width)
    exemplars = exemplars_in(learn.exemplar_bytes, width)
    weights = 1 << table_bits(learn.linear_bytes)
    room, named = power(labels + 1, _ROOM), power(described, 16)
    split = power(leaves + 1, 64)
    company = rows_in(learn.cooccurrence_bytes)
    parts = partitioner.memory(labels, leaves, company, CHUNK)
    dimension = width or index.dimension
    held = min(labels, labels_within(index.prototype_bytes, dimension))
    centroids = int(held * label_bytes(dimension))
    learner = [
        Part("exemplars", "learn.exemplar_bytes", exemplars, exemplars * cost.exemplar),
        Part("terms", "learn.hash_bits", 1 << learn.hash_bits, cost.term << learn.hash_bits),
        Part("linear weights", "learn.linear_bytes", weights, weights * cost.weight),
        Part("labels", "", room, room * cost.label + split * cost.leaf + cost.fixed),
        Part("names of labels", "", named, named * cost.named),
    ]
    detectors = power(leaves + 1, 64) * nbytes(adwin.SPECS, {"detectors": 1})
    told = power(labels, 64)
    found = discovery.BYTES if learn.discovers else 0
    seen = [
        Part(
            "co-occurrence",
            "learn.cooccurrence_bytes",
            parts["company"] // row_bytes(),
            parts["company"],
        ),
        Part("partitions of labels", "", labels, parts["labels"]),
        Part("partitions", "", leaves, parts["leaves"]),
        Part("drift detectors", "", leaves, detectors),
        Part("suspicion", "", told, nbytes(suspicion.SPECS, {"labels": told})),
        Part("discovery", "learn.possible_share", discovery.CLUSTERS, found),
        Part("label strings and ids", "", labels, labels * _NAME, about=True),
        Part("late labels", "learn.waiting_bytes", learn.waiting, 2 * learn.waiting_bytes, True),
        Part("prototypes", "index.prototype_bytes", held, centroids, about=True),
        Part("prototype index", "", held, held * _indexed(dimension), about=True),
    ]
    if settings.serve.enabled:  # the one in use, and the memory of the one before it
        copies = 2 * sum(part.bytes for part in learner)
        seen.append(Part("views for the endpoint", "serve.enabled", 2, copies, about=True))
    if settings.serve.enabled and settings.serve.process:
        own, shown = _PROCESS + labels * _MAPPED, held * _indexed(dimension)
        seen.append(Part("endpoint's process", "serve.process", 1, own, about=True))
        seen.append(Part("index that it maps", "serve.process", held, shown, about=True))
    if settings.encoder.train and settings.index.background:
        seen += _training(settings, labels, width)
    return [*learner, *seen, Part("process", "", 1, _PROCESS, about=True)]


def _training(settings: Settings, labels: int, width: int) -> list[Part]:
    """What an embedding that learns takes: beside the stream, and in its process."""
    encoder, index = settings.encoder, settings.index
    dimension = min(index.dimension, width) if width else index.dimension
    rows = 0 if width else 1 << Recipe().bits
    held = min(labels, labels_within(index.prototype_bytes, dimension))
    kept = int(held * label_bytes(dimension))
    table, learnt = rows * (5 * dimension + 8), min(labels, encoder.labels)
    events = encoder.memory * (4 * width or _REMEMBERED)
    being_made = kept + held * _indexed(dimension) + _READ
    own = _TRAINER + table + learnt * 24 * dimension + events
    return [
        Part("generation before", "encoder.train", held, kept + rows * dimension, about=True),
        Part("generation being made", "encoder.train", held, being_made + rows * dimension, True),
        Part("process of training", "encoder.labels", learnt, own, about=True),
    ]


def evicted(pipeline: Pipeline) -> dict[str, int]:
    """Entries that gave way for lack of room in the model's life, by what they were."""
    model, retrieval = pipeline.model, pipeline.retrieval
    learner = model.learner
    return {
        "exemplars": capacity.evicted(learner.state) if isinstance(learner, ExtremeLearner) else 0,
        "cooccurrence": model.partitioner.evicted,
        "prototypes": 0 if retrieval is None else retrieval.evicted,
    }


def _indexed(dimension: int) -> int:
    """Bytes of a label in the index: codes, a sketch of one bit each, and where it lies."""
    return dimension + dimension // 8 + _LISTED
