"""What a generation begins with: what training knows of labels, and for others the exemplars."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from indexes.background import lower_priority
from stream.config import Index
from stream.generations.resting import Contents
from stream.learn.encoder.encoders import Bag, Encoder, Residual
from stream.learn.encoder.lessons import Inputs, Lessons, remembered
from stream.learn.extreme.learner import ExtremeLearner
from stream.retrieval import Retrieval
from stream.types import Float32

_EACH = 8  # newest exemplars that stand for a label
_MOST = 1 << 16  # exemplars in all
_TOGETHER = 1_024
_NICE = 15


class Others(NamedTuple):
    """Exemplars of labels that training does not know.

    Parameters
    ----------
    lessons
        The exemplars, with those labels alone.
    ids
        (m,) int64, the ids of `lessons.labels`.
    """

    lessons: Lessons
    ids: Any


def others(learner: ExtremeLearner, known: Any, id_of: Any) -> Others:
    """What the learner remembers of labels that are not known.

    Parameters
    ----------
    known
        (k,) int, slots of labels.
    id_of
        Called with slots, gives ids.
    """
    wanted = learner.counts() > 0
    wanted &= ~learner.state.labels.retired[: len(wanted)].astype(np.bool_)
    wanted[known[known < len(wanted)]] = False
    found = remembered(learner, wanted, _EACH, _MOST)
    there = wanted[found.labels]
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(there)])
    lessons = Lessons(found.inputs, found.labels[there], before[found.bounds])
    return Others(lessons, id_of(lessons.labels))


def filled(
    settings: Index, encoder: Encoder, number: int, given: Contents, more: Others | None = None
) -> Retrieval:
    """A generation with the prototypes given, and those of exemplars.

    For a thread of its own, whose priority it lowers: not so far that a busy stream would never
    see the end of it.
    """
    lower_priority(_NICE)
    made = Retrieval(settings, encoder, number)
    if more is not None and len(more.ids):
        pairs = zip(given, _averages(encoder, more), strict=True)
        given = Contents(*(np.concatenate(pair) for pair in pairs))
    made.start_from(*given)
    return made


def _averages(encoder: Encoder, more: Others) -> Contents:
    """A prototype of each label from its exemplars."""
    bounds = more.lessons.bounds
    ids, place, count = np.unique(more.ids, return_inverse=True, return_counts=True)
    total = np.zeros((len(ids), encoder.dimension), np.float32)
    for start in range(0, len(more.lessons), _TOGETHER):
        stop = min(start + _TOGETHER, len(more.lessons))
        made = of_inputs(encoder, more.lessons.inputs.take(np.arange(start, stop)))
        size = np.diff(bounds[start : stop + 1])
        np.add.at(total, place[bounds[start] : bounds[stop]], np.repeat(made, size, axis=0))
    length = np.linalg.norm(total, axis=1)
    says = length > 0
    means = total[says] / length[says, None]
    return Contents(ids[says], means, count[says].astype(np.float32))


def of_inputs(encoder: Encoder, rows: Inputs) -> Float32:
    """Embeddings (n, d) of rows that were weighed before, by an encoder that was trained."""
    if isinstance(encoder, Bag):
        return encoder.of_weighed(rows.slot, rows.weight, rows.n)
    assert isinstance(encoder, Residual), "only what was trained is promoted"
    return encoder.of_dense(rows.dense)
