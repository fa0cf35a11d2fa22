"""Immutable views of the model for the endpoint, made by the pipeline's thread.

A view holds copies of the learner's arrays and a frozen state of the prototype index, and answers
from those alone. Names of labels are shared, since they are only ever appended. An index on a GPU
is shared too, and answers from its newest state: ids that a view does not know are left out.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stream import generations
from stream.asking import pays
from stream.clock import Clock
from stream.encoders import Guard
from stream.errors import Conflict, InvalidRecord, NotReady
from stream.features import Featurizer, Rows, batch
from stream.learn.encoder.plugged import Plugged
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.model import Frozen, Near, nothing_near
from stream.learn.partitions.links import Links, links
from stream.learn.ranking import only
from stream.metrics import Metrics
from stream.pipeline import Pipeline, prediction
from stream.plugged import vectors
from stream.retrieval import FrozenRetrieval, Retrieval
from stream.serve.hierarchy import Hierarchy
from stream.serve.view import Exemplar, Explanation, LabelInfo, PartitionInfo, Reasons, TreeNode
from stream.types import DriftEvent, Example, Prediction

_HISTORY = 1_000
_ORDERS = 8  # that wait at most
_SHARE = 0.1  # of the pipeline's time that making views may take
_LONGEST_S = 0.75  # between views; a new label is to be seen within a second
_SHOWN = 20
_EXEMPLARS = 5
_LINKED_S = 5.0  # between looks at how partitions are linked
_LINKED_SHARE = 0.01  # of the pipeline's time that they may take


class ModelView:
    """One state of the model; see `stream.serve.view.View`."""

    def __init__(
        self, featurizer: dict[str, Any], retrieval: Retrieval | FrozenRetrieval | None,
        frozen: Frozen,
        history: Callable[[], Sequence[DriftEvent]], lag: Callable[[], int],
        index: dict[str, Any], made: Mapping[str, Any], hierarchy: Hierarchy,
        lock: threading.Lock | None = None, guard: Guard | None = None,
    ) -> None:  # fmt: skip
        self._frozen = frozen
        self._featurizer = Featurizer()
        self._featurizer.load(featurizer)
        self._retrieval = retrieval
        self._history = history
        self._lag = lag
        self._index = index
        self._generations = made
        self._hierarchy = hierarchy
        self._lock = threading.Lock() if lock is None else lock
        self._guard = guard  # of the plugged encoder, if there is one

    @property
    def position(self) -> int:
        """Labelled events learnt when the view was made."""
        return self._frozen.position

    @property
    def dense(self) -> bool:
        """Whether events are vectors."""
        return bool(self._featurizer.length)

    def predict(
        self, examples: Sequence[Example], k: int, among: Sequence[str] = ()
    ) -> list[Prediction]:
        """Tag each example with its k likeliest labels, `among` known ones where given."""
        rows = self._rows(examples)
        if rows is None:
            return [Prediction(one.id, (), (), self.position) for one in examples]
        slots = self._slots(among)
        with self._lock:  # the frozen learner has one scratch
            scores = self._frozen.predict(rows, self._near(rows, slots))
        if among:
            scores = only(scores, slots)
        return [
            prediction(self._frozen.labels, self.position, scores, at, example.id, k)
            for at, example in enumerate(examples)
        ]

    def explain(self, example: Example, labels: Sequence[str]) -> Explanation:
        """Why labels got their scores; those that were not scored are left out."""
        row = self._rows([example])
        if row is None:
            return Explanation((), ())
        slots, names = self._slots(labels), self._frozen.labels.names
        with self._lock:
            why = self._frozen.why(row, self._near(row, slots), slots, _EXEMPLARS)
        return Explanation(
            tuple(
                Reasons(
                    names[one.slot], 1.0 / (1.0 + math.exp(-one.log_odds)), one.log_odds,
                    one.leaf, one.by_index, one.parts,
                )
                for one in why.labels
            ),
            tuple(
                Exemplar(similarity, ago, tuple(names[slot] for slot in found))
                for similarity, ago, found in why.exemplars
            ),
        )  # fmt: skip

    def _slots(self, names: Sequence[str]) -> list[int]:
        """Slots of those labels that this view knows and that are not retired."""
        found = [self._frozen.labels.slot(name) for name in names]
        known, retired = self._frozen.known, self._frozen.retired
        return [slot for slot in found if slot is not None and slot < known and slot not in retired]

    def _rows(self, examples: Sequence[Example]) -> Rows | None:
        """Rows of examples; None while no such one was ever learnt."""
        featurizer = Featurizer()
        featurizer.load(self._featurizer.state())
        for example in examples:
            if example.is_feedback:
                raise InvalidRecord("no_payload", "give `text`, `features` or `vector`")
            featurizer.check(example)
        rows = batch([featurizer.row(example) for example in examples])
        if not self._frozen.known or rows.width != self._frozen.learner.width:
            return None  # the learner for such rows is still to be made
        if self._guard is not None and self._plugged():
            return replace(rows, beside=vectors(self._guard, examples))
        return rows

    def _plugged(self) -> bool:
        """Whether the index is asked, and with the vectors of a plugged encoder."""
        retrieval, worth = self._retrieval, self._frozen.index_worth
        if retrieval is None or retrieval.encoder.kind != Plugged.kind:
            return False
        return pays(retrieval.asking, worth)

    def _near(self, rows: Rows, more: Sequence[int]) -> Near | None:
        """What the index finds, where it is asked, and `more` labels to look at; under the lock."""
        near: Near | None = None
        learner = self._frozen.learner
        if not isinstance(learner, ExtremeLearner) or rows.width != learner.width:
            return None
        retrieval, worth = self._retrieval, self._frozen.index_worth
        if retrieval is not None and pays(retrieval.asking, worth):
            near = retrieval.near(retrieval.embed(learner, rows), self._frozen.labels)
        if not more:
            return near
        return (nothing_near(len(rows)) if near is None else near).joined(more)

    def label(self, name: str) -> LabelInfo | None:
        """One label, or None when it was never seen."""
        labels = self._frozen.labels
        slot = labels.slot(name)
        if slot is None or slot >= self._frozen.known:
            return None
        return LabelInfo(
            label=name,
            id=labels.id_of(slot),
            events=int(self._frozen.counts[slot]),
            partition=int(self._frozen.leaf_of[slot]),
            retired=slot in self._frozen.retired,
            description=labels.descriptions.get(slot),
        )

    def labels(self, prefix: str, most: int) -> list[str]:
        """At most `most` labels that start with `prefix`."""
        return self._frozen.labels.with_prefix(prefix, most, self._frozen.known)

    def partitions(self) -> list[PartitionInfo]:
        """All partitions, largest first."""
        frozen = self._frozen
        leaf_of = frozen.leaf_of[: frozen.known]
        placed = np.flatnonzero(leaf_of >= 0)
        order = placed[np.lexsort((-frozen.counts[placed], leaf_of[placed]))]
        cuts = np.flatnonzero(np.diff(leaf_of[order])) + 1
        found = []
        for members in np.split(order, cuts):
            if len(members):
                names = tuple(frozen.labels.names[slot] for slot in members[:_SHOWN].tolist())
                events = float(frozen.counts[members].sum())
                found.append(PartitionInfo(int(leaf_of[members[0]]), len(members), events, names))
        return sorted(found, key=lambda info: (-info.size, info.id))

    def accuracies(self) -> dict[int, float]:
        """Share of each partition's labels that were found of late; see `stream.learn.drift`."""
        losses = self._frozen.losses
        known = np.flatnonzero(~np.isnan(losses))
        return {int(leaf): 1.0 - float(losses[leaf]) for leaf in known}

    def tree(self, most: int) -> list[TreeNode]:
        """At most `most` nodes of the label hierarchy, the largest first, each after its parent."""
        return self._hierarchy.nodes(self.partitions(), most)

    def drift(self) -> Sequence[DriftEvent]:
        """The latest drift events, newest last."""
        return self._history()

    def model(self) -> dict[str, Any]:
        """Position, sizes, memory, index kind and the reason for it."""
        frozen = self._frozen
        placed = frozen.leaf_of[: frozen.known]
        return {
            "position": frozen.position,
            "learner": frozen.learner.kind,
            "labels": frozen.known - len(frozen.retired),
            "partitions": len(np.unique(placed[placed >= 0])),
            "lag": self._lag(),
            "threshold": frozen.threshold,
            "memory_bytes": int(sum(part.nbytes for part in frozen.learner.arrays().values())),
            "index": self._index,
        }

    def generations(self) -> Mapping[str, Any]:
        """See `stream.generations.about`."""
        return self._generations


