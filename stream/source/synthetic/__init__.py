"""Seeded streams with planted truth: one that always changes, one that drifts to plan, and one
of millions of labels."""

from __future__ import annotations

from stream.source.synthetic.drifting import Drift, Drifting, DriftingStream, Kind
from stream.source.synthetic.remixed import Event, Planted, SyntheticStream
from stream.source.synthetic.vast import Vast, VastStream
from stream.source.synthetic.words import label_name, word

__all__ = [
    "Drift",
    "Drifting",
    "DriftingStream",
    "Event",
    "Kind",
    "Planted",
    "SyntheticStream",
    "Vast",
    "VastStream",
    "label_name",
    "word",
]
