"""Searching a view: the nearest lists, by sketch and int8 code, then a short list in full."""

from __future__ import annotations

from typing import Any

import numpy as np

from indexes._jit import kernel
from indexes.base import Float32, Hits
from indexes.checks import no_hits
from indexes.coarse import dot
from indexes.codes import whole
from indexes.generation import View, is_hidden
from indexes.sketch import bounds, planes_of, signed_sum

_SPARE = 30  # rows beyond k that are scored again; int8 scores may order them wrongly
_EXACT = 246  # the same where the answer is to be taken for exact
_CLOSE = 8  # rows beyond k that a row must not reach by its sketch to be passed over
_TRUST = np.float32(2.2)  # deviations of a sketch's error within which it may still reach them
_LITTLE_TRUST = np.float32(1.0)
_CERTAIN = np.float32(1e6)
_WIDEN = 4
_BUCKETS = 2_048
_HIGH = np.float32(256.0)  # what the high plane counts in


@kernel
def offer(rows: Any, scores: Any, count: Any, row: Any, score: Any) -> Any:
    """Put a row among the best so far, which are in falling order; returns how many there are."""
    most = len(rows)
    if count < most:
        place = count
        count += 1
    elif score > scores[most - 1]:
        place = most - 1
    else:
        return count
    while place > 0 and scores[place - 1] < score:
        scores[place], rows[place] = scores[place - 1], rows[place - 1]
        place -= 1
    scores[place], rows[place] = score, row
    return count


@kernel
def nearest_lists(c: Any, query: Any, lists: Any) -> None:
    """All lists into `lists` (m,), the nearest to an int16 query first.

    They are thrown into buckets by score, which leaves little to sort.
    """
    high, scale, count = c.high, c.scale, len(c.scale)
    scores, order = np.empty(count, np.float32), np.empty(count, np.int64)
    least, most = np.float32(np.inf), np.float32(-np.inf)
    for i in range(count):
        scores[i] = np.float32(dot(high, i, query)) * scale[i]
        least, most = min(least, scores[i]), max(most, scores[i])
    per = np.float32(_BUCKETS - 1) / (most - least) if most > least else np.float32(0.0)
    ends = np.zeros(_BUCKETS + 1, np.int64)
    for i in range(count):
        order[i] = int((most - scores[i]) * per)
        ends[order[i] + 1] += 1
    for b in range(_BUCKETS):
        ends[b + 1] += ends[b]
    for i in range(count):
        lists[ends[order[i]]] = i
        ends[order[i]] += 1
    for i in range(1, count):
        one, place = lists[i], i
        while place > 0 and scores[lists[place - 1]] < scores[one]:
            lists[place] = lists[place - 1]
            place -= 1
        lists[place] = one


@kernel
def _scan(
    v: Any, query: Any, unit: Any, planes: Any, sums: Any, trust: Any, lists: Any, enough: Any,
    rows: Any, scores: Any,
) -> Any:  # fmt: skip
    """The best rows of the lists by their high plane; delta's rows are numbered from ~0 down.

    A row that by its sketch cannot reach the `enough` best so far is passed over. `unit` is what
    a score is worth. Arrays are named first: to take one out of a tuple counts a reference.
    """
    start, high, scale = v.rows.start, v.rows.high, v.rows.scale
    bits, factor, spread = v.rows.bits, v.rows.factor, v.rows.spread
    hidden, dead, head, following = v.delta.hidden, v.delta.dead, v.delta.head, v.delta.following
    high2, scale2, bits2, facts2 = v.delta.high, v.delta.scale, v.delta.bits, v.delta.facts
    centres, centre_scale = v.centres.high, v.centres.scale
    count, sketched = 0, planes.shape[1] > 0
    slack = trust * sums[3]
    longest = 0
    for list_ in lists:
        longest = max(longest, start[list_ + 1] - start[list_])
    sets, above = np.empty(longest, np.uint64), np.empty(longest, np.float32)
    for list_ in lists:
        around = np.float32(dot(centres, list_, query)) * centre_scale[list_] * unit
        first, size = start[list_], start[list_ + 1] - start[list_]
        if sketched:
            bounds(bits, factor, spread, first, size, planes, sums, slack, sets, above)
        for i in range(size):
            if sketched and count >= enough and around + above[i] < scores[enough - 1] * unit:
                continue
            row = first + i
            if is_hidden(hidden, row):
                continue
            score = np.float32(dot(high, row, query)) * scale[row]
            count = offer(rows, scores, count, row, score)
        other = head[list_]
        while other >= 0:
            skip = dead[other] != 0
            if not skip and sketched and count >= enough:
                most = around + facts2[other, 0] * signed_sum(bits2, other, planes, sums)
                skip = most + slack * facts2[other, 1] < scores[enough - 1] * unit
            if not skip:
                score = np.float32(dot(high2, other, query)) * scale2[other]
                count = offer(rows, scores, count, ~np.int64(other), score)
            other = following[other]
    return count


