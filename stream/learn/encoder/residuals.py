"""A linear map of dense rows beside a layer of rectified units, and its training.

The map begins as the identity, or as a random projection where the rows are wider than the
embedding, and the units without a say: again the fixed projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import normalize, relu

from stream.learn.encoder.encoders import Residual
from stream.learn.encoder.lessons import Inputs
from stream.learn.encoder.recipe import Recipe

_UNITS = 256
_START = 0.01
_SLOWER = 0.001  # each weight has a part in every event
_WEIGHTS = ("inside", "bias", "outside", "linear")
_NAMES = (*_WEIGHTS, *(f"{name}_squares" for name in _WEIGHTS))


class Residuals:
    """A network that is trained; see `stream.learn.encoder.bags.Bags` for what its calls do."""

    def __init__(self, recipe: Recipe, width: int, generator: torch.Generator, device: Any) -> None:
        self._rate, self._device = recipe.rate * _SLOWER, device
        d = min(recipe.dimension, width)
        linear = torch.eye(width)
        if d < width:
            linear = torch.randn(width, d, generator=generator)
            linear = torch.linalg.qr(linear)[0].T.contiguous()
        inside = torch.randn(_UNITS, width, generator=generator)
        made = (inside, torch.zeros(_UNITS), torch.zeros(d, _UNITS), linear)
        self._weights = [one.to(device) for one in made]
        self._squares = [torch.full_like(one, _START) for one in self._weights]
        self.dimension = d

    def embed(self, inputs: Inputs) -> Any:
        """Unit embeddings (n, d)."""
        return self._forward(inputs, self._weights)

    def open(self, inputs: Inputs) -> tuple[Any, list[Any]]:
        """Embeddings that can be differentiated, and what by."""
        own = [one.detach().requires_grad_() for one in self._weights]
        return self._forward(inputs, own), own

    def descend(self, own: list[Any], slopes: list[Any]) -> list[Any]:
        """Take a step against the slopes; where that led."""
        for at, slope in enumerate(slopes):
            self._squares[at] += slope * slope
            self._weights[at] = own[at].detach() - self._rate * slope / self._squares[at].sqrt()
        return self._weights

    def stir(self, factor: float) -> None:
        """Let the next steps be larger."""
        self._squares = [one * factor for one in self._squares]

    def begin_from(self, encoder: Any) -> bool:
        """Take over the weights of a `Residual` of these sizes; whether it was one."""
        if not isinstance(encoder, Residual):
            return False
        given = (encoder.inside, encoder.bias, encoder.outside, encoder.linear)
        if [one.shape for one in given] != [tuple(one.shape) for one in self._weights]:
            return False
        self._weights = [torch.from_numpy(one.copy()).to(self._device) for one in given]
        return True

    def frozen(self) -> Residual:
        """What it has learnt by now."""
        return Residual(*(one.cpu().numpy().copy() for one in self._weights))

    def state(self) -> dict[str, Any]:
        """Weights and AdaGrad sums, by name."""
        return dict(zip(_NAMES, (*self._weights, *self._squares), strict=True))

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Replace the state by one that `state` gave, as arrays."""
        made = [torch.tensor(arrays[name], device=self._device) for name in _NAMES]
        half = len(made) // 2
        self._weights, self._squares = made[:half], made[half:]

    def _forward(self, inputs: Inputs, weights: list[Any]) -> Any:
        x = torch.from_numpy(inputs.dense).to(self._device)
        inside, bias, outside, linear = weights
        made = normalize(x @ linear.T + relu(x @ inside.T + bias) @ outside.T, dim=1)
        return made * (x != 0).any(dim=1, keepdim=True)  # of nothing, nothing is made
