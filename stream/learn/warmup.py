"""Compile, or load from the cache, every kernel that a stream may need.

A service does this before it joins its group: compiling takes longer than a group waits.
"""

from __future__ import annotations

import numpy as np

from stream import features
from stream.config import Learn
from stream.features import Rows
from stream.learn.discovery import Discovery
from stream.learn.encoder.encoders import quantised
from stream.learn.encoder.lessons import remembered
from stream.learn.extreme import bag
from stream.learn.extreme.learner import ExtremeLearner
from stream.learn.model import CHUNK, Model
from stream.learn.partitions.links import links
from stream.learn.ranking import Judged
from stream.types import Example

_TINY = Learn(small_labels=2, exemplar_bytes=400_000, hash_bits=10, linear_bytes=16_384)


def warm() -> None:
    """Take a sparse, a named and a dense stream through small and extreme spaces."""
    words = features.stack([features.of_text(f"a stream {n} of\nwords") for n in range(CHUNK + 1)])
    named = features.stack(
        [
            features.of_values(features.name_hashes(["x", "y"]), np.array([n, 1], np.float32))
            for n in range(1, CHUNK + 2)
        ]
    )
    none = features.EMPTY
    vectors = np.ones((CHUNK + 1, 4), np.float32)
    dense = Rows(none.indptr, none.hashes, none.raw, none.terms, vectors)
    for rows in (words, named, dense):
        model = Model(_TINY, 8)
        _teach(model, rows, ["a", "b"])
        model.freeze().predict(rows)
        _teach(model, rows, ["a", "b", "c"])
        for n in range(20):  # names outgrow their table
            model.describe(f"d{n}", "words")
        model.describe("d0", None)
        model.predict(rows)
        model.freeze().predict(rows)
        model.embed(rows)
        if isinstance(model.learner, ExtremeLearner) and not rows.width:
            remembered(model.learner, np.ones(model.learner.labels, np.bool_), 1, 1)
            slot, weight, n = model.learner.weighed(rows)
            quantised(np.ones((2, 8), np.float32)).of_weighed(slot, weight, n)
            bag.projected(slot, weight, n, np.zeros((len(n), 8), np.float32))
        model.labels.slots_of_ids(model.labels.ids)
        links(model.partitioner)
        _discover(model, rows)


def _discover(model: Model, rows: Rows) -> None:
    discovery = Discovery(_TINY)
    example = Example("", features={"x": 1.0})
    scores = model.predict(rows)
    discovery.learnt(rows, [example] * len(rows), [Judged(0, scores)], model.labels)
    discovery.warm()


def _teach(model: Model, rows: Rows, labels: list[str]) -> None:
    model.predict(rows.part(0, 1))
    model.learn(rows, [labels] * len(rows))
