"""How good an approximate index still is: its recall on a sample of the queries it serves."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from indexes.base import PAD, Float32, Hits

Exact = Callable[[Float32, int], Hits]

# Scores of the same pair differ by so much between ways of summing.
_SLACK = 1e-5


def recall(found: Hits, truth: Hits) -> NDArray[np.float64]:
    """The share of the true k nearest that was found, for each query.

    A hit that is not among the true ones but scores as well as the last of them counts: labels
    that were always seen together have the same prototype, and any of them is right.

    Parameters
    ----------
    found, truth : Hits
        (n, k) each, of the same queries.

    Returns
    -------
    (n,) float64
        1 where there is nothing to find.
    """
    if found.ids.shape != truth.ids.shape:
        raise ValueError(f"hits of other shapes: {found.ids.shape} and {truth.ids.shape}")
    there = truth.ids != PAD
    wanted = there.sum(axis=1)
    none = float(np.finfo(np.float32).max)
    last = np.where(there, truth.scores, none).min(axis=1, initial=none)
    same = (found.ids[:, :, np.newaxis] == truth.ids[:, np.newaxis, :]).any(axis=2)
    as_good = found.scores >= (last - _SLACK * np.maximum(1.0, np.abs(last)))[:, np.newaxis]
    right = ((same | as_good) & (found.ids != PAD)).sum(axis=1)
    share: NDArray[np.float64] = np.where(wanted > 0, right / np.maximum(wanted, 1), 1.0)
    return np.minimum(share, 1.0)


class RecallSampler:
    """Compares every n-th query, on average, with the exact answer.

    The gaps are drawn, so that a stream with a period is sampled evenly. For one thread at a time.

    Parameters
    ----------
    every : int
        Queries for each one sampled, on average.
    k : int
        Neighbours compared.
    threshold : float
        Recall below which a rebuild is asked for.
    memory : int
        Samples that the mean remembers; no rebuild is asked for before there are so many.
    seed : int
        Seed of the gaps.

    Examples
    --------
    >>> sampler = RecallSampler(every=1, k=1, memory=1)
    >>> far = Hits(np.array([[1]]), np.array([[0.5]], np.float32))
    >>> best = Hits(np.array([[2]]), np.array([[0.9]], np.float32))
    >>> sampler.observe(np.ones((1, 2), np.float32), far, lambda queries, k: best)
    >>> sampler.value, sampler.wants_rebuild
    (0.0, True)
    """

    def __init__(
        self,
        *,
        every: int = 1_000,
        k: int = 10,
        threshold: float = 0.95,
        memory: int = 50,
        seed: int = 7,
    ) -> None:
        if every < 1 or k < 1 or memory < 1:
            raise ValueError("every, k and memory must be at least 1")
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, not {threshold}")
        self._every, self._k, self._threshold, self._memory = every, k, threshold, memory
        self._random = random.Random(seed)
        self._left = self._gap()
        self._mean = 1.0
        self._samples = 0

    @property
    def value(self) -> float:
        """The decayed mean recall, 0 to 1; 1 before the first sample."""
        return self._mean

    @property
    def samples(self) -> int:
        """Queries compared since the start or the last `reset`."""
        return self._samples

    @property
    def wants_rebuild(self) -> bool:
        """Whether recall has fallen below the threshold."""
        return self._samples >= self._memory and self._mean < self._threshold

    def observe(self, queries: Float32, found: Hits, exact: Exact) -> None:
        """Count queries (n, d) and compare those whose turn it is.

        Parameters
        ----------
        queries : (n, d) float32
            What was searched.
        found : Hits
            The index's answer, (n, k') with k' ≥ k.
        exact : callable
            `(queries, k) -> Hits`, called for the sampled queries only: an exact index over the
            same vectors, or `exact` of the index itself.
        """
        if found.ids.shape[0] != len(queries) or found.ids.shape[1] < self._k:
            raise ValueError(f"found must be ({len(queries)}, {self._k} or more)")
        turns = self.due(len(queries))
        if turns:
            cut = Hits(found.ids[turns, : self._k], found.scores[turns, : self._k])
            self.record(cut, exact(queries[turns], self._k))

    def due(self, count: int) -> list[int]:
        """Pass over `count` queries; which of them are to be compared."""
        turns = []
        at = self._left
        while at < count:
            turns.append(at)
            at += 1 + self._gap()
        self._left = at - count
        return turns

    def record(self, found: Hits, truth: Hits) -> None:
        """Take in the answers to the same queries, (n, k) each, the index's and the exact one."""
        for share in recall(found, truth).tolist():
            self._samples += 1
            self._mean += (share - self._mean) / min(self._samples, self._memory)

    def reset(self) -> None:
        """Forget what was measured, as after a rebuild; the draws go on."""
        self._mean = 1.0
        self._samples = 0

    def _gap(self) -> int:
        """Queries passed over: 0 to 2 · every - 2, so every - 1 on average."""
        return self._random.randrange(2 * self._every - 1)
