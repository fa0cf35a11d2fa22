"""The encoder in use, as its challengers see it.

It does not learn, but its prototypes move with the stream as the index's do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from stream.learn.encoder.encoders import Bag, Encoder, Residual
from stream.learn.encoder.labels import Labels
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.recipe import Recipe
from stream.learn.extreme import bag


class Champion:
    """An encoder with centroids of labels.

    Parameters
    ----------
    encoder
        What embeds rows; of another kind than the learnt ones, and None, the fixed projection.
    recipe
        Of challengers; its dimension is the projection's of sparse rows.
    width
        Length of dense rows, 0 for sparse ones.
    device
        Where prototypes are kept.
    """

    def __init__(self, encoder: Encoder | None, recipe: Recipe, width: int, device: Any) -> None:
        self.encoder = encoder if isinstance(encoder, Bag | Residual) else None
        self._width, self._device = width, device
        self.dimension = width or recipe.dimension
        if self.encoder is not None:
            self.dimension = self.encoder.dimension
        size = self.dimension
        bare = replace(recipe, dimension=size, text=False, free=False, centroid=True)
        self.labels = Labels(bare, device)

    def embed(self, inputs: Inputs) -> Any:
        """Embeddings (n, d) of rows; a row that is no number lies nowhere."""
        if isinstance(self.encoder, Bag):
            made = self.encoder.of_weighed(inputs.slot, inputs.weight, inputs.n)
        elif self._width:
            dense = np.where(np.isfinite(inputs.dense).all(1, keepdims=True), inputs.dense, 0)
            made = dense if self.encoder is None else self.encoder.of_dense(dense)
        else:
            made = np.zeros((len(inputs.n), self.dimension), np.float32)
            bag.projected(inputs.slot, inputs.weight, inputs.n, made)
        made[~np.isfinite(made).all(axis=1)] = 0
        return torch.from_numpy(made).to(self._device)

    def learn(self, lessons: Lessons, embedded: Any) -> None:
        """Move the prototypes of a batch's labels."""
        if not len(lessons.labels):
            return
        self.labels.grow(int(lessons.labels.max()) + 1)
        row = np.repeat(np.arange(len(lessons)), np.diff(lessons.bounds))
        self.labels.add(lessons.labels, embedded[torch.from_numpy(row).to(self._device)])
        self._refresh(np.unique(lessons.labels))

    def describe(self, label: int, row: Inputs) -> None:
        """Let a text stand for a label that has nothing else yet, as one event of it."""
        self.labels.grow(label + 1)
        if self.labels.count[label]:
            return
        embedded = self.embed(row)
        if float(embedded.norm()) > 0:
            at = np.array([label])
            self.labels.add(at, embedded)
            self._refresh(at)

    def _refresh(self, labels: Any) -> None:
        self.labels.refresh(torch.from_numpy(labels).to(self._device, torch.int64))
