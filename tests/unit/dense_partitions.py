"""The partitioner again in plain Python, with every pair of labels kept: nothing is evicted.

A reference to compare the kernels with. Links are a dense matrix; the rest follows the same
rules, with single-precision values where the kernels store them, so that where no slot can fill
both decide the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

F = np.float32
LEAF = 128


def surprise(mu: float, hit: bool) -> float:
    bounded = min(mu, 0.95)
    return -1.0986 if hit else min(2.0, math.log((1 - bounded / 3) / (1 - bounded)))


class Judge:
    """Hit rate and CUSUM of a label or a leaf."""

    def __init__(self) -> None:
        self.mu, self.cusum, self.trials = F(0), F(0), 0

    def judge(self, hit: bool, patience: int, rate: float) -> None:
        if self.trials >= patience and self.mu >= F(0.2):
            self.cusum = F(max(0.0, float(self.cusum) + surprise(float(self.mu), hit)))
        self.trials += 1
        rate = max(rate, 1.0 / self.trials)
        self.mu = F(float(self.mu) + rate * (float(hit) - float(self.mu)))


class Leaf(Judge):
    def __init__(self) -> None:
        super().__init__()
        self.members: list[int] = []
        self.mass = 0.0
        self.hits = self.looked = 0


class DensePartitions:
    """Labels below `labels`; events of at most 32 distinct labels."""

    def __init__(self, labels: int) -> None:
        self.w = np.zeros((labels, labels), F)
        self.met: list[list[int]] = [[] for _ in range(labels)]  # in order of first meeting
        self.n = np.zeros(labels, F)
        self.rate = np.zeros(labels)
        self.moves = [0] * labels
        self.judges = [Judge() for _ in range(labels)]
        self.growth, self.total = 1.0, 0.0
        self.leaf: list[Leaf | None] = [None] * labels

    @property
    def leaf_of(self) -> Any:
        """(labels,) int64, numbered in order of first use here; -1 for none."""
        number: dict[int, int] = {}
        return np.array(
            [-1 if leaf is None else number.setdefault(id(leaf), len(number)) for leaf in self.leaf]
        )

    def observe(self, events: Sequence[Sequence[int]]) -> None:
        for event in events:
            if len(event) >= 2:
                self._event(list(event))

    def _home(self, label: int) -> Leaf:
        leaf = self.leaf[label]
        assert leaf is not None
        return leaf

    def _event(self, event: list[int]) -> None:
        self._count(event)
        for label in event:
            if self.leaf[label] is None:
                ranked = [pair for pair in self._scores(label) if len(pair[0].members) < LEAF]
                self._join(label, max(ranked, key=lambda pair: pair[1])[0] if ranked else Leaf())
        self._drift(event)
        for label in event:
            self._settle(label)
        for label in event:
            leaf = self._home(label)
            size = len(leaf.members)
            late = max(100, 2 * size)
            if leaf.looked >= min(max(10, 0.25 * size, 0.125 * leaf.trials), late):
                self._look(leaf)
            leaf = self._home(label)
            size = len(leaf.members)
            late = max(100, 2 * size)
            if size >= LEAF or leaf.hits >= min(max(25, 0.5 * size, 0.125 * leaf.trials), late):
                leaf.hits = 0
                if size >= 3:
                    self._split(leaf)

    def _count(self, event: list[int]) -> None:
        self.growth *= 2.0 ** (1 / 50_000)
        self.rate[event] += self.growth
        self.total += self.growth * len(event)
        share, keep = F(1.0 / (len(event) - 1)), F(0.99)
        for label in event:
            old = self.n[label]
            self.n[label] = old * keep + F(1)
            leaf = self.leaf[label]
            if leaf is not None:
                leaf.mass += float(self.n[label] - old)
            self.w[label] *= keep
            for other in event:
                if other != label:
                    if self.w[label, other] == 0:
                        self.met[label].append(other)
                    self.w[label, other] += share

    def _scores(self, label: int) -> list[tuple[Leaf, np.float32]]:
        near = self.met[label]
        chance = float(self.n[label]) / self.total
        excess = self.w[label, near].astype(np.float64) - chance * self.rate[near]
        score: dict[Leaf, np.float32] = {}
        for other, beyond in zip(near, excess.tolist(), strict=True):
            home = self.leaf[other]
            if beyond > 0 and home is not None:
                score[home] = F(float(score.get(home, F(0))) + beyond)
        return list(score.items())

    def _join(self, label: int, leaf: Leaf) -> None:
        leaf.members.append(label)
        leaf.mass += float(self.n[label])
        self.leaf[label] = leaf

    def _go(self, label: int, leaf: Leaf) -> None:
        """Out of its leaf, where the last member takes its place, and into another."""
        old = self._home(label)
        last = old.members.pop()
        if last != label:
            old.members[old.members.index(label)] = last
        old.mass = max(0.0, old.mass - float(self.n[label]))
        self._join(label, leaf)

    def _drift(self, event: list[int]) -> None:
        homes = [self._home(label) for label in event]
        for at, (label, home) in enumerate(zip(event, homes, strict=True)):
            hit = homes.count(home) > 1
            self.judges[label].judge(hit, 8, 0.05)
            if homes.index(home) < at:
                continue
            home.judge(hit, 20, 0.02)
            home.hits += hit
            home.looked += hit
            if home.cusum > 8:
                home.cusum, home.trials = F(0), 0
                for member in home.members:
                    self.judges[member].cusum = max(self.judges[member].cusum, F(4.5))
                    self._fade(member, 0.3)
        for label in event:
            if self.judges[label].cusum > 6:
                self._start_anew(label, event)

    def _fade(self, label: int, keep: float) -> None:
        old = self.n[label]
        self.n[label] = F(float(old) * keep)
        self._home(label).mass += float(self.n[label] - old)
        self.w[label] *= F(keep)

    def _start_anew(self, label: int, event: list[int]) -> None:
        home, old = self._home(label), self.n[label]
        share = F(1.0 / (len(event) - 1))
        self.n[label] = F(0.1 * (float(old) - 1) + 1)
        home.mass += float(self.n[label] - old)
        for other in self.met[label]:
            w = self.w[label, other]
            now = min(share, w) if other in event else F(0)
            self.w[label, other] = F(0.1 * float(w - now) + float(now))
        self.judges[label] = Judge()
        self.moves[label] = 0
        scores = self._scores(label)
        total = F(0)
        for _, score in scores:
            total += score
        best, value = None, 0.0
        for leaf, score in scores:
            if leaf is not home and len(leaf.members) < LEAF and score > 0.3 * float(total):
                worth = float(score) / math.sqrt(1.0 + len(leaf.members))
                if worth > value:
                    best, value = leaf, worth
        if best is not None or len(home.members) > 1:
            self._go(label, best or Leaf())

    def _settle(self, label: int) -> None:
        home = self._home(label)
        own, there, target = F(0), F(0), None
        for leaf, score in self._scores(label):
            if leaf is home:
                own = score
            elif len(leaf.members) < LEAF and (target is None or score > there):
                target, there = leaf, score
        if target is None:
            return
        if len(home.members) < 3:
            better = bool(there > own) and len(target.members) >= len(home.members)
        else:
            rest = max(home.mass - float(self.n[label]), 0.0)
            both = float(there + own)
            tilt = 0.5 * both * (target.mass - rest) / max(rest + target.mass, 1e-9)
            calm = 0.3 * min(self.moves[label], 8)
            margin = 0.1 * float(own) + calm * float(np.sqrt(there + own))
            better = float(there - own) - tilt > margin
        if better:
            self._go(label, target)
            self.moves[label] += 1

    def _look(self, leaf: Leaf) -> None:
        leaf.looked = 0
        for member in leaf.members[::-1]:
            self._settle(member)
        if not 0 < len(leaf.members) < LEAF:
            return
        sums: dict[Leaf, np.float32] = {}
        total = 0.0
        for member in leaf.members:
            for near, score in self._scores(member):
                total += float(score)
                if near is not leaf:
                    sums[near] = sums.get(near, F(0)) + score
        if not sums:
            return
        other = max(sums, key=lambda near: sums[near])
        a, b = len(leaf.members), len(other.members)
        if a + b > LEAF:
            return
        if a >= 3:
            e = self._blocks(leaf.members + other.members, [0] * a + [1] * b)
            if float(sums[other]) / total <= 0.15 or rho(e, 0, 1) - doubt(e, 0, 1) <= APART:
                return
        small, large = (leaf, other) if a <= b else (other, leaf)
        for member in small.members[::-1]:
            self._go(member, large)
        large.hits = large.looked = 0

    def _graph(self, members: list[int]) -> Any:
        w = self.w[np.ix_(members, members)]
        return F(0.5) * w + F(0.5) * w.T

    def _blocks(self, members: list[int], group: list[int]) -> Any:
        """Links between groups, and once within: (groups, groups)."""
        side = np.eye(max(group) + 1)[group]
        e = side.T @ self._graph(members).astype(np.float64) @ side
        e[np.diag_indices(len(e))] /= 2
        return e

    def _split(self, leaf: Leaf) -> None:
        members, forced = list(leaf.members), len(leaf.members) >= LEAF
        graph = self._graph(members)
        group = agglomerate(graph.astype(np.float64), louvain(graph), forced)
        sizes = np.bincount(group, minlength=len(members))
        for g in range(len(members)):
            if sizes[g] == 0 or g == np.argmax(sizes):
                continue
            if not forced:
                e = self._blocks(members, (group == g).astype(int).tolist())
                if sizes[g] < 3 or rho(e, 0, 1) + doubt(e, 0, 1) >= APART:
                    continue
            fresh = Leaf()
            for at in np.flatnonzero(group == g):
                self._go(members[at], fresh)


APART = 0.4


def rho(e: Any, a: int, b: int) -> float:
    ka, kb = 2 * e[a, a] + e[a, b], 2 * e[b, b] + e[a, b]
    return float(e[a, b] * (ka + kb) / (ka * kb)) if ka > 0 and kb > 0 else 0.0


def doubt(e: Any, a: int, b: int) -> float:
    least = max(min(2 * e[a, a], 2 * e[b, b]) + e[a, b], 1e-9)
    return math.sqrt(math.log(20) / 2 / least)


def louvain(graph: Any) -> Any:
    degree = graph.sum(1).astype(np.float64)
    total, group = degree.sum(), np.arange(len(graph))
    if total <= 0:
        return group
    mass = degree.copy()
    for _ in range(5):
        before = group.copy()
        for a in np.argsort(-graph.sum(1), kind="stable"):
            own = group[a]
            link = np.bincount(group, graph[a], minlength=len(graph))
            mass[own] -= degree[a]
            gain = link - degree[a] * mass / total
            best = own
            for g in np.flatnonzero(link > 0):
                if gain[g] > gain[best] + 1e-6:
                    best = g
            mass[best] += degree[a]
            group[a] = best
        if (group == before).all():
            break
    return group


def agglomerate(graph: Any, group: Any, forced: bool) -> Any:
    names, group = np.unique(group, return_inverse=True)
    side = np.eye(len(names))[group]
    e, size = side.T @ graph @ side, np.bincount(group)
    e[np.diag_indices(len(e))] /= 2
    alive = list(range(len(names)))
    while len(alive) > (2 if forced else 1):
        pairs = [
            (rho(e, a, b), a, b)
            for a in alive for b in alive
            if b < a and not (forced and size[a] + size[b] > 0.75 * len(graph))
        ]  # fmt: skip
        value, a, b = max(pairs, key=lambda pair: pair[0], default=(-1.0, -1, -1))
        if a < 0 or (not forced and value <= APART):
            break
        e[b, b] += e[a, a] + e[a, b]
        others = [g for g in alive if g not in (a, b)]
        e[b, others] += e[a, others]
        e[others, b] = e[b, others]
        size[b] += size[a]
        alive.remove(a)
        group[group == a] = b
    return group
