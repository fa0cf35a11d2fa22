"""Thresholds follow the F1 that was reached; each objective aims at its own figure."""

from __future__ import annotations

import numpy as np
import pytest

from stream import features
from stream.config import Learn
from stream.learn import decide
from stream.learn.model import Model
from stream.scores import Tally
from stream.types import Prediction, Scored


def test_threshold_starts_at_a_third_and_tends_to_half_the_f1() -> None:
    assert decide.threshold(np.zeros(3)) == pytest.approx(0.35)
    many = np.array([6e5, 2e5, 4e5])
    f1 = 2 * many[0] / (2 * many[0] + many[1] + many[2])
    assert decide.threshold(many) == pytest.approx(f1 / 2, abs=1e-4)


def test_a_labels_threshold_starts_at_the_shared_one() -> None:
    assert decide.label_threshold(np.zeros(3), 0.3) == pytest.approx(0.3)
    assert decide.label_threshold(np.array([9e5, 1e4, 1e4]), 0.3) == pytest.approx(0.4945, abs=1e-3)


def test_decisions_are_counted_where_they_fall() -> None:
    counts = np.zeros(3)
    for chosen, true in ((True, True), (True, False), (False, True), (False, False)):
        decide.tell(counts, chosen, true)
    assert counts.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("objective", "bar"),
    [("micro_f1", 0.35), ("macro_f1", 0.35), ("hamming", 0.5), ("subset", 0.5)],
)
def test_bars_before_anything_is_known(objective: str, bar: float) -> None:
    nothing = np.zeros(3)
    assert decide.bar(decide.CODES[objective], nothing, nothing) == pytest.approx(bar)


def _stream(n: int) -> tuple[list[features.AnyRow], list[tuple[str, ...]]]:
    """Two frequent labels that exclude each other on noisy words, a rare one, and one beside."""
    rng = np.random.default_rng(5)
    rows, labels = [], []
    for _ in range(n):
        first = rng.random() < 0.5
        seen = first if rng.random() < 0.6 else not first
        names = ["left" if first else "right"]
        words = ["cold" if seen else "warm"]
        if rng.random() < 0.08:
            names.append("rare")
            words.append("odd" if rng.random() < 0.5 else "even")
        rows.append(features.of_text(" ".join(words)))
        labels.append(tuple(names))
    return rows, labels


def _score(objective: str) -> dict[str, float]:
    model = Model(Learn(objective=objective), 8)
    tally = Tally(["left", "right", "rare"])
    rows, labels = _stream(1_500)
    for at, (row, truth) in enumerate(zip(rows, labels, strict=True)):
        one = features.batch([row])
        scores = model.predict(one)
        names = model.labels.names
        chosen = tuple(names[slot] for slot in scores.slots[0][scores.chosen[0]])
        top = tuple(Scored(names[slot], 0.0) for slot in scores.slots[0])
        if at >= 300:
            tally.add(Prediction(str(at), top, chosen, at), truth)
        model.learn(one, [truth])
    return tally.full()


def test_each_objective_is_best_at_its_own_figure() -> None:
    runs = {objective: _score(objective) for objective in decide.CODES}
    for objective, figure, sign in (
        ("micro_f1", "micro_f1", 1),
        ("macro_f1", "macro_f1", 1),
        ("subset", "subset_accuracy", 1),
        ("hamming", "hamming_loss", -1),
    ):
        own = sign * runs[objective][figure]
        assert all(own >= sign * run[figure] - 0.01 for run in runs.values()), objective
    # The two frequent labels exclude each other: only one of them is in the likeliest set.
    assert runs["subset"]["subset_accuracy"] > runs["micro_f1"]["subset_accuracy"] + 0.05
