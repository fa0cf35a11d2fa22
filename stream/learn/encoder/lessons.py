"""Events as the trainer takes them: weighed rows with the numbers of their labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.features import Rows
from stream.learn.extreme.bag import MOST
from stream.learn.extreme.learner import ExtremeLearner


class Inputs(NamedTuple):
    """Rows: the strongest terms of sparse ones, or dense ones at unit length.

    Parameters
    ----------
    slot, weight
        (n, most) int32 and float32; without columns for dense rows.
    n
        (n,) int32 terms of each row.
    dense
        (n, width) float32; without columns for sparse rows.
    """

    slot: Any
    weight: Any
    n: Any
    dense: Any

    def take(self, at: Any) -> Inputs:
        """Some of the rows."""
        return Inputs(*(part[at] for part in self))


class Lessons(NamedTuple):
    """Inputs with the labels of each: `labels` (m,) int32 slots, `bounds` (n + 1,) int64."""

    inputs: Inputs
    labels: Any
    bounds: Any

    def __len__(self) -> int:
        return len(self.bounds) - 1


def inputs(learner: ExtremeLearner, rows: Rows) -> Inputs:
    """Rows as the learner weighs them now."""
    n = len(rows)
    if rows.dense is not None:
        none = np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32), np.zeros(n, np.int32)
        return Inputs(*none, learner.embed(rows))
    return Inputs(*learner.weighed(rows), np.zeros((n, 0), np.float32))


def remembered(learner: ExtremeLearner, wanted: Any, each: int, most: int) -> Lessons:
    """The learner's exemplars as lessons, the oldest first; descriptions are among them.

    Parameters
    ----------
    wanted
        (labels,) bool, which labels; an exemplar's other labels are given as well.
    each
        Exemplars that are enough for a label.
    most
        Exemplars in all.
    """
    found, exemplars = learner.recalled(wanted, each, most), learner.state.exemplars
    place = found.place[::-1]
    n = len(place)
    if learner.width:
        none = np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32), np.zeros(n, np.int32)
        rows = Inputs(*none, exemplars.vector[place])
    else:
        slot, weight = np.zeros((n, MOST), np.int32), np.zeros((n, MOST), np.float32)
        width = found.slot.shape[1]
        slot[:, :width], weight[:, :width] = found.slot[::-1], found.weight[::-1]
        rows = Inputs(slot, weight, found.n[::-1].astype(np.int32), np.zeros((n, 0), np.float32))
    labels, retired = exemplars.label[place], learner.state.labels.retired
    there = np.arange(labels.shape[1]) < exemplars.n[place][:, None]
    there &= (labels >= 0) & ~retired[np.maximum(labels, 0)].astype(np.bool_)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(there.sum(axis=1))])
    return Lessons(rows, labels[there], bounds)


def joined(parts: list[Lessons]) -> Lessons:
    """Lessons one after the other."""
    rows = Inputs(*(np.concatenate(each) for each in zip(*(p.inputs for p in parts), strict=True)))
    counts = np.concatenate([np.diff(part.bounds) for part in parts])
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Lessons(rows, np.concatenate([part.labels for part in parts]), bounds)
