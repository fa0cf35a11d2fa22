"""Which texts the pipeline asks a plugged encoder for, and when.

The events of a micro-batch are asked for together: those that are predicted, then those that are
learnt. Descriptions of labels, of which thousands may come at once, wait their turn, some with each
micro-batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from stream import config
from stream.encoders import Guard, guarded
from stream.features import AnyRow
from stream.labels import LabelSpace
from stream.learn.encoder.encoders import Encoder
from stream.learn.encoder.plugged import Plugged
from stream.retrieval import FrozenRetrieval, Retrieval
from stream.types import Example, Float32

log = logging.getLogger(__name__)

_TOGETHER = 16  # descriptions embedded with a micro-batch


class Plug:
    """A plugged encoder's place in the pipeline.

    Parameters
    ----------
    guard
        The encoder.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.encoder = Plugged(guard.name, guard.model, guard.dimension)
        """What prototypes are learnt with, while it is not cut off."""
        self._waiting: dict[int, None] = {}  # slots of labels, in order
        self._resumed = False

    def beside(self, rows: Sequence[AnyRow], examples: Sequence[Example]) -> list[AnyRow]:
        """The rows of examples with what the encoder makes of their texts."""
        found = vectors(self.guard, examples)
        return [
            (*row[:4], vector) if isinstance(row, tuple) else row
            for row, vector in zip(rows, found, strict=True)
        ]

    def wait(self, slots: Iterable[int]) -> None:
        """Take up labels whose descriptions are to be embedded."""
        self._waiting |= dict.fromkeys(slots)

    def describe(self, retrieval: Retrieval, labels: LabelSpace) -> None:
        """Let some descriptions that waited stand for their labels; what fails is passed over."""
        if self._resumed:
            self._resumed = False
            slots = list(labels.descriptions)
            weights = retrieval.prototypes.weights(labels.ids_of(slots))
            self.wait([slots[at] for at in np.flatnonzero(weights == 0).tolist()])
        turn = [slot for slot, _ in zip(self._waiting, range(_TOGETHER), strict=False)]
        for slot in turn:
            del self._waiting[slot]
        slots = [slot for slot in turn if slot in labels.descriptions]  # the others are retired
        if slots:
            found = self.guard.embed([labels.descriptions[slot] for slot in slots])
            retrieval.describe(labels.ids_of(slots).tolist(), found)

    def resume(self) -> None:
        """Expect descriptions that a snapshot does not tell were waiting."""
        self._resumed = True


def is_plugged(retrieval: Retrieval | FrozenRetrieval | None) -> bool:
    """Whether an index is of a plugged encoder."""
    return retrieval is not None and isinstance(retrieval.encoder, Plugged)


def usable(plug: Plug | None, width: int) -> Plug | None:
    """The plugged encoder where it works and rows have no fixed width, that is, are not vectors."""
    return None if plug is None or plug.guard.cut_off or width else plug


def goes_on(encoder: Encoder, plug: Plug | None) -> bool:
    """Whether prototypes of a snapshot can be gone on with: they share no space with others'."""
    was = (encoder.name, encoder.model) if isinstance(encoder, Plugged) else None
    now = None if plug is None else (plug.encoder.name, plug.encoder.model)
    if was != now or (plug is not None and encoder.dimension != plug.encoder.dimension):
        log.warning(
            "prototypes begin anew: those of the snapshot are of the encoder %s, now it is %s",
            was or "built in", now or "built in",
        )  # fmt: skip
        return False
    if plug is not None:
        plug.resume()
    return True


def plug(settings: config.Encoder) -> Plug | None:
    """The plugged encoder that the settings name, if any."""
    guard = guarded(settings)
    return None if guard is None else Plug(guard)


def vectors(guard: Guard, examples: Sequence[Example]) -> Float32:
    """Unit vectors (n, d) of the texts of examples, NaN for those without a text or a vector."""
    out = np.full((len(examples), guard.dimension), np.nan, np.float32)
    texts = [(at, one.text) for at, one in enumerate(examples) if one.text is not None]
    if texts:
        out[[at for at, _ in texts]] = guard.embed([text for _, text in texts])
    return out
