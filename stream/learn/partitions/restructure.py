"""The test of a leaf: merge with a neighbour, split off communities, or split when full."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.jit import kernel
from stream.learn.partitions.leaves import join, leave, open_leaf, report
from stream.learn.partitions.observe import scores, settle
from stream.learn.partitions.state import LEAF, MAPPED, MEMBER, MERGE, SLOTS, SPLIT, Partitions

_SURE = np.log(1.0 / 0.05) / 2.0
_APART = 0.4  # two sides linked less than this are two leaves; the doubt is the hysteresis


@kernel
def _links(p: Partitions, member: Any, k: int) -> Any:
    """Symmetrised co-occurrence among k labels, (k, k)."""
    graph = np.zeros((k, k), np.float32)
    where = np.full(k, -1, np.int32)
    order = np.argsort(member[:k])
    for at in range(k):
        where[at] = member[order[at]]
    for a in range(k):
        label = member[a]
        row = p.labels.seat[label, 0] if p.sizes[MAPPED] else label
        if row < 0:
            continue
        for s in range(SLOTS):
            other = p.labels.co[row, s]
            if other < 0:
                continue
            at = np.searchsorted(where, other)
            if at < k and where[at] == other:
                b = order[at]
                half = np.float32(0.5) * p.labels.w[row, s]
                graph[a, b] += half
                graph[b, a] += half
    return graph


@kernel
def _density(inside_a: float, inside_b: float, between: float) -> float:
    """ρ: links between two sides over what a random graph of their degrees would have."""
    ka, kb = 2 * inside_a + between, 2 * inside_b + between
    if ka <= 0 or kb <= 0:
        return 0.0
    return between * (ka + kb) / (ka * kb)


@kernel
def _doubt(inside_a: float, inside_b: float, between: float) -> float:
    return np.sqrt(_SURE / max(min(2 * inside_a, 2 * inside_b) + between, 1e-9))


@kernel
def look(p: Partitions, leaf: int, at_leaf: Any, at_score: Any, rows: Any) -> None:
    """Settle the members of a leaf, rare ones too, and merge it where it belongs to another."""
    p.leaves.looked[leaf] = 0
    for at in range(p.leaves.size[leaf] - 1, -1, -1):
        settle(p, p.leaves.member[leaf, at], at_leaf, at_score, rows)
    if 0 < p.leaves.size[leaf] < LEAF:
        _try_merge(p, leaf, at_leaf, at_score, rows)


@kernel
def test(p: Partitions, leaf: int, rows: Any) -> None:
    """Split a leaf where it falls apart, or where it is full."""
    p.leaves.hits[leaf] = 0
    if p.leaves.size[leaf] >= 3:
        _try_split(p, leaf, rows)


@kernel
def _strongest(p: Partitions, leaf: int, at_leaf: Any, at_score: Any) -> Any:
    """The leaf that this one is linked to most, and its share of all links."""
    limit = LEAF * SLOTS
    who = np.empty(limit, np.int32)
    sums = np.zeros(limit, np.float32)
    found, total = 0, 0.0
    for m in range(p.leaves.size[leaf]):
        linked = scores(p, p.leaves.member[leaf, m], at_leaf, at_score)
        for k in range(linked):
            total += at_score[k]
            if at_leaf[k] == leaf:
                continue
            at = 0
            while at < found and who[at] != at_leaf[k]:
                at += 1
            if at == found:
                who[at] = at_leaf[k]
                sums[at] = 0
                found += 1
            sums[at] += at_score[k]
    best = -1
    for at in range(found):
        if best < 0 or sums[at] > sums[best]:
            best = at
    if best < 0:
        return -1, 0.0
    return who[best], sums[best] / total


@kernel
def _try_merge(p: Partitions, leaf: int, at_leaf: Any, at_score: Any, rows: Any) -> bool:
    other, share = _strongest(p, leaf, at_leaf, at_score)
    a, b = p.leaves.size[leaf], p.leaves.size[max(other, 0)]
    if other < 0 or a + b > LEAF:
        return False
    if a >= 3:
        if share <= 0.15:
            return False
        both = np.empty(a + b, np.int32)
        both[:a] = p.leaves.member[leaf, :a]
        both[a:] = p.leaves.member[other, :b]
        graph = _links(p, both, a + b)
        ia = graph[:a, :a].sum() / 2
        ib = graph[a:, a:].sum() / 2
        between = graph[:a, a:].sum()
        if _density(ia, ib, between) - _doubt(ia, ib, between) <= _APART:
            return False
    small, large = (leaf, other) if a <= b else (other, leaf)
    report(p, rows, MERGE, small, large, -1)
    while p.leaves.size[small] > 0:
        label = p.leaves.member[small, p.leaves.size[small] - 1]
        leave(p, label)
        join(p, label, large)
    p.leaves.hits[large] = 0
    p.leaves.looked[large] = 0
    return True


@kernel
def _louvain(graph: Any, k: int) -> Any:
    """One level of modularity moves with the leaf's own null model, strongest labels first."""
    degree = np.zeros(k, np.float32)
    for a in range(k):
        degree[a] = graph[a].sum()
    total = degree.sum()
    group = np.arange(k)
    if total <= 0:
        return group
    mass = degree.copy()
    order = np.argsort(-degree, kind="mergesort")
    link = np.zeros(k, np.float32)
    for _ in range(5):
        moved = False
        for a in order:
            link[:] = 0
            for b in range(k):
                if b != a:
                    link[group[b]] += graph[a, b]
            own = group[a]
            mass[own] -= degree[a]
            best, value = own, link[own] - degree[a] * mass[own] / total
            for g in range(k):
                if link[g] > 0:
                    gain = link[g] - degree[a] * mass[g] / total
                    if gain > value + 1e-6:
                        best, value = g, gain
            mass[best] += degree[a]
            if best != own:
                group[a] = best
                moved = True
        if not moved:
            break
    return group