@kernel
def _score(high: Any, low: Any, scale: Any, row: Any, query: Any) -> Any:
    total = np.float32(0.0)
    for t in range(len(query)):
        total += query[t] * np.float32(
            np.int32(high[row, t]) * np.int32(256) + np.int32(low[row, t])
        )
    return total * scale[row]


@kernel
def _rank(v: Any, query: Any, rows: Any, ids: Any, scores: Any) -> None:
    """Score rows at full precision into the best `ids`, `scores` (k,): falling, ties by id."""
    count, last = 0, len(ids) - 1
    for row in rows:
        if row >= 0:
            id_ = v.rows.ids[row]
            score = _score(v.rows.high, v.rows.low, v.rows.scale, row, query)
        else:
            id_ = v.delta.ids[~row]
            score = _score(v.delta.high, v.delta.low, v.delta.scale, ~row, query)
        if np.isnan(score):
            continue
        place = count
        while place > 0 and (
            score > scores[place - 1] or (score == scores[place - 1] and id_ < ids[place - 1])
        ):
            place -= 1
        if place > last:
            continue
        for p in range(min(count, last), place, -1):
            ids[p], scores[p] = ids[p - 1], scores[p - 1]
        ids[place], scores[place] = id_, score
        count = min(count + 1, last + 1)


@kernel
def _search(
    v: Any, queries: Any, probes: Any, spare: Any, trust: Any, ids: Any, scores: Any
) -> None:
    most, enough = ids.shape[1] + spare, ids.shape[1] + _CLOSE
    planes, sums = np.empty((4, v.delta.bits.shape[1]), np.uint64), np.empty(4, np.float32)
    rows, rough = np.empty(most, np.int64), np.empty(most, np.float32)
    lists = np.empty(len(v.centres.scale), np.int64)
    query = np.empty(queries.shape[1], np.int16)
    for i in range(len(queries)):
        unit = whole(queries[i], query) * _HIGH
        if planes.shape[1] > 0:
            planes_of(queries[i], planes, sums)
        nearest_lists(v.centres, query, lists)
        count = _scan(v, query, unit, planes, sums, trust, lists[:probes], enough, rows, rough)
        _rank(v, queries[i], rows[:count], ids[i], scores[i])


def search(
    view: View, queries: Float32, k: int, probes: int, live: int, effort: float = 1.0
) -> Hits:
    """The k best rows of the `probes` nearest lists; more lists where they hold fewer than k.

    With less `effort` than 1, of that share of them, and rows are passed over more boldly.

    Parameters
    ----------
    view : View
        Its arrays are read only.
    queries : (n, d) float32
    live : int
        Rows in all, so that it is known when no more can be found.
    """
    hits = no_hits(len(queries), k)
    some, lists = min(k, live), len(view.centres.scale)
    trust = _TRUST if effort == 1 or lists == 1 else _LITTLE_TRUST
    probes = min(max(1, round(effort * probes)), lists)
    if not some or not len(queries):
        return hits
    _search(view, queries, probes, _SPARE, trust, hits.ids, hits.scores)
    while probes < lists and (short := np.flatnonzero(hits.ids[:, some - 1] < 0)).size:
        probes = min(probes * _WIDEN, lists)
        part = no_hits(len(short), k)
        _search(view, queries[short], probes, _SPARE, trust, part.ids, part.scores)
        hits.ids[short], hits.scores[short] = part.ids, part.scores
    return hits


def exact(view: View, queries: Float32, k: int) -> Hits:
    """The k best of all rows."""
    hits = no_hits(len(queries), k)
    if len(queries):
        lists = len(view.centres.scale)
        _search(view, queries, lists, _EXACT, _CERTAIN, hits.ids, hits.scores)
    return hits
