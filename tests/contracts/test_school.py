"""The contract of `School`, run on training in the calling thread and in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `encoder` is not installed")

from stream.config import Encoder as Settings
from stream.learn.encoder.contest import Contest
from stream.learn.encoder.encoders import Bag, Projection
from stream.learn.encoder.lessons import Lessons, joined
from stream.learn.encoder.verdicts import Promoted, Refused
from stream.training.beside import TrainingProcess
from stream.training.inline import InlineSchool
from stream.training.school import School, part
from tests.learning_harness import BATCH, SMALL, Topics, lessons, sparse

TOPICS = Topics(noise=4)


@dataclass
class Case:
    """A school, and what it told."""

    make: Callable[[], School]
    school: School = field(init=False)
    news: list[Promoted | Refused] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.school = self.make()

    @property
    def learnt(self) -> float:
        return self.school.told()["braid_training_events_total"]

    def learn(self, shown: Lessons, more: int) -> None:
        """Show events and wait until so many more are learnt."""
        events = self.learnt + more
        self.school.learn(shown)
        end = time.monotonic() + 60
        while self.learnt < events:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert self.learnt == events
        self.news += self.school.news()

    @property
    def promoted(self) -> list[Promoted]:
        return [news for news in self.news if isinstance(news, Promoted)]


def process() -> School:
    given = {"memory": 1_024, "window": 512, "cpu_share": 1.0, "device": "cpu"}
    return TrainingProcess(Settings.model_validate(given), SMALL, 3, 0)


def here() -> School:
    return InlineSchool(Contest(SMALL, 3, 1_024, 512))


@pytest.fixture(params=[here, process], scope="module")
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    made = Case(request.param)
    yield made
    made.school.close()


def without(batch: Lessons, label: int) -> Lessons:
    kept = [[one] if one != label else [] for one in batch.labels.tolist()]
    return lessons(batch.inputs, kept)


def test_what_is_promoted_comes_of_the_events_alone(case: Case) -> None:
    """However they are cut; and of no label that was retired, with events on their way or not."""
    other = Case(here)
    whole = joined([TOPICS.batch(0), *(without(TOPICS.batch(at), 7) for at in range(1, 20))])
    for one in (case, other):
        assert one.school.news() == []
        one.school.recall(joined([TOPICS.batch(40, 300), lessons(TOPICS.text(5), [[102]])]))
        one.school.describe(100, TOPICS.text(3))
        one.school.describe(101, sparse([[]]))
        one.learn(part(whole, 0, 200), 0)
        one.school.retire(7)
    rng, start = np.random.default_rng(5), 200
    while not case.promoted:
        stop = min(len(whole), start + int(rng.integers(1, 400)))
        case.learn(part(whole, start, stop), BATCH * (stop // BATCH - start // BATCH))
        start = stop
    other.learn(part(whole, 200, start), BATCH * (start // BATCH))
    (made,) = case.promoted
    assert isinstance(made.encoder, Bag)
    assert made.evidence["challenger"]["recall"] > made.evidence["champion"]["recall"]
    assert {7, 101} & set(made.labels.tolist()) == set()
    assert {8, 100, 102} <= set(made.labels.tolist())
    assert made.labels.dtype == np.int64
    assert made.means.dtype == made.weights.dtype == np.float32
    assert case.school.news() == []  # each is told once
    assert [news.evidence for news in case.news] == [news.evidence for news in other.news]
    (same,) = other.promoted
    for array, expected in zip(arrays(made), arrays(same), strict=True):
        assert array.tobytes() == expected.tobytes()


def arrays(made: Promoted) -> list[Any]:
    return [made.labels, made.means, made.weights, *made.encoder.arrays().values()]


def test_calls_in_any_order_do_no_harm(case: Case) -> None:
    school, before = case.school, case.learnt
    school.retire(9_999)
    school.alarm()
    school.resume(0)
    none = np.zeros(0, np.int64), np.zeros((0, 32), np.float32), np.zeros(0, np.float32)
    school.crown(Projection(32), *none)
    school.describe(3, TOPICS.text(3))
    school.describe(3, TOPICS.text(4))
    case.learn(lessons(TOPICS.batch(0).inputs, [[]] * BATCH), BATCH)  # with no labels at all
    many = [list(range(at, at + 40)) for at in range(BATCH)]
    case.learn(lessons(TOPICS.batch(1).inputs, many), BATCH)
    broken = TOPICS.batch(2)
    broken.inputs.weight[:] = np.nan
    case.news.clear()
    case.learn(joined([broken, TOPICS.batch(3)]), 2 * BATCH)
    assert any(isinstance(news, Refused) and news.diverged for news in case.news)
    table = np.random.default_rng(1).integers(-9, 9, (1 << 12, 32)).astype(np.int8)
    one = np.array([5]), np.ones((1, 32), np.float32), np.ones(1, np.float32)
    school.crown(Bag(table, np.ones(1 << 12, np.float32)), *one)
    case.learn(TOPICS.batch(3), BATCH)
    school.keep(1_000)
    school.close()
    school.close()
    school.retire(3)
    school.describe(3, TOPICS.text(3))
    school.alarm()
    assert case.learnt == before + 5 * BATCH
