"""Which labels are chosen: thresholds tuned online to the objective.

At the threshold that is best for F1 it is half of the best F1 (Lipton, Elkan, Naryanaswamy 2014);
so the F1 that the decisions have reached gives the next threshold, shrunk while little is known.
"""

from __future__ import annotations

from typing import Any

from stream.jit import kernel

MICRO, MACRO, HAMMING, SUBSET = range(4)
CODES = {"micro_f1": MICRO, "macro_f1": MACRO, "hamming": HAMMING, "subset": SUBSET}

# rows of the counts of decisions
TP, FP, FN = 0, 1, 2


@kernel
def threshold(counts: Any) -> float:
    """Half the micro-F1 reached, from (3,) counts; 0.35 while little is known."""
    tp, fp, fn = counts[TP], counts[FP], counts[FN]
    return 0.5 * (2 * tp + 28) / (2 * tp + fp + fn + 40)


@kernel
def label_threshold(counts: Any, shared: float) -> float:
    """Half the F1 reached by a label, from its (3,) counts, shrunk to the `shared` threshold."""
    tp, fp, fn = counts[TP], counts[FP], counts[FN]
    return 0.5 * (2 * tp + 10 * shared) / (2 * tp + fp + fn + 5)


@kernel
def bar(objective: int, counts: Any, own: Any) -> float:
    """The probability above which a label is chosen; `own` (3,) are the label's counts."""
    if objective == MICRO:
        return threshold(counts)
    if objective == MACRO:
        return label_threshold(own, threshold(counts))
    return 0.5


@kernel
def tell(counts: Any, chosen: bool, true: bool) -> None:
    """Count a decision."""
    if chosen:
        counts[TP if true else FP] += 1
    elif true:
        counts[FN] += 1
