"""Published figures of other algorithms, and where ours stand among them."""

from __future__ import annotations

import csv
from pathlib import Path

# metric of the published table and objective that aims at it
METRICS = {
    "micro_f1": "micro_f1",
    "macro_f1": "macro_f1",
    "subset_accuracy": "subset",
    "hamming_loss": "hamming",
}
Figures = dict[tuple[str, str], dict[str, float]]


def read(file: Path) -> Figures:
    """Figures by stream and metric, then by algorithm; nothing where the file is missing."""
    found: Figures = {}
    if not file.exists():
        return found
    with file.open() as lines:
        for row in csv.DictReader(lines):
            cell = found.setdefault((row["dataset"], row["metric"]), {})
            cell[row["algorithm"]] = float(row["value"])
    return found


def standing(metric: str, ours: float, others: dict[str, float]) -> dict[str, object]:
    """Best of the others, iHOMER, MLHAT, and our rank among all."""
    if not others:
        return {"ours": ours}
    sign = -1 if metric == "hamming_loss" else 1
    best = max(others, key=lambda name: sign * others[name])
    return {
        "ours": ours,
        "best": others[best],
        "best_name": best,
        "ihomer": others.get("iHOMER"),
        "mlhat": others.get("MLHAT"),
        "rank": 1 + sum(sign * value >= sign * ours for value in others.values()),
        "of": len(others) + 1,
    }
