"""Approximate search on the CPU: generations of inverted lists, and an overlay of changes.

Readers see an immutable generation and the rows changed since; a build makes the next generation
of both. With `background` a thread of its own builds, at low priority, and readers and writers go
on meanwhile; without, a build runs inside the call that makes it due, and the same calls give the
same bits. Until there are enough vectors to train on, all are in one list and all are searched.

The lists are those of Sivic and Zisserman, "Video Google" (ICCV 2003); the centres are trained by
faiss (Douze et al., "The Faiss library", 2024).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes import scan
from indexes.background import Worker
from indexes.base import Float32, Hits, Int64
from indexes.builds import Built, caught_up, fold, retrain, trained
from indexes.checks import as_ids, as_pairs, as_queries, entry
from indexes.coarse import lists_of, single
from indexes.extras import faiss_for
from indexes.frozen import FrozenLists, read_only, view_of
from indexes.gate import Gate, Mutex
from indexes.generation import View, nothing
from indexes.overlay import Overlay
from indexes.watch import Watch

_IDS = "generation.rows.ids"
_LISTS_PER_ROOT = 4.0
_AIM = 0.975  # recall that the number of probes is chosen for; above the threshold of `Watch`
_LEAST_CHANGES = 4_096  # rows of the overlay from which it may be folded
_CHANGES = 16  # the overlay is folded when it has one row for so many of the generation
_LEFT = 1_024  # changes during a build that are taken over while writers wait
_NUMBERS = itertools.count(1)


class FaissCpu:
    """A `LabelIndex` that is exact when small, then searches the nearest lists only.

    Parameters
    ----------
    dimension : int
        Width of the vectors.
    train_at : int
        Vectors at which the lists are first trained; exact below.
    lists : int or None
        How many lists; None: about four times the root of the number of vectors.
    probes : int or None
        Lists searched for a query, more where they hold fewer than k live vectors; None: chosen
        when lists are trained, as the fewest that hold 0.975 of the ten nearest.
    growth : float
        Trained anew when the index has so many times the vectors it was trained on.
    threads : int
        Threads of one call of faiss, which only trains.
    seed : int
        Seed of all that is drawn.
    background : bool
        Build in a thread of its own, sample the recall of searches, and train anew when it falls.

    Raises
    ------
    ExtraNeeded
        faiss is not installed.

    Notes
    -----
    A search waits for a writer only while rows that are already written are linked.
    """

    kind = "faiss_cpu"

    def __init__(
        self,
        dimension: int,
        *,
        train_at: int = 8_192,
        lists: int | None = None,
        probes: int | None = None,
        growth: float = 2.0,
        threads: int = 1,
        seed: int = 7,
        background: bool = False,
    ) -> None:
        if min(train_at, threads, *(given for given in (lists, probes) if given is not None)) < 1:
            raise ValueError("train_at, lists, probes and threads must be at least 1")
        if growth <= 1:
            raise ValueError(f"growth must be above 1, not {growth}")
        self._faiss: Any = faiss_for(self.kind)
        self._train_at, self._growth, self._given_probes = train_at, growth, probes
        self._wanted_lists, self._threads, self._seed = lists, threads, seed
        self._dimension = dimension
        self._probes, self._trained_on, self._number = 1, 0, 0
        self._builds = self._trainings = self._epoch = 0
        self._removed: list[Int64] = []  # since the build that is under way began
        self._writer = Mutex()
        self._gate = Gate()
        self._watch = Watch() if background else None
        self._worker = Worker(self._step, "index-builder") if background else None
        self._empty()

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        return self._dimension

    @property
    def trained(self) -> bool:
        """Whether searches are approximate by now."""
        return self._trained_on > 0

    @property
    def probes(self) -> int:
        """Lists that a search looks into."""
        return self._probes

    @property
    def recall(self) -> float | None:
        """Sampled recall of the ten nearest, 0 to 1; None where nothing samples it."""
        return None if self._watch is None else self._watch.recall

    @property
    def samples(self) -> int:
        """Searches whose recall was measured since lists were last trained."""
        return 0 if self._watch is None else self._watch.samples

    @property
    def builds(self) -> int:
        """Generations built."""
        return self._builds

    @property
    def trainings(self) -> int:
        """Builds that trained new centres."""
        return self._trainings

    @property
    def overlay_rows(self) -> int:
        """Rows changed since the generation was made, replaced ones included."""
        return self._overlay.used

    def __len__(self) -> int:
        return len(self._overlay)

    @property
    def memory_bytes(self) -> int:
        """Bytes held; a build holds about as much again."""
        big = (*self._view.centres, *self._view.rows)
        return self._overlay.nbytes + sum(int(part.nbytes) for part in big)

    def upsert(self, ids: Int64, vectors: Float32) -> None:
        """Add or replace; see `LabelIndex.upsert`."""
        keys, values = as_pairs(ids, vectors, self._dimension)
        with self._writer:
            self._overlay.write(keys, lists_of(self._view.centres, values), values)
            with self._gate.alone():
                self._overlay.link(keys)
                if self._overlay.delta is not self._shown:  # it grew
                    self._show(self._view.centres, self._overlay)
            self._after()

    def remove(self, ids: Int64) -> int:
        """Remove those that are there; return how many were."""
        keys = np.unique(as_ids(ids))
        with self._writer:
            self._removed.append(keys)
            with self._gate.alone():
                gone = self._overlay.drop(keys)
            self._after()
            return gone

    def search(self, queries: Float32, k: int, effort: float = 1.0) -> Hits:
        """The k nearest of each row of `queries` (n, d) that the probed lists hold.

        `recall` is of whole effort, whatever a search makes.
        """
        wanted = as_queries(queries, k, self._dimension)
        with self._gate.shared():
            hits = scan.search(self._view, wanted, k, self._probes, len(self._overlay), effort)
        watch, worker = self._watch, self._worker
        if (
            watch
            and worker
            and self.trained
            and watch.saw(wanted, hits if effort == 1 else None, self.frozen)
        ):
            worker.wake()
        return hits

    def exact(self, queries: Float32, k: int) -> Hits:
        """The k nearest of all: every list is searched. For measuring recall."""
        return self.frozen().exact(queries, k)

    def frozen(self) -> FrozenLists:
        """See `LabelIndex.frozen`; copies about a byte a changed row, not the rows."""
        with self._gate.shared():
            view = self._view._replace(delta=self._overlay.frozen())
            return FrozenLists(view, self._probes, len(self._overlay), self._number)

    def rebuild(self) -> None:
        """Train the lists anew on the vectors there are; exact again below half of `train_at`.

        Searches go on meanwhile. An index that was never trained stays exact until it has
        `train_at`.
        """
        if self.trained or len(self) >= self._train_at:
            if self._worker is None:
                self._build(train=True)
            else:
                with self._worker.paused():
                    self._build(train=True)

    @contextmanager
    def filling(self) -> Iterator[None]:
        """What is written inside is built at its end, once, by the calling thread."""
        if self._worker is None:
            yield
            return
        with self._worker.paused():
            yield
            while self._step():
                pass

    def wait(self) -> None:
        """Until no build is due or under way; for tests and measurements.

        Raises
        ------
        RuntimeError
            A build failed.
        """
        if self._worker is not None:
            self._worker.wait()

    def _due(self) -> str:
        count = len(self)
        if count >= (self._growth * self._trained_on if self.trained else self._train_at):
            return "train"
        most = max(_LEAST_CHANGES, len(self._view.rows.ids) // _CHANGES)
        return "fold" if self._overlay.used >= most else ""

    def _after(self) -> None:
        if due := self._due():
            if self._worker is None:
                self._build(train=due == "train")
            else:
                self._worker.wake()

    def _step(self) -> bool:
        """What the background thread does until this is False."""
        assert self._watch is not None
        self._watch.compare()
        with self._writer:
            due = self._due()
        if not due and self._watch.wants_rebuild:
            due = "train"
        if due:
            self._build(train=due == "train")
        return bool(due)

    def _build(self, *, train: bool) -> None:
        with self._writer:
            state, count, epoch = self.frozen(), len(self), self._epoch
            self._removed = []
        view, seen = state.view, len(state.view.delta.ids)
        built = self._trained(view, count) if train else fold(view)
        made, centres = Overlay(built.rows, built.centres.centres), built.centres if train else None
        # What changed meanwhile is taken over, while writers go on as long as it is much.
        while self._overlay.used - seen > _LEFT and epoch == self._epoch:
            now = self.frozen().view
            caught_up(made, centres, now, seen)
            seen = len(now.delta.ids)
        with self._writer:
            if epoch != self._epoch:  # restored or closed: the state is another
                return
            caught_up(made, centres, self.frozen().view, seen)
            if self._removed:
                gone = np.unique(np.concatenate(self._removed))
                made.drop(gone[~self._overlay.has(gone)])
            self._swap(built, made)
            if train:
                self._trained_on = count if len(built.centres.scale) > 1 else 0
                self._trainings += 1
            if train and self._watch is not None:
                self._watch.rebuilt()

    def _trained(self, view: View, count: int) -> Built:
        if count < self._train_at / 2:
            return retrain(view, single(self._dimension), None, None, self._seed)._replace(probes=1)
        self._faiss.omp_set_num_threads(self._threads)
        lists = self._wanted_lists or round(_LISTS_PER_ROOT * count**0.5)
        asked = None if self._watch is None else self._watch.asked
        aim = None if self._given_probes else _AIM
        centres = trained(self._faiss, view, lists, self._seed)
        built = retrain(view, centres, aim, asked, self._seed)
        return built._replace(probes=self._given_probes or built.probes)

    def _swap(self, built: Built, overlay: Overlay) -> None:
        with self._gate.alone():
            self._overlay = overlay
            self._rows = built.rows
            self._probes = built.probes or self._probes
            self._number = next(_NUMBERS)
            self._show(built.centres, overlay)
        self._builds += 1

    def _show(self, centres: Any, overlay: Overlay) -> None:
        self._shown = overlay.delta
        self._view = read_only(View(centres, self._rows, overlay.delta))

    def _empty(self) -> None:
        centres, rows = single(self._dimension), nothing(1, self._dimension)
        self._trained_on = 0
        self._swap(Built(centres, rows, 1), Overlay(rows, centres.centres))
        self._builds = 0

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The arrays of `frozen`, the generation's ids as `ids`; `trained_on` (1,) int64.

        They are shared with the index, which does not change them any more.
        """
        with self._writer:
            state: dict[str, NDArray[Any]] = self.frozen().arrays()
            state["overlay.about"] = np.array([self._probes, len(self), 0], np.int64)
            state["ids"] = state.pop(_IDS)
            return state | {"trained_on": np.array([self._trained_on], np.int64)}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Replace the state by that of `snapshot`.

        Raises
        ------
        ValueError
            It is not such a state (`DimensionMismatch` where the width differs).
        """
        named = {**state, _IDS: as_ids(entry(state, "ids"))}
        trained_on = int(entry(state, "trained_on").astype(np.int64)[0])
        saved = FrozenLists.attach(named)
        saved.check(self._dimension)
        rows = saved.view.rows
        overlay = Overlay(rows, saved.view.centres.centres, view_of(named).delta)
        if len(overlay) != len(saved):
            raise ValueError(f"snapshot has {len(overlay)} vectors, not {len(saved)}")
        with self._writer:
            self._epoch += 1
            self._swap(Built(saved.view.centres, rows, saved.probes), overlay)
            self._trained_on = trained_on
            self._after()

    def close(self) -> None:
        """Give the memory back; the index is empty afterwards."""
        with self._writer:
            self._epoch += 1
            self._empty()
        if self._worker is not None:
            self._worker.close()
