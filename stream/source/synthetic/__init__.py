"""Seeded streams with planted truth: one that always changes, and one that drifts to plan."""

from __future__ import annotations

from stream.source.synthetic.drifting import Drift, Drifting, DriftingStream, Kind
from stream.source.synthetic.remixed import Event, Planted, SyntheticStream
from stream.source.synthetic.words import label_name, word

__all__ = [
    "Drift",
    "Drifting",
    "DriftingStream",
    "Event",
    "Kind",
    "Planted",
    "SyntheticStream",
    "label_name",
    "word",
]
