"""Floors of accuracy on real streams, in the one default configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream.config import load
from stream.evaluate import Task, score_all

pytestmark = pytest.mark.data

# Measured, less a margin for other processors' rounding; micro-F1 of the whole stream.
FLOORS = {
    "flags": 0.70,
    "emotions": 0.65,
    "birds": 0.41,
    "water_quality": 0.62,
    "yeast": 0.65,
    "scene": 0.93,
    "enron": 0.57,
    "medical": 0.69,
    "stackex_chess": 0.34,
}


def _final(task: Task) -> dict[str, Any]:
    return list(score_all(task, load(environ={})))[-1]


@pytest.mark.parametrize("name", FLOORS)
def test_small_streams(data: Path, name: str) -> None:
    assert _final(Task(data / name))["micro_f1"] > FLOORS[name]


def test_long_streams_in_part(data: Path) -> None:
    for name, floor in {"bibtex": 0.38, "20ng": 0.70, "tmc2007_500": 0.66}.items():
        assert _final(Task(data / name, limit=4_000))["micro_f1"] > floor


@pytest.mark.parametrize(
    ("text", "names", "floor"), [(False, None, 0.19), (True, None, 0.21), (True, "all", 0.38)]
)
def test_extreme_stream(data: Path, text: bool, names: Any, floor: float) -> None:
    """The first 6,000 records of tibkat; label names help a lot."""
    assert _final(Task(data / "tibkat", 6_000, text, names))["precision_at_1"] > floor
