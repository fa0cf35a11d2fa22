"""What is known of labels while their prototypes are learnt.

A prototype sums up, at unit length, the decayed embeddings of the label's positives, the embedding
of its text and a free vector that is learnt alone. So the text weighs as a few events do, and
counts for less with every event that comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from stream.learn.encoder.recipe import Recipe

WINDOW = 200.0  # positives that a centroid remembers, as `indexes.prototypes` has it
_START = 0.1  # of AdaGrad's sums
_PARTS = ("sum", "weight", "free", "free_g", "text")
_TOGETHER = 1 << 16  # prototypes that are searched at once
_LEAST = 1e-6  # length of a prototype that can be handed on


class Labels:
    """Tables that double with the labels: each part, and the whole, takes 4 d bytes a label.

    Parameters
    ----------
    recipe
        Which parts there are.
    device
        Where they are kept.
    """

    def __init__(self, recipe: Recipe, device: Any) -> None:
        self.recipe, self.device = recipe, device
        d = recipe.dimension  # a part that is left out has no columns
        self.sum = torch.zeros(0, d, device=device)
        self.weight = torch.zeros(0, device=device)
        self.free = torch.zeros(0, d * recipe.free, device=device)
        self.free_g = torch.zeros(0, device=device)
        self.text = torch.zeros(0, d * recipe.text, device=device)
        self.unit = torch.zeros(0, d, device=device)
        self.known = torch.zeros(0, dtype=torch.int64, device=device)
        """(k,) labels that have a prototype, in the order in which they got it."""
        self.count = np.zeros(0, np.int64)
        self._known = np.zeros(0, np.bool_)

    def grow(self, total: int) -> None:
        """Make room for labels up to `total`."""
        have = len(self.count)
        if total <= have:
            return
        size = max(total, 2 * have, 1_024)
        for name in ("sum", "weight", "free", "free_g", "text", "unit"):
            old = getattr(self, name)
            fill = _START if name == "free_g" else 0.0
            new = torch.full((size, *old.shape[1:]), fill, device=self.device)
            new[:have] = old
            setattr(self, name, new)
        self.count = np.concatenate([self.count, np.zeros(size - have, np.int64)])
        self._known = np.concatenate([self._known, np.zeros(size - have, np.bool_)])

    def meet(self, labels: Any) -> None:
        """Let labels (n,) be found from now on."""
        fresh = np.unique(labels[~self._known[labels]]).astype(np.int64)
        self._known[fresh] = True
        self.known = torch.cat([self.known, torch.from_numpy(fresh).to(self.device)])

    def forget(self, label: int) -> None:
        """Let a retired label be found no more, and begin anew if it comes back."""
        if label >= len(self.count) or not self._known[label]:
            return
        self._known[label] = False
        self.count[label] = 0
        self.known = self.known[self.known != label]
        for part in (self.sum, self.weight, self.free, self.text, self.unit):
            part[label] = 0
        self.free_g[label] = _START

    def add(self, labels: Any, embedded: Any) -> None:
        """Move the centroids of labels (n,) towards an embedding each; some may repeat."""
        at, which, times = np.unique(labels, return_inverse=True, return_counts=True)
        self.count[at] += times
        self.meet(at)
        where = self._places(at)
        many = torch.from_numpy(times).to(self.device, torch.float32)
        weight = self.weight[where]
        taken = (WINDOW / many).clamp(max=1.0)  # more than the window holds count as that many
        kept = ((WINDOW - many).clamp(min=0) / weight.clamp(min=_LEAST)).clamp(max=1.0)
        moved = torch.zeros(len(at), embedded.shape[1], device=self.device)
        moved.index_add_(0, torch.from_numpy(which).to(self.device), embedded)
        self.sum[where] = self.sum[where] * kept[:, None] + moved * taken[:, None]
        self.weight[where] = weight * kept + many * taken

    def base(self, at: Any, free: Any = None, text: bool = True) -> Any:
        """Prototypes (n, d) before they are brought to unit length."""
        recipe = self.recipe
        made = self.sum[at] if recipe.centroid else torch.zeros_like(self.sum[at])
        if recipe.text and text:
            made = made + recipe.text_events * self.text[at]
        if recipe.free:
            made = made + (self.free[at] if free is None else free)
        return made

    def refresh(self, at: Any) -> None:
        """Make the prototypes of labels as they stand now."""
        self.unit[at] = normalize(self.base(at), dim=1)

    def nearest(self, embedded: Any, k: int) -> Any:
        """(n, k) labels whose prototypes are nearest; fewer where fewer are known."""
        best = embedded.new_zeros(len(embedded), 0)
        found = self.known.new_zeros(len(embedded), 0)
        for part in self.known.split(_TOGETHER):  # there is no room for all scores of millions
            scores, at = (embedded @ self.unit[part].T).topk(min(k, len(part)), 1)
            found = torch.cat([found, part[at]], 1)
            best, place = torch.cat([best, scores], 1).topk(min(k, found.shape[1]), 1)
            found = found.gather(1, place)
        return found

    def take(self, labels: Any, means: Any, weights: Any) -> None:
        """Go on from prototypes that `made` gave."""
        self.grow(int(labels.max(initial=-1)) + 1)
        self.meet(labels)
        at = self._places(labels)
        weight = torch.from_numpy(weights).to(self.device)
        self.sum[at] = torch.from_numpy(means).to(self.device) * weight[:, None]
        self.weight[at] = weight
        self.count[labels] = weights.astype(np.int64)
        self.refresh(at)

    def made(self) -> tuple[Any, Any, Any]:
        """Labels, means (n, d) float32 and what these weigh, to go on from in an index.

        Labels of which nothing is known are left out.
        """
        base = self.base(self.known)
        says = base.norm(dim=1) > _LEAST
        at, base = self.known[says], base[says]
        extra = self.recipe.free + self.recipe.text_events * (self.text[at].norm(dim=1) > 0)
        weight = (self.weight[at] + extra).clamp(1.0, WINDOW)
        return at.cpu().numpy(), (base / weight[:, None]).cpu().numpy(), weight.cpu().numpy()

    def parts(self) -> dict[str, Any]:
        """All that is known of labels, by name; copies."""
        at = self.known
        made = {name: getattr(self, name)[at].cpu().numpy() for name in _PARTS}
        known = at.cpu().numpy()
        return made | {"known": known, "count": self.count[known]}

    def load(self, parts: Mapping[str, Any]) -> None:
        """Begin with what `parts` gave."""
        known = parts["known"]
        self.grow(int(known.max(initial=-1)) + 1)
        self.meet(known)
        at = self._places(known)
        for name in _PARTS:
            getattr(self, name)[at] = torch.from_numpy(parts[name]).to(self.device)
        self.count[known] = parts["count"]
        self.known = at
        self.refresh(at)

    def _places(self, labels: Any) -> Any:
        return torch.from_numpy(labels).to(self.device, torch.int64)
