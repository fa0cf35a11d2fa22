"""What carries an event into the space in which label prototypes are searched.

An encoder never changes: what is learnt becomes another one, with the next generation's number.
Generation 0 is the fixed projection of `stream.learn.extreme.embedding`. The learner says how much
a row's features weigh by now; the rest is the encoder's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from stream.features import Rows
from stream.learn.encoder.plugged import Plugged
from stream.learn.extreme import bag
from stream.learn.extreme.learner import ExtremeLearner
from stream.types import Float32


class Encoder(Protocol):
    """What every encoder is."""

    kind: ClassVar[str]
    dimension: int

    def embed(self, learner: ExtremeLearner, rows: Rows) -> Float32:
        """Embeddings (n, dimension) float32 of rows, of length 1, or 0 where nothing is known."""
        ...

    def arrays(self) -> dict[str, Any]:
        """What it consists of, by name, not copied."""
        ...


class Projection:
    """The fixed projection: generation 0, and what there is to fall back on."""

    kind: ClassVar[str] = "projection"

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def embed(self, learner: ExtremeLearner, rows: Rows) -> Float32:
        """See `Encoder`."""
        return learner.embed(rows)

    def arrays(self) -> dict[str, Any]:
        """Nothing is kept of it."""
        return {}


class Bag:
    """The sum of learnt vectors of a row's features; see `stream.learn.encoder.bags`.

    Parameters
    ----------
    table
        (rows, d) int8, rows a power of two; features share them.
    scale
        (rows,) float32, by which a row's numbers are multiplied.
    """

    kind: ClassVar[str] = "bag"

    def __init__(self, table: Any, scale: Any) -> None:
        self.table, self.scale = table, scale
        self.dimension = int(table.shape[1])

    def embed(self, learner: ExtremeLearner, rows: Rows) -> Float32:
        """See `Encoder`."""
        return self.of_weighed(*learner.weighed(rows))

    def of_weighed(self, slot: Any, weight: Any, n: Any) -> Float32:
        """The embeddings of rows that were weighed before; see `ExtremeLearner.weighed`."""
        out = np.zeros((len(n), self.dimension), np.float32)
        bag.embed(slot, weight, n, self.table, self.scale, out)
        return out

    def arrays(self) -> dict[str, Any]:
        """Table and scale."""
        return {"table": self.table, "scale": self.scale}


class Residual:
    """A dense row and what a learnt layer of rectified units adds to it.

    Parameters
    ----------
    inside
        (units, width) float32.
    bias
        (units,) float32.
    outside
        (d, units) float32.
    linear
        (d, width) float32.
    """

    kind: ClassVar[str] = "residual"

    def __init__(self, inside: Any, bias: Any, outside: Any, linear: Any) -> None:
        self.inside, self.bias, self.outside, self.linear = inside, bias, outside, linear
        self.dimension = len(linear)

    def embed(self, learner: ExtremeLearner, rows: Rows) -> Float32:
        """See `Encoder`."""
        return self.of_dense(learner.embed(rows))

    def of_dense(self, x: Any) -> Float32:
        """The embeddings of unit rows (n, width)."""
        hidden = np.maximum(x @ self.inside.T + self.bias, 0)
        made: Any = x @ self.linear.T + hidden @ self.outside.T
        norm = np.linalg.norm(made, axis=1, keepdims=True)
        known = (norm > 0) & x.any(axis=1, keepdims=True)
        out: Float32 = np.where(known, made / np.maximum(norm, 1e-12), 0).astype(np.float32)
        return out

    def arrays(self) -> dict[str, Any]:
        """Its weights."""
        return {
            "inside": self.inside, "bias": self.bias, "outside": self.outside,
            "linear": self.linear,
        }  # fmt: skip


LEARNT = frozenset({Bag.kind, Residual.kind})
"""Kinds that are trained on a softmax over cosines."""


def quantised(table: Any) -> Bag:
    """A bag of a table (rows, d) float32, its numbers kept in a byte each."""
    scale = np.abs(table).max(axis=1) / 127
    safe = np.where(scale > 0, scale, 1)
    return Bag(np.rint(table / safe[:, None]).astype(np.int8), scale.astype(np.float32))


def revived(kind: str, dimension: int, arrays: Mapping[str, Any]) -> Encoder:
    """An encoder from its kind and arrays.

    Raises
    ------
    ValueError
        There is no such kind.
    """
    if kind == Projection.kind:
        return Projection(dimension)
    if kind == Bag.kind:
        return Bag(arrays["table"], arrays["scale"])
    if kind == Residual.kind:
        return Residual(*(arrays[name] for name in ("inside", "bias", "outside", "linear")))
    if kind == Plugged.kind:
        return Plugged.revived(dimension, arrays)
    raise ValueError(f"there is no encoder of kind {kind!r}")
