"""How the index is asked: by the kind of the encoder, and by what it was worth so far."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.flat import Flat
from stream.asking import due, near, pays, terms
from stream.config import Index
from stream.labels import LabelSpace

SETTINGS = Index(neighbours=2, learnt_neighbours=3, worth=0.01, learnt_worth=0.1)


@pytest.mark.parametrize("kind", ["bag", "residual"])
def test_a_learnt_index_is_asked_for_more_where_it_is_worth_more(kind: str) -> None:
    fixed, learnt = terms(SETTINGS, "projection"), terms(SETTINGS, kind)
    assert (fixed.neighbours, learnt.neighbours) == (2, 3)
    assert fixed.effort == 1 > learnt.effort
    assert [pays(fixed, worth) for worth in (0.005, 0.01, 0.1)] == [False, True, True]
    assert [pays(learnt, worth) for worth in (0.005, 0.01, 0.1)] == [False, False, True]


def test_what_is_not_known_yet_does_not_cost_a_request_a_learnt_index() -> None:
    assert pays(terms(SETTINGS, "projection"), None)
    assert not pays(terms(SETTINGS, "bag"), None)
    assert pays(terms(Index(learnt_worth=0), "bag"), None), "it is always asked"


def test_what_does_not_pay_is_asked_now_and_then() -> None:
    asking = terms(SETTINGS, "bag")
    asked = {
        worth: sum(due(asking, chunk, worth) for chunk in range(640)) for worth in (0.02, 0.05)
    }
    assert asked == {0.02: 10, 0.05: 640}


def test_scores_of_a_learnt_index_are_shares() -> None:
    """The log of each one's share in their softmax; cosines stay what they are."""
    labels, index = LabelSpace(), Flat(2)
    slots = [labels.add(name)[0] for name in ("a", "b")]
    index.upsert(labels.ids_of(slots), np.array([[1, 0], [0.8, 0.6]], np.float32))
    query = np.array([[1, 0]], np.float32)
    cosines = near(index, query, labels, terms(SETTINGS, "projection"))
    shares = near(index, query, labels, terms(SETTINGS, "bag"))
    assert cosines is not None
    assert shares is not None
    np.testing.assert_allclose(cosines.similar, [[1, 0.8]], atol=1e-6)
    assert shares.slots.tolist() == [[*slots, -1]]
    logs = 5 * (shares.similar[0, :2] - 1)
    assert np.exp(logs).sum() == pytest.approx(1, abs=1e-4)
    assert shares.similar[0, 2] == 0
