"""What a user might pick instead, each with a limit of time; `bench_scale.py` runs them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Event = tuple[str, Sequence[int]]
DIMENSION = 256


def vowpal(events: Iterator[Event], labels: int, most: int, limit_s: float) -> dict[str, Any]:
    """Vowpal Wabbit's probabilistic label tree, one event predicted and learnt at a time."""
    import vowpalwabbit

    vw = vowpalwabbit.Workspace(
        f"--plt {labels} --loss_function logistic --top_k 10 -b 24 --quiet --random_seed 7"
    )
    learnt = predicting = 0.0
    hits = done = 0
    for text, truth in itertools.islice(events, most):
        words = " ".join(text.replace(":", " ").replace("|", " ").split())
        start = time.perf_counter()
        found = vw.predict(f"| {words}")
        middle = time.perf_counter()
        vw.learn(f"{','.join(str(label) for label in truth)} | {words}")
        learnt += time.perf_counter() - middle
        predicting += middle - start
        hits += bool(found) and int(found[0]) in truth
        done += 1
        if learnt + predicting > limit_s:
            break
    vw.finish()
    return {
        "peer": "Vowpal Wabbit --plt", "labels": labels, "events": done,
        "learn_us": 1e6 * learnt / done, "predict_us": 1e6 * predicting / done,
        "per_second": done / (learnt + predicting), "precision_at_1": hits / done,
    }  # fmt: skip


def river(events: Iterator[Event], labels: int, most: int, limit_s: float) -> dict[str, Any]:
    """river's classifier chain, which has a model a label, over bags of words."""
    from river import linear_model, multioutput

    chain = multioutput.ClassifierChain(
        linear_model.LogisticRegression(), order=list(range(labels))
    )
    learnt = predicting = 0.0
    done = 0
    for text, truth in itertools.islice(events, most):
        x = dict.fromkeys(text.split(), 1.0)
        y = dict.fromkeys(range(labels), False) | dict.fromkeys(truth, True)
        start = time.perf_counter()
        chain.predict_proba_one(x)
        middle = time.perf_counter()
        chain.learn_one(x, y)
        learnt += time.perf_counter() - middle
        predicting += middle - start
        done += 1
        if learnt + predicting > limit_s:
            break
    return {
        "peer": "river ClassifierChain", "labels": labels, "events": done,
        "learn_us": 1e6 * learnt / done, "predict_us": 1e6 * predicting / done,
        "per_second": done / (learnt + predicting),
    }  # fmt: skip


def exact(labels: int, queries: int = 50) -> dict[str, Any]:
    """The ten nearest of all prototypes, by BLAS on one thread's worth of numpy."""
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((labels, DIMENSION), np.float32)
    asked = rng.standard_normal((queries, DIMENSION), np.float32)
    times = []
    for query in asked:
        start = time.perf_counter()
        scores = rows @ query
        np.argpartition(scores, -10)[-10:]
        times.append(time.perf_counter() - start)
    return {"peer": "exact search", "labels": labels, "predict_us": 1e6 * float(np.median(times))}
