"""Prequential scores: counts while the stream goes by, figures when asked.

Micro- and macro-F1, subset accuracy and Hamming loss are taken over the chosen sets and all
labels of the stream; precision and nDCG at k over the ranking. PSP@k weighs each hit by the
inverse propensity of its label (Jain, Prabhu, Varma 2016, A = 0.55, B = 1.5), normalised by the
best ranking's, with the label frequencies of the whole stream. The expected calibration error
(Guo et al. 2017) is that of the first five scores of the later half of the events, in 20 bins of
equal width.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from stream.types import Prediction

_KS = (1, 3, 5)
_DEPTH = 5
_BINS = 20


class Tally:
    """Adds up predictions against truth.

    Parameters
    ----------
    labels
        Every label of the stream; macro-F1 and Hamming loss are over these.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._events = 0
        self._exact = 0
        self._true: Counter[str] = Counter()
        self._chosen: Counter[str] = Counter()
        self._both: Counter[str] = Counter()
        self._hits = dict.fromkeys(_KS, 0.0)
        self._gain = 0.0
        self._ranked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self._scores: list[tuple[float, ...]] = []

    def add(self, prediction: Prediction, truth: Sequence[str]) -> None:
        """Score one event."""
        true, chosen = set(truth), set(prediction.chosen)
        self._events += 1
        self._exact += true == chosen
        self._true.update(true)
        self._chosen.update(chosen)
        self._both.update(true & chosen)
        top = [scored.label for scored in prediction.top[:_DEPTH]]
        hit = [label in true for label in top]
        for k in _KS:
            self._hits[k] += sum(hit[:k]) / k
        best = sum(1 / math.log2(rank + 2) for rank in range(min(len(true), _DEPTH)))
        got = sum(1 / math.log2(rank + 2) for rank, one in enumerate(hit) if one)
        self._gain += got / best if best else 0.0
        self._ranked.append((tuple(top), tuple(true)))
        self._scores.append(tuple(scored.score for scored in prediction.top[:_DEPTH]))

    def brief(self) -> dict[str, float]:
        """What a progress line shows."""
        return {"micro_f1": self._micro(), "precision_at_1": self._hits[1] / max(self._events, 1)}

    def full(self) -> dict[str, Any]:
        """All figures."""
        n = max(self._events, 1)
        wrong = self._true.total() + self._chosen.total() - 2 * self._both.total()
        return {
            "micro_f1": self._micro(),
            "macro_f1": sum(map(self._f1, self._labels)) / max(len(self._labels), 1),
            "subset_accuracy": self._exact / n,
            "hamming_loss": wrong / (n * max(len(self._labels), 1)),
            **{f"precision_at_{k}": hits / n for k, hits in self._hits.items()},
            "ndcg_at_5": self._gain / n,
            **{f"psp_at_{k}": self._psp(k) for k in _KS},
            "calibration_error": self._calibration(),
        }

    def _micro(self) -> float:
        total = self._true.total() + self._chosen.total()
        return 2 * self._both.total() / total if total else 0.0

    def _f1(self, label: str) -> float:
        total = self._true[label] + self._chosen[label]
        return 2 * self._both[label] / total if total else 0.0

    def _psp(self, k: int) -> float:
        scale = (math.log(max(self._events, 2)) - 1) * 2.5**0.55
        weight = {
            label: 1 + scale * math.exp(-0.55 * math.log(count + 1.5))
            for label, count in self._true.items()
        }
        got, best = 0.0, 0.0
        for top, true in self._ranked:
            got += sum(weight[label] for label in top[:k] if label in true)
            best += sum(sorted((weight[label] for label in true), reverse=True)[:k])
        return got / best if best else 0.0

    def _calibration(self) -> float:
        """Mean distance of scores from how often they were right, over bins, by their share."""
        gap, n = [0.0] * _BINS, 0
        half = self._events // 2
        for scores, (top, true) in zip(self._scores[half:], self._ranked[half:], strict=True):
            for score, label in zip(scores, top, strict=True):
                gap[min(int(score * _BINS), _BINS - 1)] += score - (label in true)
                n += 1
        return sum(map(abs, gap)) / max(n, 1)
