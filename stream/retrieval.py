"""Prototypes and their index beside the model: what is near a row, and how both keep up.

The prototypes are the truth, the index a cache of them. It is brought up to date every
`index.sync_events` learnt events, counted over the model's life; a label's first prototype is
searchable at once. `auto` picks the kind anew as the label space grows. A GPU that is missing or
fails is warned of once; an index on the CPU, filled from the prototypes, takes over for good.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np

from indexes import factory
from indexes.base import FrozenIndex, LabelIndex
from indexes.extras import DeviceLost, DeviceMissing, ExtraNeeded
from indexes.prototypes import Prototypes
from stream.asking import near, terms, there
from stream.config import Index
from stream.errors import MissingExtra
from stream.features import Rows
from stream.labels import Labels
from stream.learn.encoder.encoders import Encoder
from stream.learn.encoder.plugged import Plugged
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.model import Near
from stream.types import Float32, Int64

_log = logging.getLogger(__name__)

# A prototype goes to the index once its cosine with what is there may have fallen by so much. On
# tibkat that saves 9 % of the upserts for 0.008 of recall@10; 0.005 would save 16 % for 0.020.
_LEAST_MOVE = 0.002
_DISCOUNT = 0.25  # what an alarm leaves of a prototype's weight


def require(settings: Index) -> None:
    """See at the start that the index can be made which the stream may come to need.

    Raises
    ------
    MissingExtra
        Its package is not installed; the message names the extra.
    """
    if settings.kind != "flat":
        kind = "faiss_cpu" if settings.kind == "auto" else settings.kind
        with suppress(DeviceMissing, DeviceLost):  # then the CPU does
            _make(kind, settings.dimension, settings.background).close()


def _make(kind: str, dimension: int, background: bool) -> LabelIndex:
    try:
        return factory.make(kind, dimension, background=background)
    except ExtraNeeded as error:
        raise MissingExtra(
            f"the {kind} index (index.kind=flat does without it)", error.extra
        ) from error


class FrozenRetrieval:
    """A prototype index as it was at one moment, with its encoder; see `Retrieval`."""

    def __init__(self, settings: Index, index: FrozenIndex, encoder: Encoder) -> None:
        self.asking = terms(settings, encoder.kind)
        self.index = index
        self.encoder = encoder

    def embed(self, learner: ExtremeLearner, rows: Rows) -> Float32:
        """Rows in the space of these prototypes."""
        return self.encoder.embed(learner, rows)

    def near(self, embedded: Float32, labels: Labels) -> Near | None:
        """The nearest prototypes of embedded rows; None when there are none."""
        return near(self.index, embedded, labels, self.asking)


class Retrieval:
    """The prototype index of an extreme label space.

    Parameters
    ----------
    settings
        See `stream.config.Index`.
    encoder
        What carries rows into the space of the prototypes.
    number
        Of the generation.

    Notes
    -----
    Encoder, prototypes and index are of one generation and change together.
    """

    def __init__(self, settings: Index, encoder: Encoder, number: int = 0) -> None:
        self.settings = settings
        self.encoder, self.number = encoder, number
        self.asking = terms(settings, encoder.kind)
        dimension = encoder.dimension
        self.prototypes = Prototypes(
            dimension, capacity_bytes=settings.prototype_bytes, least_move=_LEAST_MOVE
        )
        self._failure: Exception | None = None  # of the device, which is not used after that
        self._choice = self._choose()
        self.index = self._filled()
        self._since = 0

    @property
    def reason(self) -> str:
        """Why this kind of index, in a sentence."""
        return self._choice.reason

    @property
    def evicted(self) -> int:
        """Prototypes that gave way for lack of room."""
        return self.prototypes.evicted

    def embed(self, learner: ExtremeLearner, rows: Rows) -> Float32:
        """Rows in the space of the prototypes."""
        return self.encoder.embed(learner, rows)

    def near(self, embedded: Float32, labels: Labels) -> Near | None:
        """The nearest prototypes of embedded rows; None when there are none."""
        try:
            return near(self.index, embedded, labels, self.asking)
        except DeviceLost as error:  # the learner, which owns the prototypes, puts it right
            self._give_up(error)
            return None

    def frozen(self) -> FrozenRetrieval:
        """What can be found now, whatever changes later."""
        return FrozenRetrieval(self.settings, self.index.frozen(), self.encoder)

    def learn(self, ids: Sequence[Sequence[int]], embedded: Float32) -> None:
        """Move the prototypes of each row's labels towards it; then sync when it is time."""
        if self.encoder.kind == Plugged.kind:
            ids = [row if fine else () for row, fine in zip(ids, there(embedded), strict=True)]
        flat = np.array([identity for row in ids for identity in row], np.int64)
        if len(flat):
            fresh = np.unique(flat[self.prototypes.weights(flat) == 0])
            self.prototypes.learn(flat, np.repeat(embedded, [len(row) for row in ids], axis=0))
            fresh = fresh[self.prototypes.weights(fresh) > 0]  # not evicted again
            if len(fresh):
                self._change(fresh, self.prototypes.vectors(fresh))
                self.prototypes.drained(fresh)
        before = self._since
        self._since += len(ids)
        if before // self.settings.sync_events != self._since // self.settings.sync_events:
            self.sync()

    def describe(self, ids: Sequence[int], embedded: Float32) -> None:
        """Let descriptions (n, d) stand for labels; each counts as one of the label's events."""
        fine = there(embedded)
        if fine.any():
            self.prototypes.learn(np.array(ids, np.int64)[fine], embedded[fine])
            self.sync()

    def retire(self, identity: int) -> None:
        """Take a label out of the index at once."""
        self.prototypes.retire(np.array([identity], np.int64))
        self.sync()

    def discount(self, ids: Any) -> None:
        """After a drift alarm: let new events move these prototypes more."""
        self.prototypes.discount(ids, _DISCOUNT)

    def sync(self) -> None:
        """Bring the index up to date; change its kind where the size asks for another."""
        choice = self._choose()
        shrunk = choice.kind == "flat" != self._choice.kind
        if shrunk and 2 * len(self.prototypes) > self.settings.flat_limit:
            choice = self._choice  # not to and fro about the limit
        kind, self._choice = self._choice.kind, choice
        if choice.kind != kind:
            self._replace()
        ids, vectors, removed = self.prototypes.drain_dirty()
        self._change(ids, vectors, removed)

    def _change(self, ids: Int64, vectors: Float32, removed: Int64 | None = None) -> None:
        """Bring changes to the index, or the whole of the prototypes where the device is lost."""
        if self._choice.kind == "faiss_gpu" and self._failure is not None:  # met by a search
            self._replace()
            return
        try:
            if removed is not None and len(removed):
                self.index.remove(removed)
            if len(ids):
                self.index.upsert(ids, vectors)
        except DeviceLost as error:
            self._give_up(error)
            self._replace()

    def _give_up(self, error: Exception) -> None:
        """Use no device any more; said once."""
        if self._failure is None:
            self._failure = error
            _log.warning("%s; label prototypes are searched on the CPU from now on", error)

    def _choose(self) -> factory.Choice:
        settings, lost = self.settings, self._failure is not None
        choice = factory.choose(
            "auto" if lost else settings.kind, len(self.prototypes), self.prototypes.dimension,
            settings.flat_limit, False if lost else None,
        )  # fmt: skip
        return choice._replace(reason=f"{choice.reason} ({self._failure}.)") if lost else choice

    def _filled(self, at_once: bool = False) -> LabelIndex:
        """An index of the kind that was chosen, with all prototypes; on the CPU if need be.

        A large one is searched slowly until it is built: beside the caller, or `at_once`.
        """
        try:
            made = _make(self._choice.kind, self.prototypes.dimension, self.settings.background)
            try:
                with getattr(made, "filling", nullcontext)() if at_once else nullcontext():
                    self._fill(made)
            except DeviceLost:
                made.close()
                raise
        except (DeviceMissing, DeviceLost) as error:
            self._give_up(error)
            self._choice = self._choose()
            return self._filled(at_once)
        return made

    def _replace(self) -> None:
        if self._failure is not None:
            self._choice = self._choose()
        made, old = self._filled(), self.index
        self.index = made  # whole before anyone sees it
        old.close()

    def start_from(self, ids: Int64, means: Float32, weights: Float32) -> None:
        """Take prototypes (n, d) that weigh as so many positives, and index them; to begin with.

        Takes as long as building the index does.
        """
        self.prototypes.learn(ids, means)
        state = self.prototypes.snapshot()
        order = self.prototypes.ids
        place = {int(identity): at for at, identity in enumerate(ids.tolist())}
        state["weights"] = weights[[place[one] for one in order.tolist()]].astype(np.float32)
        self.prototypes.restore(state)
        self._choice = self._choose()
        self.index.close()
        self.index = self._filled(at_once=True)
        self.prototypes.drain_dirty()

    def arrays(self) -> dict[str, Any]:
        """The state by name."""
        return dict(self.parts())

    def parts(self, copied: bool = True) -> Iterator[tuple[str, Any]]:
        """The state by name, piece by piece; copies, or what changes with the next call.

        An index on a device is left out: it is quickly filled anew, and a forked child, which
        may be the one to ask, must not touch the device.
        """
        yield "retrieval.since", np.array([self._since])
        for name, part in self.prototypes.snapshot(copied=copied).items():
            yield f"prototypes.{name}", part
        if self.index.kind != "faiss_gpu":
            for name, part in self.index.snapshot().items():
                yield f"index.{name}", part

    def load(self, arrays: dict[str, Any], kind: str) -> None:
        """Replace the state by one that `arrays` gave; another kind of index is filled anew."""
        self._since = int(arrays["retrieval.since"][0])
        self.prototypes.restore(_under(arrays, "prototypes."))
        self._choice = self._choose()
        self.index.close()
        kept = _under(arrays, "index.")
        if kind == self._choice.kind != "faiss_gpu" and kept:
            self.index = _make(kind, self.prototypes.dimension, self.settings.background)
            self.index.restore(kept)
        else:
            self.index = self._filled()

    def _fill(self, index: LabelIndex) -> None:
        every = self.prototypes.ids
        for part in np.array_split(every, max(1, len(every) // 10_000)):
            if len(part):
                index.upsert(part, self.prototypes.vectors(part))


def _under(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): part for name, part in arrays.items() if name.startswith(prefix)
    }
