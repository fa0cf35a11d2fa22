"""What is made small: a positive's prototype is to be nearer than every negative's."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn.functional import relu, softplus

from stream.learn.encoder.recipe import Recipe

_NEAREST = 20  # negatives of a triplet
_NEVER = -9.0  # the score of what is no negative


class Pairs(NamedTuple):
    """Pairs of an event and one of its labels.

    Parameters
    ----------
    row, column
        (pairs,) int64 the event, and the label's place among the candidates.
    cosine
        (pairs,) of the event and the label's prototype.
    """

    row: Any
    column: Any
    cosine: Any


def losses(recipe: Recipe, scores: Any, pairs: Pairs, prototypes: Any) -> Any:
    """The loss of each pair, (pairs,).

    Softmax: the log loss of the positive against the negatives, cosines over the temperature.
    Triplet: by how much the nearest negatives are not below the positive by the margin, the mean
    of those that are not (Dahiya et al., NAACL 2025, whose margin is dynamic too).

    Parameters
    ----------
    scores
        (n, candidates) cosines.
    prototypes
        (candidates, d), of length 1.
    """
    own = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    own[pairs.row, pairs.column] = True
    scores = scores.masked_fill(own, _NEVER)
    if recipe.loss == "triplet":
        nearest, which = scores.topk(min(_NEAREST, scores.shape[1]), 1)
        which = which[pairs.row]
        near = (prototypes[pairs.column][:, None] * prototypes[which]).sum(-1)
        over = relu(nearest[pairs.row] - pairs.cosine[:, None] + _margin(recipe, near))
        found: Any = over.sum(1) / (over > 0).sum(1).clamp(min=1)
        return found
    against = scores[pairs.row]
    if recipe.margin:
        against = against + _margin(recipe, prototypes[pairs.column] @ prototypes.T)
    summed = torch.logsumexp(against / recipe.temperature, 1)
    return softplus(summed - pairs.cosine / recipe.temperature)


def _margin(recipe: Recipe, near: Any) -> Any:
    """The margin of pairs of labels whose prototypes have these cosines."""
    return recipe.margin * (torch.ones_like(near) if recipe.fixed_margin else 1 - near.detach())
