"""The model as a river multi-label classifier.

`stream.learn.model` imports this on first use only: river takes its time to import.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from math import isnan
from numbers import Real
from typing import Any

import numpy as np
from river.base import MultiLabelClassifier

from stream import features
from stream.config import Learn, Objective
from stream.features import Row
from stream.learn.model.core import Model
from stream.learn.ranking import Scores

_LARGEST = 3e38  # about what float32 holds
_DIMENSION = 8  # of the embedding, which only the service's index asks for


class _Chosen(dict[Hashable, bool]):
    """Labels and whether they are chosen; False for those that were never heard of."""

    def __missing__(self, label: Hashable) -> bool:
        return False


class BraidClassifier(MultiLabelClassifier):  # type: ignore[misc]  # river has no types
    """Braidstream's learner for river: predicts and learns one event at a time, or many.

    An event `x` is a dict of features. Numbers are values; strings and bools are categories, each
    name and category a feature of its own; None and NaN are missing; what float32 does not hold
    counts as the largest that it does. A string under `text_key`, or an `x` that is a string, is
    text, of which the first line is the title. The order of the features does not matter.

    Of `y`, a dict of label to bool, every label counts as looked for; labels that are not in it
    are unknown for this event, not false. A label is learnt from its first True on.

    The index of label prototypes, which adds candidates above `small_labels` labels, belongs to
    the service and is not used here.

    Parameters
    ----------
    objective
        What the predicted set is for: `micro_f1`, `macro_f1`, `hamming` or `subset`.
    small_labels
        Labels up to which every one is scored, 512 at most; above, a shortlist.
    exemplar_bytes, hash_bits, linear_bytes
        Capacities above `small_labels` labels, see `stream.config.Learn`.
    drift_delta
        Confidence of the drift detectors; smaller alarms later and less.
    text_key
        The feature that holds text.
    seed
        Of every random choice.

    Examples
    --------
    >>> from stream.learn.model import BraidClassifier
    >>> model = BraidClassifier(seed=7)
    >>> for day in range(30):
    ...     model.learn_one({"sky": "grey", "hour": day % 5}, {"rain": True, "wind": day % 2 == 0})
    ...     model.learn_one({"sky": "blue", "hour": day % 5}, {"rain": False, "wind": False})
    >>> model.predict_one({"sky": "grey", "hour": 3})["rain"]
    True
    >>> model.predict_one({"sky": "blue", "hour": 3})
    {'rain': False, 'wind': False}
    >>> 0.9 < model.predict_proba_one({"sky": "grey"})["rain"][True] <= 1
    True
    """

    def __init__(
        self, objective: Objective = "micro_f1", small_labels: int = 512,
        exemplar_bytes: int = 150_000_000, hash_bits: int = 22, linear_bytes: int = 1 << 26,
        drift_delta: float = 0.002, text_key: str = "text", seed: int = 7,
    ) -> None:  # fmt: skip
        self.objective = objective
        self.small_labels = small_labels
        self.exemplar_bytes = exemplar_bytes
        self.hash_bits = hash_bits
        self.linear_bytes = linear_bytes
        self.drift_delta = drift_delta
        self.text_key = text_key
        self.seed = seed
        learn = Learn(
            objective=objective, small_labels=small_labels, exemplar_bytes=exemplar_bytes,
            hash_bits=hash_bits, linear_bytes=linear_bytes, drift_delta=drift_delta, seed=seed,
            suspicious_share=0,
        )  # fmt: skip
        self.model = Model(learn, _DIMENSION)
        self._names: dict[Hashable, str] = {}
        self._taken: set[str] = set()

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"seed": 1}
        small = {"exemplar_bytes": 400_000, "hash_bits": 10, "linear_bytes": 16_384}
        yield {"small_labels": 2, **small}

    def learn_one(self, x: Mapping[Hashable, Any] | str, y: Mapping[Hashable, bool]) -> None:
        """Learn one event."""
        self._learn([self._row(x)], [y])

    def predict_proba_one(self, x: Mapping[Hashable, Any] | str) -> dict[Any, dict[bool, float]]:
        """The probability of every label heard of, for False and True."""
        scores = self.model.predict(features.stack([self._row(x)]))
        return {label: {False: 1.0 - p, True: p} for label, p in self._probable(scores, 0).items()}

    def predict_one(self, x: Mapping[Hashable, Any] | str) -> dict[Any, bool]:
        """Whether each label heard of is in the set chosen for the objective."""
        return self._chosen(self.model.predict(features.stack([self._row(x)])), 0)

    def learn_many(self, X: Any, y: Any) -> None:
        """Learn the rows of two DataFrames in order, the same as one by one.

        A missing value in `y` says that the label was not looked for.
        """
        given = [
            {label: bool(on) for label, on in row.items() if not _missing(on)}
            for row in y.to_dict("records")
        ]
        self._learn([self._row(row) for row in X.to_dict("records")], given)

    def predict_proba_many(self, X: Any) -> Any:
        """A DataFrame of the probability that each label is true, a row for each of `X`."""
        return self._frame(X, self._probable, float)

    def predict_many(self, X: Any) -> Any:
        """A DataFrame of bool, whether each label is chosen, a row for each of `X`."""
        return self._frame(X, self._chosen, bool)

    def _frame(self, X: Any, read: Any, dtype: type) -> Any:
        import pandas as pd

        rows = [self._row(row) for row in X.to_dict("records")]
        scores = self.model.predict(features.stack(rows)) if rows else None
        read_out = [read(scores, at) for at in range(len(rows))]
        return pd.DataFrame(read_out, index=X.index, columns=list(self._names), dtype=dtype)

    def _learn(self, rows: list[Row], given: Sequence[Mapping[Hashable, bool]]) -> None:
        if not rows:
            return
        named = [{self._name(label): bool(on) for label, on in y.items()} for y in given]
        labels = [[name for name, on in y.items() if on] for y in named]
        self.model.learn(features.stack(rows), labels, None, [list(y) for y in named])

    def _name(self, label: Hashable) -> str:
        """The model's name of a label, which may be of any type: 1 and "1" differ."""
        name = self._names.get(label)
        if name is None:
            name = str(label)
            while name in self._taken:
                name += "'"
            self._names[label] = name
            self._taken.add(name)
        return name

    def _probable(self, scores: Scores, at: int) -> dict[Hashable, float]:
        """Probabilities of row `at`; 0 for labels that were not scored."""
        slots, p = scores.slots[at], scores.p[at]
        found = dict(zip(slots.tolist(), p.tolist(), strict=True))
        slot = self.model.labels.slot
        return {label: found.get(slot(name), 0.0) for label, name in self._names.items()}

    def _chosen(self, scores: Scores, at: int) -> dict[Hashable, bool]:
        picked = set(scores.slots[at][scores.chosen[at]].tolist())
        slot = self.model.labels.slot
        return _Chosen((label, slot(name) in picked) for label, name in self._names.items())

    def _row(self, x: Mapping[Hashable, Any] | str) -> Row:
        if isinstance(x, str):
            return features.of_text(x)
        values: dict[str, float] = {}
        text = None
        for name, value in x.items():
            if name == self.text_key and isinstance(value, str):
                text = features.of_text(value)
            elif _missing(value):
                continue
            elif isinstance(value, Real) and not isinstance(value, bool):
                values[str(name)] = min(max(float(value), -_LARGEST), _LARGEST)
            else:  # strings, bools, and numpy's bools
                values[f"{name}={value}"] = 1.0
        names = sorted(name for name, value in values.items() if value)
        numbers = np.array([values[name] for name in names], np.float32)
        named = features.of_values(features.name_hashes(names), numbers)
        if text is None:
            return named
        return (
            np.concatenate([text[0], named[0]]),
            np.concatenate([text[1], named[1]]),
            np.concatenate([text[2], named[2]]),
            text[3],
        )


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, Real) and isnan(value))