@kernel
def _agglomerate(graph: Any, group: Any, k: int, forced: bool) -> int:
    """Join communities while links between them are dense; returns how many remain.

    Forced: until two remain, none above three quarters of the leaf where that can be.
    """
    names = np.unique(group)
    n = len(names)
    for a in range(k):
        group[a] = np.searchsorted(names, group[a])
    e = np.zeros((n, n))
    size = np.zeros(n, np.int64)
    for a in range(k):
        size[group[a]] += 1
        for b in range(k):
            e[group[a], group[b]] += graph[a, b] * (0.5 if group[a] == group[b] else 1.0)
    alive = n
    while alive > 1 and not (forced and alive <= 2):
        best_a, best_b, value = -1, -1, -1.0
        for a in range(n):
            for b in range(a):
                if size[a] == 0 or size[b] == 0:
                    continue
                if forced and size[a] + size[b] > 0.75 * k:
                    continue
                rho = _density(e[a, a], e[b, b], e[a, b])
                if rho > value:
                    best_a, best_b, value = a, b, rho
        if best_a < 0 or (not forced and value <= _APART):
            break
        e[best_b, best_b] += e[best_a, best_a] + e[best_a, best_b]
        for g in range(n):
            if g not in (best_a, best_b):
                e[best_b, g] += e[best_a, g]
                e[g, best_b] += e[g, best_a]
        size[best_b] += size[best_a]
        size[best_a] = 0
        for a in range(k):
            if group[a] == best_a:
                group[a] = best_b
        alive -= 1
    return alive


@kernel
def _try_split(p: Partitions, leaf: int, rows: Any) -> None:
    k = p.leaves.size[leaf]
    member = p.leaves.member[leaf, :k].copy()
    graph = _links(p, member, k)
    group = _louvain(graph, k)
    forced = k >= LEAF
    _agglomerate(graph, group, k, forced)
    size = np.zeros(k, np.int64)
    for a in range(k):
        size[group[a]] += 1
    largest = np.argmax(size)
    for g in range(k):
        if size[g] == 0 or g == largest:
            continue
        if not forced:
            if size[g] < 3:
                continue
            inside, rest, between = 0.0, 0.0, 0.0
            for a in range(k):
                for b in range(a):
                    if group[a] == g and group[b] == g:
                        inside += graph[a, b]
                    elif group[a] == g or group[b] == g:
                        between += graph[a, b]
                    else:
                        rest += graph[a, b]
            rho = _density(inside, rest, between)
            if rho + _doubt(inside, rest, between) >= _APART:
                continue
        fresh = open_leaf(p, rows)
        report(p, rows, SPLIT, leaf, fresh, -1)
        for a in range(k):
            if group[a] == g:
                leave(p, member[a])
                join(p, member[a], fresh)
                report(p, rows, MEMBER, leaf, fresh, member[a])
