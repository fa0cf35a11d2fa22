"""What races in `bench_encoder.py`: batches of a stream, ways to search them, and the score."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse
import torch

from stream import features
from stream.features import Featurizer
from stream.learn.encoder.labels import Labels
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.trainer import FOUND, Trainer
from stream.learn.extreme import bag
from stream.source.folder import Folder

BATCH, MEMORY, BITS = 256, 1 << 16, 22
_SPARSE = 1_024  # events of which the sparse centroids hear together
COLD, COLD_K = 5, 20


class Batch(NamedTuple):
    """Events, and the labels that are met in them for the first time with their names."""

    lessons: Lessons
    fresh: list[int]
    names: Inputs | None


class Racer(Protocol):
    """Finds labels for a batch, (n, k) best first, with what it knew before; then learns it."""

    def step(self, batch: Batch) -> Any:
        """The labels found."""
        ...


class Texts:
    """A folder's texts as batches, weighed by the idf of then."""

    def __init__(self, folder: Folder, most: int) -> None:
        self._folder, self._most = folder, most
        self._df = np.zeros(1 << BITS, np.uint32)
        self._names = folder.descriptions()
        self.events = 0

    def names(self, labels: Iterable[int]) -> Inputs:
        """The names of labels, weighed as of now."""
        of = self._folder.label_names
        return self._weighed([features.of_text(self._names[of[label]]) for label in labels])

    def __iter__(self) -> Iterator[Batch]:
        featurizer, met = Featurizer(), set[int]()
        number = {name: at for at, name in enumerate(self._folder.label_names)}
        rows: list[Any] = []
        labels: list[list[int]] = []
        for example in self._folder.examples(self._most):
            featurizer.check(example)
            rows.append(featurizer.row(example))
            labels.append([number[name] for name in example.labels or ()])
            if len(rows) == BATCH or self.events + len(rows) == self._most:
                flat = [label for each in labels for label in each]
                fresh = [label for label in dict.fromkeys(flat) if label not in met]
                met.update(fresh)
                lessons = Lessons(self._weighed(rows), np.array(flat, np.int32), bounds(labels))
                yield Batch(lessons, fresh, self.names(fresh) if fresh else None)
                for row in rows:
                    self._df[(row[0] & np.uint64((1 << BITS) - 1)).astype(np.int64)] += 1
                self.events += len(rows)
                rows, labels = [], []

    def _weighed(self, rows: list[Any]) -> Inputs:
        whole, n = features.stack(rows), len(rows)
        made = np.zeros((n, bag.MOST), np.int32), np.zeros((n, bag.MOST), np.float32)
        count = np.zeros(n, np.int32)
        bag.weighed(self._df, self.events, whole.indptr, whole.hashes, whole.terms, *made, count)
        return Inputs(*made, count, np.zeros((n, 0), np.float32))


def bounds(labels: list[list[int]]) -> Any:
    """Where the labels of each event begin and end."""
    return np.cumsum([0, *map(len, labels)]).astype(np.int64)


def vectors(x: Any, labels: list[list[int]]) -> Iterator[Batch]:
    """Dense rows (n, width) as batches, at unit length."""
    unit = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    for start in range(0, len(x), BATCH):
        part = unit[start : start + BATCH]
        n, named = len(part), labels[start : start + BATCH]
        none = np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32), np.zeros(n, np.int32)
        flat = np.array([label for each in named for label in each], np.int32)
        yield Batch(Lessons(Inputs(*none, part), flat, bounds(named)), [], None)


class Projected:
    """Centroids under the fixed projection; of dense rows, under none."""

    def __init__(self, dimension: int, width: int = 0) -> None:
        recipe = Recipe(dimension=width or dimension, text=False, free=False)
        self._labels, self._dimension = Labels(recipe, torch.device("cpu")), dimension

    def step(self, batch: Batch) -> Any:
        """See `Racer`."""
        lessons, labels = batch.lessons, self._labels
        made = lessons.inputs.dense
        if not made.shape[1]:
            made = np.zeros((len(lessons), self._dimension), np.float32)
            bag.projected(*lessons.inputs[:3], made)
        x = torch.from_numpy(made)
        found = labels.nearest(x, FOUND).numpy()
        labels.grow(int(lessons.labels.max()) + 1)
        labels.add(lessons.labels, x[torch.from_numpy(row_of_each(lessons))])
        labels.refresh(torch.from_numpy(np.unique(lessons.labels)).long())
        return found