def about_index(retrieval: Retrieval | None) -> dict[str, Any]:
    """Kind and size of the prototype index, and why that kind."""
    encoder = retrieval.encoder if retrieval else None
    return {
        "kind": retrieval.index.kind if retrieval else "none",
        "generation": retrieval.number if retrieval else 0,
        "encoder": encoder.kind if encoder else "none",
        "plugin": encoder.name if isinstance(encoder, Plugged) else "",
        "labels": len(retrieval.index) if retrieval else 0,
        "reason": retrieval.reason if retrieval else "every label is scored",
    }


class Publisher:
    """Makes views and hands out the newest; see `stream.serve.view.ViewSource`.

    Parameters
    ----------
    every_s
        Seconds between views at most often; less often where copying takes too much time.
    follows
        Whether there is a stream that the views follow, and that takes orders.
    """

    def __init__(
        self, every_s: float, clock: Clock, metrics: Metrics, follows: bool = True
    ) -> None:
        self._every_s = every_s
        self._follows = follows
        self._orders: deque[Mapping[str, Any]] = deque(maxlen=_ORDERS)
        self._clock = clock
        self.metrics = metrics
        self._history: deque[DriftEvent] = deque(maxlen=_HISTORY)
        self._view: ModelView | None = None
        self._spare: deque[Frozen] = deque(maxlen=1)
        """Memory of a view that no request holds any more."""
        self._made = 0.0
        self._due = 0.0
        self._linked_due = float("-inf")
        self._hierarchy = Hierarchy()
        self._position = -1
        self._stale = True
        self._changed = False
        self._begun = False
        self._lag = 0
        self._problems: list[str] = []

    def note(self, events: Sequence[DriftEvent], changed: bool = False) -> None:
        """Remember drift events for the views to come.

        `changed` says that the model is another one though its position may be the same: it was
        told what a label means, or a label was retired.
        """
        self._history.extend(events)
        self._changed |= changed
        self._stale |= changed or bool(events)

    def tell(self, problems: Sequence[str]) -> None:
        """What is wrong now, for `status`; called by the pipeline's thread."""
        self._problems = list(problems)

    def refresh(self, pipeline: Pipeline, lag: int, force: bool = False) -> None:
        """Make a view where one is due; called by the pipeline's thread."""
        now = self._clock.monotonic()
        self._lag = lag
        for order in self._taken():
            self._stale |= generations.obey(pipeline.generations, order)
        if self._begun:
            self.metrics.set("braid_view_age_seconds", now - self._made)
        if not force and now < self._due:
            return
        position = pipeline.model.position
        if self._stale or position != self._position or not self._begun:
            if not self._make(pipeline):
                return
            self._position, self._stale, self._begun = position, False, True
        self._made = self._clock.monotonic()
        pause = max(self._every_s, (self._made - now) / _SHARE)
        self._due = self._made + min(pause, _LONGEST_S)

    def _make(self, pipeline: Pipeline) -> bool:
        """Make a view; False where it has to wait."""
        if (found_links := self._linked(pipeline)) is not None:
            self._hierarchy.renew(found_links)
        room = self._spare.pop() if self._spare else None
        frozen = pipeline.model.freeze(room)
        history, retrieval = list(self._history), pipeline.retrieval
        found: Retrieval | FrozenRetrieval | None = retrieval
        if retrieval is not None and retrieval.index.kind != "faiss_gpu":
            found = retrieval.frozen()
        self._view = ModelView(
            pipeline.featurizer.state(), found, frozen, lambda: history, self.lag,
            about_index(pipeline.retrieval), generations.about(pipeline.generations),
            self._hierarchy,
            guard=None if pipeline.plug is None else pipeline.plug.guard,
        )  # fmt: skip
        weakref.finalize(self._view, self._spare.append, frozen)
        return True

    def _linked(self, pipeline: Pipeline) -> Links | None:
        """How the partitions are linked, where it is time to look again."""
        begun = self._clock.monotonic()
        if begun < self._linked_due:
            return None
        found = links(pipeline.model.partitioner)
        took = self._clock.monotonic() - begun
        self._linked_due = begun + max(_LINKED_S, took / _LINKED_SHARE)
        return found

    def order(self, what: Mapping[str, Any]) -> None:
        """Let the pipeline's thread have an order; see `stream.serve.view.ViewSource`."""
        if not self._follows:
            raise Conflict("these are views of a snapshot: ask a member that runs the stream")
        self._orders.append(what)

    def _taken(self) -> Iterator[Mapping[str, Any]]:
        """Orders that came since the last call."""
        while self._orders:
            yield self._orders.popleft()

    def close(self) -> None:
        """Nothing to give back."""

    def lag(self) -> int:
        """Records not read yet, as last known; never as old as the view may be."""
        return self._lag

    def current(self) -> ModelView:
        """The newest view."""
        if self._view is None:
            raise NotReady("the model has not made its first view yet")
        return self._view

    def status(self) -> dict[str, Any]:
        """Whether requests can be answered, and the reason where not."""
        ready = self._begun
        return {
            "ready": ready,
            "reason": "" if ready else "the model has not made its first view yet",
            "lag": self._lag,
            "position": max(self._position, 0),
            "problems": self._problems,
        }
