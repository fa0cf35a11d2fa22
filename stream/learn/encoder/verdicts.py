"""What comes of a challenger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream.learn.encoder.encoders import Encoder


@dataclass(frozen=True)
class Promoted:
    """A challenger that takes over, and the evidence.

    `labels` (n,) int64 slots have prototypes of `means` (n, d) float32, which weigh as `weights`
    (n,) float32 positives do. Those of `stale` (s,) int64 are of earlier states of the encoder.
    """

    encoder: Encoder
    labels: Any
    means: Any
    weights: Any
    stale: Any
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """A challenger that goes on training, as it is not better; or a new one, as it `diverged`."""

    diverged: bool
    evidence: dict[str, Any]
