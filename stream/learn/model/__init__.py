"""The model: one learner for the size of the label space, partitions and drift beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stream.learn.model.core import CHUNK, Model
from stream.learn.model.frozen import Frozen, Near, nothing_near

if TYPE_CHECKING:
    from stream.learn.model.classifier import BraidClassifier

__all__ = ["CHUNK", "BraidClassifier", "Frozen", "Model", "Near", "nothing_near"]


def __getattr__(name: str) -> Any:
    """`BraidClassifier` on first use: it imports river, which the service does not need."""
    if name == "BraidClassifier":
        from stream.learn.model.classifier import BraidClassifier

        return BraidClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
