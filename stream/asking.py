"""Asking the prototype index: how, whether that pays, and what scores tell the re-scorer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from indexes.base import FrozenIndex, LabelIndex
from stream.config import Index
from stream.labels import Labels
from stream.learn.encoder.encoders import LEARNT
from stream.learn.encoder.plugged import Plugged
from stream.learn.encoder.recipe import Recipe
from stream.learn.model import Near
from stream.types import Float32

_FAR, _SELDOM = 0.25, 64  # of what would pay, and then chunks for each that asks


class Asking(NamedTuple):
    """How an index is asked.

    Parameters
    ----------
    kind
        Of the encoder.
    neighbours
        Nearest prototypes asked for.
    worth
        Share of true labels that only the index finds from which it pays to ask always.
    effort
        See `LabelIndex.search`.
    unknown
        Whether it pays where that is not known. The learner asks then, and so it becomes known; to
        wait for that costs a request less than a costly index may.
    """

    kind: str
    neighbours: int
    worth: float
    effort: float
    unknown: bool


def terms(settings: Index, kind: str) -> Asking:
    """How an index of prototypes is asked whose encoder is of a kind."""
    if kind in LEARNT:
        return Asking(
            kind,
            settings.learnt_neighbours,
            settings.learnt_worth,
            settings.learnt_effort,
            not settings.learnt_worth,
        )
    return Asking(kind, settings.neighbours, settings.worth, 1.0, True)


def pays(asking: Asking, worth: float | None) -> bool:
    """Whether to ask the index, given the share of true labels that it alone brings, if known."""
    return asking.unknown if worth is None else worth >= asking.worth


def due(asking: Asking, chunk: int, worth: float | None) -> bool:
    """Whether the first event of a chunk of learnt events asks an index that does not pay.

    To see whether it pays by now; seldom where it is far from that.
    """
    far = worth is not None and worth < _FAR * asking.worth
    return chunk % (_SELDOM if far else 1) == 0


def near(
    index: LabelIndex | FrozenIndex, embedded: Float32, labels: Labels, asking: Asking
) -> Near | None:
    """What an index finds near embedded rows (n, d); None where there is nothing to find."""
    if asking.kind == Plugged.kind and not (fine := there(embedded)).all():
        if not fine.any():
            return None
        some = near(index, embedded[fine], labels, asking)
        return some and some.spread(fine)
    if not len(index) or not asking.neighbours:
        return None
    found = index.search(embedded, asking.neighbours, asking.effort)
    hit = found.ids >= 0
    scores = _shares(found.scores, hit) if asking.kind in LEARNT else found.scores
    similar = np.where(hit, scores, 0).astype(np.float32)
    return Near(labels.slots_of_ids(found.ids), similar)


def _shares(cosines: Any, hit: Any) -> Any:
    """The log of each one's share in the softmax that a learnt encoder is trained on.

    Brought to about the range of a cosine. On tibkat it is worth 0.006 of P@1 over cosines.
    """
    logits = np.where(hit, cosines, -9.0) / Recipe.temperature
    logits -= logits.max(axis=1, keepdims=True, initial=-1e9)
    shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return 1.0 + shares / 5.0


def there(embedded: Float32) -> Any:
    """Which rows (n, d) are embedded at all: a plugged encoder may fail."""
    return ~np.isnan(embedded).any(axis=1)
