"""The centres that vectors are listed under: trained by faiss in two levels, assigned by a kernel.

Groups of centres make training and assigning cost the root of the number of lists: a vector is
compared with every group and with the centres of the nearest few groups only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from indexes._jit import kernel
from indexes.base import Float32, Int64
from indexes.codes import coded, whole

_NEAR = 8  # groups whose centres a vector is compared with
_SINGLE = 64  # lists up to which one group does
SAMPLE = 64  # vectors of the training sample for each list
_ROUNDS = 8  # of k-means on either level
_REFINE = 2  # rounds over all centres after that


class Centres(NamedTuple):
    """What assigns a vector to a list, and a query to the lists to search.

    `centres` (m, d) float32 of length 1 and the same as codes, `high` int8 and `scale`; the
    groups as codes, `group_high` (g, d), `group_scale`; centres of group i are
    `group_start[i]` … `group_start[i + 1]` - 1.
    """

    centres: Any
    high: Any
    scale: Any
    group_high: Any
    group_scale: Any
    group_start: Any


@kernel
def dot(codes: Any, row: Any, query: Any) -> Any:
    """The inner product of an int8 row and an int16 query."""
    total = np.int32(0)
    for t in range(len(query)):
        total += np.int32(codes[row, t]) * np.int32(query[t])
    return total


@kernel
def assign(c: Any, rows: Any, near: Any, out: Any) -> None:
    """The list of each of `rows` (n, d) float32, into `out` (n,) int32."""
    high, scale, start = c.high, c.scale, c.group_start
    group_high, group_scale = c.group_high, c.group_scale
    groups = len(group_high)
    some = min(near, groups)
    best = np.empty(some, np.int64)
    scores = np.empty(some, np.float32)
    query = np.empty(rows.shape[1], np.int16)
    for i in range(len(rows)):
        whole(rows[i], query)
        count = 0
        for g in range(groups):
            score = np.float32(dot(group_high, g, query)) * group_scale[g]
            if count < some:
                place = count
                count += 1
            elif score > scores[some - 1]:
                place = some - 1
            else:
                continue
            while place > 0 and scores[place - 1] < score:
                scores[place], best[place] = scores[place - 1], best[place - 1]
                place -= 1
            scores[place], best[place] = score, g
        most, found = np.float32(-np.inf), np.int32(0)
        for p in range(count):
            for j in range(start[best[p]], start[best[p] + 1]):
                score = np.float32(dot(high, j, query)) * scale[j]
                if score > most:
                    most, found = score, np.int32(j)
        out[i] = found


def lists_of(centres: Centres, rows: Float32) -> Any:
    """(n,) int32: the list of each of `rows` (n, d)."""
    out = np.empty(len(rows), np.int32)
    assign(centres, rows, _NEAR, out)
    return out


def single(width: int) -> Centres:
    """The one list that vectors are in before anything was trained."""
    return _made(np.zeros((1, width), np.float32), np.array([0, 1]))


def train(faiss: Any, rows: Float32, lists: int, seed: int) -> Centres:
    """About `lists` centres of `rows` (n ≥ lists, d), by spherical k-means in two levels."""
    wanted = max(1, min(lists, len(rows)))
    most = SAMPLE * wanted
    if len(rows) > most:
        keep = np.random.default_rng(seed).choice(len(rows), most, replace=False)
        rows = rows[np.sort(keep)]
    if wanted <= _SINGLE:
        centres = _kmeans(faiss, rows, wanted, seed)
        return _made(centres, np.array([0, len(centres)]))
    # The groups first, then the centres of each.
    first = _kmeans(faiss, rows, round(wanted**0.5), seed)
    mine = lists_of(_made(first, np.array([0, len(first)])), rows)
    parts, start = [], [0]
    for group in range(len(first)):
        members = rows[mine == group]
        if len(members):
            share = max(1, round(wanted * len(members) / len(rows)))
            parts.append(_kmeans(faiss, members, share, seed))
            start.append(start[-1] + len(parts[-1]))
    made = _made(np.concatenate(parts), np.array(start))
    for _ in range(_REFINE):
        made = _made(_means(made.centres, rows, lists_of(made, rows)), made.group_start)
    return made


def _kmeans(faiss: Any, rows: Float32, count: int, seed: int) -> Float32:
    if len(rows) <= count:
        return _unit(rows)
    trained = faiss.Kmeans(
        rows.shape[1], count, niter=_ROUNDS, spherical=True, seed=seed,
        max_points_per_centroid=16 * SAMPLE, min_points_per_centroid=1,
    )  # fmt: skip
    trained.train(rows)
    return _unit(trained.centroids)


def _unit(rows: Float32) -> Float32:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.where(length > 0, length, 1), np.float32)


def _means(centres: Float32, rows: Float32, lists: Any) -> Float32:
    """Centres moved to the middle of their rows; one without rows stays."""
    sums, count = np.zeros_like(centres), np.bincount(lists, minlength=len(centres))
    _add(rows, lists, sums)
    return np.where(count[:, np.newaxis] > 0, _unit(sums), centres)


@kernel
def _add(rows: Any, lists: Any, sums: Any) -> None:
    for i in range(len(rows)):
        for t in range(rows.shape[1]):
            sums[lists[i], t] += rows[i, t]


def _made(centres: Float32, start: Int64) -> Centres:
    groups = np.stack([centres[a:b].sum(axis=0) for a, b in pairwise(start)])
    high, _, scale = coded(centres)
    group_high, _, group_scale = coded(_unit(groups))
    return Centres(centres, high, scale, group_high, group_scale, start.astype(np.int64))
