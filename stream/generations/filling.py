"""What a generation begins with: what training knows of labels, or else the learner."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from indexes.background import lower_priority
from stream.config import Index
from stream.generations.resting import Contents
from stream.generations.training import learner_of, texts
from stream.learn.encoder.encoders import Bag, Encoder, Residual
from stream.learn.encoder.lessons import Inputs, Lessons, inputs, joined, remembered
from stream.learn.encoder.recipe import Recipe
from stream.learn.model import Model
from stream.retrieval import Retrieval
from stream.types import Float32

_EACH = 8  # newest exemplars that stand for a label
_MOST = 1 << 16  # exemplars in all
_TOGETHER = 1_024
_NICE = 15
_TEXT = round(Recipe.text_events)  # events that a description counts for, as in training


class Others(NamedTuple):
    """What the learner remembers of labels that training does not know.

    Parameters
    ----------
    lessons
        Exemplars and descriptions, with those labels alone.
    ids
        (m,) int64, the ids of `lessons.labels`.
    """

    lessons: Lessons
    ids: Any


def others(model: Model, trained: Any, stale: Any) -> Others:
    """Exemplars and descriptions of labels that training does not know, or has stale.

    Of those that it has stale, see `Promoted`, none without an exemplar: its text would stand for
    more than that.

    Parameters
    ----------
    trained, stale
        (k,) and (s,) int, slots of labels; the latter are among the former.
    """
    learner, labels = learner_of(model), model.labels
    known = np.setdiff1d(trained, stale)
    wanted = learner.counts() > 0
    wanted &= ~learner.state.labels.retired[: len(wanted)].astype(np.bool_)
    wanted[known[known < len(wanted)]] = False
    found = remembered(learner, wanted, _EACH, _MOST)
    there = wanted[found.labels]
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(there)])
    parts = [Lessons(found.inputs, found.labels[there], before[found.bounds])]
    if not learner.width:
        told = np.array(list(labels.descriptions), np.int64)
        told = told[~np.isin(told, trained) | np.isin(told, parts[0].labels)]
        for slots, rows in texts(labels, told.tolist()):
            each = np.repeat(np.array(slots, np.int32), _TEXT)
            parts.append(Lessons(inputs(learner, rows), each, _TEXT * np.arange(len(slots) + 1)))
    lessons = joined(parts)
    return Others(lessons, labels.ids_of(lessons.labels))


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