class Sparse:
    """Centroids of the rows as they are, learnt some batches at a time."""

    def __init__(self, labels: int) -> None:
        self._labels = labels
        self._held: list[Lessons] = []
        self._sums: Any = scipy.sparse.csr_matrix((1 << BITS, labels), dtype=np.float32)
        self._norms = np.zeros(labels, np.float32)

    def step(self, batch: Batch) -> Any:
        """See `Racer`."""
        x = _matrix(batch.lessons.inputs)
        scores = (x @ self._sums).toarray() / np.maximum(self._norms, 1e-6)
        some = np.argpartition(-scores, FOUND, axis=1)[:, :FOUND]
        order = np.argsort(-np.take_along_axis(scores, some, 1), axis=1)
        self._held.append(batch.lessons)
        if sum(map(len, self._held)) >= _SPARSE:
            self._learn()
        return np.take_along_axis(some, order, 1)

    def _learn(self) -> None:
        for lessons in self._held:
            shape = len(lessons), self._labels
            ones = np.ones(len(lessons.labels), np.float32)
            y = scipy.sparse.csr_matrix((ones, lessons.labels, lessons.bounds), shape)
            self._sums = self._sums + (_matrix(lessons.inputs).T @ y).tocsr()
        self._norms = np.sqrt(np.asarray(self._sums.multiply(self._sums).sum(0)).ravel())
        self._held.clear()


class Learnt:
    """What `Trainer` learns.

    Parameters
    ----------
    names
        Whether it is given the names of labels, once they are met.
    trainer
        Which.
    """

    def __init__(
        self, recipe: Recipe, seed: int, device: str = "cpu", names: bool = False, width: int = 0,
        trainer: type[Trainer] = Trainer,
    ) -> None:  # fmt: skip
        self.trainer = trainer(recipe, seed, MEMORY, width, device)
        self._names = names

    def step(self, batch: Batch) -> Any:
        """See `Racer`."""
        found = self.trainer.search(batch.lessons.inputs)
        if self._names and batch.names is not None:
            for at, label in enumerate(batch.fresh):
                self.trainer.describe(label, batch.names.take(np.array([at])))
        self.trainer.learn(batch.lessons, found)
        return found


class Tally:
    """P@1, P@5 and recall@40 of each event; recall@20 of labels by how often they were seen."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._each: list[tuple[float, float, float]] = []
        self._seen: dict[int, int] = {}
        self._cold = np.zeros((COLD, 2))

    def run(self, racer: Racer, batch: Batch) -> None:
        """Let a racer step, and score it."""
        begun = time.perf_counter()
        found = racer.step(batch)
        self.seconds += time.perf_counter() - begun
        lessons = batch.lessons
        for at in range(len(lessons)):
            truth = lessons.labels[lessons.bounds[at] : lessons.bounds[at + 1]]
            hit = np.isin(found[at], truth)
            near = set(found[at][:COLD_K].tolist())
            for label in truth.tolist():
                seen = self._seen.get(label, 0)
                if seen < COLD:
                    self._cold[seen] += (label in near, 1)
                self._seen[label] = seen + 1
            if len(truth):
                self._each.append((hit[:1].sum(), hit[:5].sum() / 5, hit.sum() / len(truth)))

    def figures(self) -> dict[str, Any]:
        """Means over the whole stream and its second half."""
        every = np.array(self._each)
        names = ("p1", "p5", "recall40")
        made: dict[str, Any] = {}
        for prefix, part in (("", every), ("late_", every[len(every) // 2 :])):
            means = zip(names, part.mean(0).tolist(), strict=True)
            made |= {f"{prefix}{name}": round(value, 4) for name, value in means}
        cold = self._cold[:, 0] / np.maximum(self._cold[:, 1], 1)
        made["recall20_by_events_before"] = [round(v, 4) for v in cold.tolist()]
        return made | {"events_per_s": round(len(every) / max(self.seconds, 1e-9))}


def row_of_each(lessons: Lessons) -> Any:
    """The event of each label."""
    return np.repeat(np.arange(len(lessons)), np.diff(lessons.bounds))


def _matrix(inputs: Inputs) -> Any:
    n = inputs.n
    there = np.arange(inputs.slot.shape[1])[None, :] < n[:, None]
    ends = np.concatenate([[0], np.cumsum(n)])
    parts = (inputs.weight[there], inputs.slot[there], ends)
    return scipy.sparse.csr_matrix(parts, (len(n), 1 << BITS))
