"""How an encoder is trained: one recipe for all streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """What was found to work; `tests/bench/bench_encoder.py` takes each part away.

    Parameters
    ----------
    dimension
        Width of the embedding.
    bits
        log2 of the rows that features share.
    rate, free_rate
        AdaGrad's, of the encoder and of the labels' free vectors.
    loss
        "softmax" over the negatives, or "triplet" over the nearest of them.
    temperature
        Of the softmax: cosines are divided by it.
    margin
        The dynamic margin's largest value: a negative is to stay below a positive by `margin`
        times one less the cosine of their prototypes, so that labels that mean nearly the same
        are not driven apart.
    fixed_margin
        Let every negative have the whole margin.
    negatives
        Labels drawn for each batch, beside the labels of its other events.
    hard
        Nearest labels of each event that are negatives too.
    replays
        Batches from the memory for each new one.
    tail
        Draw replays by how rare the labels of an event are.
    text_weight
        Of the loss of label texts, against that of events.
    text_events
        Events that a text counts for in its label's prototype.
    text, centroid, free
        What prototypes are made of.
    """

    dimension: int = 256
    bits: int = 19
    rate: float = 0.5
    free_rate: float = 0.5
    loss: Literal["softmax", "triplet"] = "softmax"
    temperature: float = 0.07
    margin: float = 0.0
    fixed_margin: bool = False
    negatives: int = 512
    hard: int = 10
    replays: int = 1
    tail: bool = True
    text_weight: float = 0.3
    text_events: float = 3.0
    text: bool = True
    centroid: bool = True
    free: bool = True
