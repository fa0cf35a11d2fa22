"""Prototypes by a transformer layer, as PRIME has them, for the ablation of `bench_encoder.py`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize

from stream.learn.encoder.labels import Labels
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.trainer import Trainer

_HEADS, _RATE = 4, 1e-3


class Mixed(Labels):
    """Text, centroid and free vector as tokens of a layer, whose output is added to their sum.

    The last map begins as nothing, so that it begins as the sum.
    """

    def __init__(self, recipe: Recipe, device: Any) -> None:
        super().__init__(recipe, device)
        d = recipe.dimension
        self.layer = nn.TransformerEncoderLayer(
            d, _HEADS, d, dropout=0.0, batch_first=True, norm_first=True
        )
        self.kind = nn.Parameter(torch.randn(3, d) / d**0.5)
        self.out = nn.Linear(d, d)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.weights = [*self.layer.parameters(), self.kind, *self.out.parameters()]

    def base(self, at: Any, free: Any = None, text: bool = True) -> Any:
        """See `Labels`."""
        summed = super().base(at, free, text)
        said = self.text[at] if text else torch.zeros_like(self.text[at])
        own = self.free[at] if free is None else free
        tokens = torch.stack([normalize(self.sum[at], dim=1), said, own], 1)
        nothing = tokens.detach().norm(dim=2) == 0
        nothing[:, 2] = False  # a token that is always there
        made = self.layer(tokens + self.kind, src_key_padding_mask=nothing)
        there = (~nothing).float()[:, :, None]
        mean = (made * there).sum(1) / there.sum(1)
        return summed + summed.detach().norm(dim=1, keepdim=True) * self.out(mean)

    def refresh(self, at: Any) -> None:
        """See `Labels`."""
        with torch.no_grad():
            super().refresh(at)


class MixedTrainer(Trainer):
    """A trainer whose prototypes are made by a transformer layer."""

    def __init__(
        self, recipe: Recipe, seed: int, memory: int, width: int = 0, device: str = "cpu"
    ) -> None:
        super().__init__(recipe, seed, memory, width, device)
        torch.manual_seed(seed)
        self.labels: Mixed = Mixed(self.recipe, self.device)
        self._adam = torch.optim.Adam(self.labels.weights, _RATE)

    def _step(self, loss: Any, own: list[Any], candidates: Any, free: Any) -> None:
        weights = self.labels.weights
        slopes = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        super()._step(loss, own, candidates, free)
        for weight, slope in zip(weights, slopes, strict=True):
            weight.grad = slope
        self._adam.step()
