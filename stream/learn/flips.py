"""How likely it is that a cell (event, label) was flipped: learnt online, from flips made for it.

What a flip looks like differs from stream to stream: where every event has one label an empty
set is one; where labels come in fixed pairs a lone half is. Nobody says which labels were
flipped, but anyone can flip some. So two logistic models learn to tell flipped from natural
cells by a few signs, online Newton as elsewhere. One, of given labels, learns given cells against
random ones: a wrong label is given wherever. The other, of missing labels, learns given cells,
each as if it were missing, against the likeliest of the missing ones. (Noise-contrastive
estimation, Gutmann and Hyvärinen 2010.) As many labels are taken to be wrong as missing, which
makes the two log odds comparable; how many does not matter to their order.

The signs compare a label with the rest of its event's set. They are the same whether it is given
or missing:

0. one;
1. the logit of its probability;
2. the logit of its rate;
3. how much more frequent sets of the rest's size are than those of one label more;
4. how much more frequent the rest is, as a set, than the rest with the label;
5. which of these two sets was never seen;
6. the most that it is more frequent beside a label of the rest than by chance, as a logarithm;
7. how improbable the labels of the rest are, 8. whether there is a rest;
9. how probable the likeliest missing labels are, beside it;
10. whether it was not even on the shortlist;
11. the logit again where it is above zero, since what is likely and what is not weigh differently.

Sets and pairs of labels are counted in hashed tables, which are halved now and then: what meets
there by chance is counted together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel
from stream.learn.arrays import Spec, Specs, allocate
from stream.learn.keys import mixed
from stream.learn.newton import solve
from stream.learn.odds import sigmoid

SIGNS = 12
MISSED = 8  # likeliest missing labels that are looked at
_TABLE = 1 << 16  # slots of a hashed table, and events between two halvings
_SIZES = 64  # label sets of so many labels and more are counted as one size
_TOGETHER = 32  # labels of an event that pairs are counted of
_MOST = 7.0  # of a logit
_LEAST = 1e-3  # probability whose logarithm is taken
_STIFFNESS, _DECAY = 20.0, 0.9995  # of the Newton steps; 5 to 60 and 0.999 to 0.9999 do as well

GIVEN, MISSING = 0, 1
# totals: events and labels that the tables hold, halved with them
_EVENTS, _LABELS = 0, 1


class Flips(NamedTuple):
    """What is counted of label sets, and the two models."""

    totals: Any
    size: Any  # (_SIZES + 1,) events by the size of their set
    sets: Any  # (_TABLE,) events by the hash of their set
    pairs: Any  # (_TABLE,) events by the hash of each two of their labels
    weight: Any  # (2, SIGNS) of given and of missing labels
    h: Any  # (2, SIGNS, SIGNS)


class Rates(NamedTuple):
    """What the rates of labels are taken from."""

    given: Any  # (labels,) times given
    looked: Any  # (labels,) of the events with some labels not looked for, those with this one
    whole: int  # events in which all labels were looked for


class Room(NamedTuple):
    """Room for one event."""

    x: Any  # (SIGNS,)
    error: Any  # (2, SIGNS) gradients
    sums: Any  # how improbable the given labels are, how probable the missing ones, in all
    missing: Any  # (MISSED,) places of the likeliest missing labels, -1 at the end


_SPECS: Specs = {
    "totals": Spec((2,), np.float64),
    "size": Spec((_SIZES + 1,), np.float64),
    "sets": Spec((_TABLE,)),
    "pairs": Spec((_TABLE,)),
    "weight": Spec((2, SIGNS), np.float64),
    "h": Spec((2, SIGNS, SIGNS), np.float64),
}


def fresh() -> Flips:
    """Models that go by the logit alone."""
    flips = allocate(Flips, _SPECS, {})
    flips.weight[:, 1] = -4.0, 4.0  # the sign is a fourth of the logit
    flips.h[:] = _STIFFNESS * np.eye(SIGNS)
    return flips


def room() -> Room:
    """Room for an event."""
    return Room(np.zeros(SIGNS), np.zeros((2, SIGNS)), np.zeros(2), np.full(MISSED, -1, np.int64))


@kernel
def _place(key: Any) -> Any:
    return np.int64((key >> np.uint64(20)) % np.uint64(_TABLE))


@kernel
def logit(p: float) -> float:
    """A logit that goes further out than that of the experts."""
    bounded = min(max(np.float64(p), 1e-6), 1.0 - 1e-6)
    return min(_MOST, max(-_MOST, np.log(bounded / (1.0 - bounded))))


@kernel
def rate_of(rates: Rates, label: int) -> float:
    """The share of events that have a label, of those in which it was looked for."""
    return (rates.given[label] + 0.5) / (rates.whole + rates.looked[label] + 1.0)


@kernel
def surprise(p: float) -> float:
    """How improbable what had probability p was."""
    return -np.log(max(np.float64(p), _LEAST))


@kernel
def signs(
    f: Flips, rates: Rates, label: int, p: float, listed: bool, truth: Any, key: Any,
    whole: bool, sums: Any, x: Any,
) -> None:  # fmt: skip
    """The signs of a label, given or missing, into x.

    Parameters
    ----------
    rates
        Of all labels.
    label, p, listed
        The label, its probability, and whether it was on the shortlist.
    truth, key
        What is given in the event, and the key of that.
    whole
        Whether all labels were looked for in it; else nothing is known of its set.
    sums
        Surprise at the other given labels, and at the missing ones.
    """
    rest = len(truth)
    best = -1.0
    rate = rate_of(rates, label)
    events = rate * f.totals[_EVENTS]
    for k in range(len(truth)):
        other = truth[k]
        if other == label:
            rest -= 1
            key ^= mixed(label)
        elif k < _TOGETHER:
            chance = events * rate_of(rates, other)
            both = f.pairs[_place(mixed(label) ^ mixed(other))]
            best = max(best, (both + 0.5) / (chance + 0.5))
    x[:] = 0.0
    x[0] = 1.0
    if listed:
        x[1] = logit(p) / 4.0
        x[11] = max(0.0, x[1])
    else:
        x[10] = 1.0
    x[2] = logit(rate) / 4.0
    if best > 0:
        x[6] = np.log(best)
    if rest > 0:
        x[7] = sums[0] / rest / 2.0
    elif whole:
        x[8] = 1.0
    x[9] = sums[1] / 2.0
    if whole:
        size = f.size[min(rest + 1, _SIZES)] + 0.5
        x[3] = np.log((f.size[min(rest, _SIZES)] + 0.5) / size) / 2.0
        without, beside = f.sets[_place(key)], f.sets[_place(key ^ mixed(label))]
        x[4] = np.log((without + 0.3) / (beside + 0.3)) / 2.0
        x[5] = (1.0 if beside == 0 else 0.0) - (1.0 if without == 0 else 0.0)


@kernel
def odds(f: Flips, kind: int, x: Any) -> float:
    """The log odds that a cell with these signs was flipped, but for a constant."""
    total = 0.0
    for i in range(SIGNS):
        total += f.weight[kind, i] * x[i]
    return total


@kernel
def show(f: Flips, kind: int, score: float, flipped: bool, times: float, t: Room) -> None:
    """Take in a cell with signs t.x, flipped or not, as if it came so many times."""
    p = sigmoid(score)
    residual = times * (p - (1.0 if flipped else 0.0))
    curve = times * max(p * (1.0 - p), 0.002)
    for i in range(SIGNS):
        t.error[kind, i] += residual * t.x[i]
        for j in range(i + 1):
            f.h[kind, i, j] += curve * t.x[i] * t.x[j]


@kernel
def learn(f: Flips, t: Room) -> None:
    """One Newton step of both models on the cells shown."""
    for kind in range(2):
        f.weight[kind] -= solve(f.h[kind], t.error[kind])  # it reads the lower half
        t.error[kind] = 0.0
        f.h[kind] *= _DECAY
        for i in range(SIGNS):
            f.h[kind, i, i] += (1.0 - _DECAY) * _STIFFNESS


@kernel
def drawn(n: int, labels: int) -> Any:
    """The label that is given for nothing beside event n."""
    return np.int64((mixed(n) >> np.uint64(20)) % np.uint64(labels))


@kernel
def usual(f: Flips) -> float:
    """Labels of an event in the mean."""
    return f.totals[_LABELS] / max(f.totals[_EVENTS], 1.0)


@kernel
def count(f: Flips, truth: Any, key: Any, n: int) -> None:
    """Count the label set of event n, in which all labels were looked for."""
    if n % _TABLE == _TABLE - 1:
        f.totals[:] *= 0.5
        f.size[:] *= 0.5
        f.sets[:] *= np.float32(0.5)
        f.pairs[:] *= np.float32(0.5)
    f.totals[_EVENTS] += 1
    f.totals[_LABELS] += len(truth)
    f.size[min(len(truth), _SIZES)] += 1
    f.sets[_place(key)] += 1
    few = min(len(truth), _TOGETHER)
    for i in range(few):
        for j in range(i):
            f.pairs[_place(mixed(truth[i]) ^ mixed(truth[j]))] += 1
