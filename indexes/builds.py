"""What a build makes of a view: new lists, or the same ones filled anew. Knows no locks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from indexes import scan
from indexes.base import Float32, Hits, Int64
from indexes.coarse import SAMPLE, Centres, lists_of, train
from indexes.codes import decode
from indexes.generation import Lists, View, lists_of_live, live, packed
from indexes.overlay import Overlay

_TOGETHER = 8_192  # rows decoded at a time
_ASKED = 96  # queries that the number of probes is chosen on
_NEIGHBOURS = 10
_LEAST_PROBES = 8


class Built(NamedTuple):
    """A generation, its centres, and the probes that it needs; None where not measured."""

    centres: Centres
    rows: Lists
    probes: int | None


def fold(view: View) -> Built:
    """The changes moved into the lists there are."""
    rows = live(view)
    return Built(view.centres, packed(view, rows, lists_of_live(view, rows), view.centres), None)


def decoded(view: View, rows: Int64) -> Float32:
    """(n, d) float32: the vectors of `rows`, as `generation.live` numbers them."""
    out = np.empty((len(rows), view.rows.high.shape[1]), np.float32)
    old = rows < len(view.rows.ids)
    for mine, part, base in ((old, view.rows, 0), (~old, view.delta, len(view.rows.ids))):
        at = rows[mine] - base
        made = np.empty((len(at), out.shape[1]), np.float32)
        decode(part.high[at], part.low[at], part.scale[at], made)
        out[mine] = made
    return out


def trained(faiss: Any, view: View, lists: int, seed: int) -> Centres:
    """About `lists` centres of the vectors there are, trained on a sample of them."""
    rows = live(view)
    most = SAMPLE * lists
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return train(faiss, decoded(view, rows), lists, seed)


def retrain(
    view: View, centres: Centres, aim: float | None, asked: Float32 | None, seed: int
) -> Built:
    """All vectors assigned to other centres.

    Parameters
    ----------
    aim : float or None
        Recall of the ten nearest that the number of probes is chosen for; None: do not choose.
    asked : (n, d) float32 or None
        Queries to choose it on; None: vectors of the index with as much noise as there is vector.
    """
    rows, draw = live(view), np.random.default_rng(seed)
    at = np.empty(len(rows), np.int32)
    for start in range(0, len(rows), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        at[part] = lists_of(centres, decoded(view, rows[part]))
    made = packed(view, rows, at, centres)
    if aim is None:
        return Built(centres, made, None)
    if asked is None:
        some = decoded(view, np.sort(draw.choice(rows, min(_ASKED, len(rows)), replace=False)))
        noise = draw.standard_normal(some.shape, np.float32)
        length = np.linalg.norm(some, axis=1, keepdims=True)
        asked = some + noise * length / np.linalg.norm(noise, axis=1, keepdims=True)
    return Built(centres, made, probes_for(view, centres, made, asked, aim))


def caught_up(made: Overlay, centres: Centres | None, now: View, seen: int) -> None:
    """Take over into `made` what changed after the first `seen` changes.

    `centres` are those of `made`, None where they are those of `now`.
    """
    old = now.delta
    rows = seen + np.flatnonzero(old.dead[seen:] == 0)
    if centres is None:
        lists = old.lists[rows]
    else:
        lists = lists_of(centres, decoded(now, len(now.rows.ids) + rows))
    made.copy(old, rows, lists)


def probes_for(view: View, centres: Centres, made: Lists, asked: Float32, aim: float) -> int:
    """The least number of lists of `made` that hold `aim` of the true ten nearest on average."""
    truth = scan.exact(view, asked, _NEIGHBOURS)
    return least_probes(centres, made, asked, truth, aim)


def least_probes(centres: Centres, made: Lists, asked: Float32, truth: Hits, aim: float) -> int:
    """The same for answers (n, k) that are known."""
    order = np.argsort(made.ids, kind="stable")
    ranks = []
    for query, ids in zip(asked, truth.ids, strict=True):
        at = order[np.searchsorted(made.ids, ids[ids >= 0], sorter=order)]
        nearest = np.argsort(-(centres.centres @ query), kind="stable")
        rank = np.empty(len(nearest), np.int64)
        rank[nearest] = np.arange(len(nearest))
        ranks.append(rank[np.searchsorted(made.start, at, side="right") - 1])
    every = np.sort(np.concatenate(ranks))
    if not len(every):
        return _LEAST_PROBES
    return max(_LEAST_PROBES, 1 + int(every[int(np.ceil(aim * len(every))) - 1]))
