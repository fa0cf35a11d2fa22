"""The learnt vectors of features, and their training.

They begin as random signs, whose sum is a random projection, so that nothing is lost by
beginning. Only the vectors of a batch's features are touched, with one AdaGrad sum for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import embedding_bag, normalize

from stream.learn.encoder.encoders import Bag, quantised
from stream.learn.encoder.lessons import Inputs
from stream.learn.encoder.recipe import Recipe

_START = 0.1


class Bags:
    """A table of feature vectors that is trained.

    Parameters
    ----------
    recipe
        Size and rate.
    generator
        Draws the signs.
    device
        Where it is kept.
    """

    def __init__(self, recipe: Recipe, generator: torch.Generator, device: Any) -> None:
        self._rate, self._bits, self._device = recipe.rate, recipe.bits, device
        shape = 1 << recipe.bits, recipe.dimension
        signs = torch.randint(0, 2, shape, generator=generator, dtype=torch.int8)
        self.table = (signs.to(device, torch.float32) * 2 - 1) / recipe.dimension**0.5
        self.squares = torch.full((shape[0],), _START, device=device)

    def embed(self, inputs: Inputs) -> Any:
        """Unit embeddings (n, d) as the table stands now."""
        at, weight, starts = self._flat(inputs)
        made = embedding_bag(at, self.table, starts, mode="sum", per_sample_weights=weight)
        return normalize(made, dim=1)

    def open(self, inputs: Inputs) -> tuple[Any, list[Any]]:
        """Embeddings that can be differentiated, and what by."""
        at, weight, starts = self._flat(inputs)
        rows, place = torch.unique(at, return_inverse=True)
        own = self.table[rows].requires_grad_()
        made = embedding_bag(place, own, starts, mode="sum", per_sample_weights=weight)
        self._rows = rows
        return normalize(made, dim=1), [own]

    def descend(self, own: list[Any], slopes: list[Any]) -> list[Any]:
        """Take a step against the slopes of what `open` gave; where that led."""
        slope, rows = slopes[0], self._rows
        self.squares[rows] += (slope * slope).sum(1)
        step = self._rate * slope / self.squares[rows].sqrt()[:, None]
        moved = own[0].detach() - step
        self.table[rows] = moved
        return [moved]

    def stir(self, factor: float) -> None:
        """Let the next steps be larger, after a drift alarm."""
        self.squares *= factor

    def begin_from(self, encoder: Any) -> bool:
        """Take over the table of a `Bag` of this size; whether it was one."""
        if not isinstance(encoder, Bag) or encoder.table.shape != tuple(self.table.shape):
            return False
        table = encoder.table * encoder.scale[:, None]
        self.table = torch.from_numpy(table).to(self._device, torch.float32)
        return True

    def frozen(self) -> Bag:
        """What it has learnt by now."""
        return quantised(self.table.cpu().numpy())

    def state(self) -> dict[str, Any]:
        """Table and AdaGrad sums, by name."""
        return {"table": self.table, "squares": self.squares}

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `state` gave, as arrays."""
        self.table, self.squares = (
            torch.tensor(arrays[name], device=self._device) for name in ("table", "squares")
        )

    def _flat(self, inputs: Inputs) -> tuple[Any, Any, Any]:
        n = torch.from_numpy(inputs.n).to(self._device, torch.int64)
        slot = torch.from_numpy(inputs.slot).to(self._device, torch.int64)
        there = torch.arange(slot.shape[1], device=self._device)[None, :] < n[:, None]
        at = slot[there]
        at = (at ^ (at >> self._bits)) & ((1 << self._bits) - 1)
        weight = torch.from_numpy(inputs.weight).to(self._device)[there]
        return at, weight, torch.cumsum(n, 0) - n
