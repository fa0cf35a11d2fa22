"""A champion and its challengers: texts, labels that come and go, and what is dropped."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `encoder` is not installed")

from stream.learn.encoder.contest import Contest
from stream.learn.encoder.encoders import Bag, Projection, Residual
from stream.learn.encoder.labels import WINDOW, Labels
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.recipe import Recipe
from stream.learn.encoder.texts import Texts
from stream.learn.encoder.trainer import Trainer
from stream.learn.encoder.verdicts import Promoted, Refused
from stream.training.inline import InlineSchool
from stream.training.school import part
from tests.learning_harness import BATCH, SMALL, Stream, Subspace, Topics, lessons, sparse, trainer

TOPICS = Topics(noise=4)
SEEN = Topics(labels=40, noise=4)  # the first 40 labels of these


def contest(stream: Stream = TOPICS, recipe: Recipe = SMALL, **changed: Any) -> Contest:
    given: dict[str, Any] = {"seed": 3, "memory": 1_024, "window": 512, "width": stream.width}
    return Contest(recipe, **(given | changed))


def told(one: Contest, stream: Stream, batches: range) -> list[Promoted | Refused]:
    return [found for at in batches if (found := one.learn(stream.batch(at))) is not None]


@cache
def many(stream: Topics) -> Lessons:
    return stream.batch(77, 4_000)


def of_label(stream: Topics, label: int, n: int = 64) -> Inputs:
    batch = many(stream)
    return batch.inputs.take(np.flatnonzero(batch.labels == label)[:n])


def share(one: Trainer, rows: Inputs, label: int, k: int = 1) -> float:
    """How often a label is among the nearest k."""
    return float((one.search(rows, k) == label).any(axis=1).mean())


@pytest.mark.parametrize("stream", [TOPICS, Subspace(300)], ids=["sparse", "dense"])
def test_a_better_challenger_takes_over(stream: Stream) -> None:
    one = contest(stream)
    promoted = []
    for at in range(30):
        promoted += [news for news in told(one, stream, range(at, at + 1))
                     if isinstance(news, Promoted)]  # fmt: skip
        if promoted:
            break
    (news,) = promoted
    assert news.evidence["challenger"]["recall"] > news.evidence["champion"]["recall"] + 0.01
    assert news.evidence["events"] >= 512
    assert isinstance(news.encoder, Residual if stream.width else Bag)
    assert sorted(news.labels.tolist()) == list(range(stream.labels))
    assert news.means.shape == (stream.labels, 32)
    assert (news.weights >= 1).all()
    assert (news.weights <= WINDOW).all()
    # what is handed over finds as much as what was on trial
    test = stream.batch(90)
    made = news.encoder
    x = made.of_dense(test.inputs.dense) if isinstance(made, Residual) else made.of_weighed(
        test.inputs.slot, test.inputs.weight, test.inputs.n)  # fmt: skip
    unit = news.means / np.linalg.norm(news.means, axis=1, keepdims=True)
    best = news.labels[(x @ unit.T).argmax(axis=1)]
    assert (best == test.labels).mean() > news.evidence["challenger"]["p1"] - 0.1
    assert one.champion.encoder is news.encoder


def test_events_of_before_are_known_to_a_new_challenger_and_kept_by_another() -> None:
    new, other = contest(SEEN), contest(SEEN)
    other.learn(SEEN.batch(1))
    before = other.challenger.labels.known.tolist()
    for one in (new, other):
        one.recall(TOPICS.batch(0))
    assert set(new.challenger.labels.known.tolist()) == set(TOPICS.batch(0).labels.tolist())
    assert other.challenger.labels.known.tolist() == before
    assert [one.challenger.events for one in (new, other)] == [0, BATCH]
    assert [len(one.challenger.replay) for one in (new, other)] == [BATCH, 2 * BATCH]


def test_one_that_was_kept_can_draw_events_of_labels_that_came_since() -> None:
    kept, again = contest(SEEN), contest(SEEN)
    kept.learn(SEEN.batch(0))
    again.load(*kept.parts())
    late = 5_000
    assert late >= len(again.challenger.labels.count)
    again.recall(lessons(SEEN.batch(2).inputs, [[late]] * BATCH))
    again.learn(SEEN.batch(1))
    assert late not in again.challenger.labels.known


def test_one_that_is_no_better_is_refused_and_goes_on() -> None:
    one = contest(recipe=replace(SMALL, rate=0.0, free=False, text=False))
    before = one.challenger
    (news, *_) = told(one, TOPICS, range(3))
    assert isinstance(news, Refused)
    assert not news.diverged
    assert news.evidence["challenger"]["recall"] < news.evidence["champion"]["recall"] + 0.05
    assert one.challenger is before


@pytest.mark.parametrize("stream", [TOPICS, Subspace()], ids=["sparse", "dense"])
def test_one_that_diverges_is_dropped(stream: Stream) -> None:
    one = contest(stream, replace(SMALL, rate=1e30))
    if isinstance(stream, Topics):
        one.describe(100, stream.text(3))
    before = one.challenger
    news = told(one, stream, range(4))
    assert isinstance(news[0], Refused)
    assert news[0].diverged
    assert "no number" in news[0].evidence["reason"] or "nan" in news[0].evidence["reason"]
    assert one.challenger is not before
    assert one.challenger.events < 4 * BATCH
    assert one.parts()[1]["seed"] > 3
    assert (100 in one.challenger.texts) == (not stream.width)  # the next one is told again


def test_rows_that_are_no_numbers_harm_no_champion() -> None:
    for stream in (TOPICS, Subspace()):
        one = contest(stream)
        one.learn(stream.batch(0))
        batch = stream.batch(1)
        batch.inputs.weight[3] = batch.inputs.dense[3] = np.nan
        news = one.learn(batch)
        assert isinstance(news, Refused)
        assert news.diverged
        assert torch.isfinite(one.champion.labels.unit).all()
        assert not any(isinstance(found, Promoted) for found in told(one, stream, range(2, 4)))


def test_one_that_diverges_beside_a_learnt_champion_goes_on_from_it() -> None:
    one = contest()
    made = next(news for news in told(one, TOPICS, range(16)) if isinstance(news, Promoted))
    batch = TOPICS.batch(50)
    batch.inputs.weight[:] = np.nan
    news = one.learn(batch)
    assert isinstance(news, Refused)
    assert one.champion.encoder is not None
    test = TOPICS.batch(60)
    found = one.challenger.search(test.inputs)[:, 0]
    assert (found == test.labels).mean() > made.evidence["challenger"]["p1"] - 0.1


def test_a_label_is_found_by_its_text_alone() -> None:
    """Labels 40 to 59 have no events, but texts of the words that their events would have."""
    described, bare = trainer(SEEN), trainer(SEEN, replace(SMALL, text=False))
    for one in (described, bare):
        for at in range(10):
            one.learn(SEEN.batch(at))
        for label in range(60):
            one.describe(label, TOPICS.text(label))
    late = [share(described, of_label(TOPICS, label), label, 5) for label in range(40, 60)]
    assert np.mean(late) > 0.3
    assert share(bare, of_label(TOPICS, 50), 50, 40) == 0
    early = [share(described, of_label(TOPICS, label), label) for label in range(40)]
    assert np.mean(early) > 0.8


def test_texts_that_say_nothing_do_no_harm() -> None:
    plain, odd = trainer(TOPICS), trainer(TOPICS)
    odd.describe(200, sparse([[]]))  # empty
    odd.describe(201, sparse([[4_001, 4_002, 4_003]]))  # of words that no event has
    odd.describe(202, TOPICS.text(3))
    odd.describe(203, TOPICS.text(3))  # as another's
    for one in (plain, odd):
        for at in range(8):
            one.learn(TOPICS.batch(at))
    test = TOPICS.batch(60)
    right = [(one.search(test.inputs)[:, 0] == test.labels).mean() for one in (plain, odd)]
    assert right[1] > right[0] - 0.05
    assert 200 not in odd.labels.known
    assert {201, 202, 203} <= set(odd.labels.known.tolist())
    assert 200 not in odd.labels.made()[0]


def test_a_text_weighs_less_with_every_event() -> None:
    one = trainer(TOPICS, replace(SMALL, rate=0.0, free=False))
    one.describe(5, TOPICS.text(30))  # of another's words
    text = one.labels.text[5] / one.labels.text[5].norm()
    likeness = [float(one.labels.unit[5] @ text)]
    for at in range(4):
        rows = of_label(TOPICS, 5, 64).take(np.arange(16 * at, 16 * at + 16) % 60)
        one.learn(lessons(rows, [[5]] * 16))
        likeness.append(float(one.labels.unit[5] @ text))
    assert likeness[0] > 0.999
    assert all(one > other for one, other in pairwise(likeness))
    assert likeness[-1] < 0.5


def test_a_newer_text_takes_the_place_of_the_one_before() -> None:
    one = trainer(TOPICS)
    one.describe(5, TOPICS.text(30))
    one.describe(5, TOPICS.text(31))
    again = trainer(TOPICS)
    again.describe(5, TOPICS.text(31))
    torch.testing.assert_close(one.labels.unit[5], again.labels.unit[5])
    one.describe(5, sparse([[]]))
    assert not one.labels.unit[5].any()


def test_texts_are_kept_as_they_were() -> None:
    texts = Texts()
    rows = {4: [9, 8, 7], 2: [], 11: [5]}
    for label, row in rows.items():
        texts.put(label, sparse([row]))
    texts.put(12, sparse([[1]]))
    texts.drop(12)
    texts.drop(99)
    again = Texts()
    again.load(*texts.arrays().values())
    for one in (texts, again):
        assert len(one) == 3
        found, made = one.among(np.array([2, 4, 4, 11, 50]))
        assert found.tolist() == [2, 4, 11]
        assert made is not None
        assert made.n.tolist() == [0, 3, 1]
        assert made.slot.tolist() == [[0, 0, 0], [9, 8, 7], [5, 0, 0]]
        np.testing.assert_allclose(made.weight[1], 3**-0.5)
    assert texts.among(np.array([1]))[1] is None
    assert len(Texts().labels) == 0


def test_a_retired_label_is_never_found() -> None:
    school = InlineSchool(one := contest())
    batch = TOPICS.batch(0)
    school.learn(batch)
    school.describe(7, TOPICS.text(7))
    school.learn(part(TOPICS.batch(1), 0, 200))  # waits for the rest of its batch
    school.retire(7)
    rest = TOPICS.batch(2)
    keep = np.flatnonzero(rest.labels != 7)
    others = lessons(rest.inputs.take(keep), [[label] for label in rest.labels[keep].tolist()])
    for _ in range(6):
        school.learn(others)
    one.challenger.settle()
    for labels in (one.challenger.labels, one.champion.labels):
        assert 7 not in labels.known
        assert labels.count[7] == 0
        assert not labels.sum[7].any()
        assert not labels.unit[7].any()
        assert 7 not in labels.made()[0]
    assert not one.challenger.labels.free[7].any()
    assert 7 not in one.challenger.texts
    assert share(one.challenger, of_label(TOPICS, 7), 7, 40) == 0
    school.retire(7)  # twice, and one that never was
    school.retire(5_000)


def test_a_retired_label_comes_back_afresh() -> None:
    one = contest()
    told(one, TOPICS, range(2))
    one.retire(7)
    rows = of_label(TOPICS, 9, 20)
    one.learn(lessons(rows, [[7]] * 20))  # which stands for something else now
    for labels in (one.challenger.labels, one.champion.labels):
        assert labels.count[7] == 20
        assert float(labels.weight[7]) == 20
    expected = one.champion.embed(rows).mean(0)
    torch.testing.assert_close(one.champion.labels.unit[7], expected / expected.norm())
    one.retire(7)
    one.describe(7, TOPICS.text(7))
    assert float(one.champion.labels.weight[7]) == 1
    assert 7 in one.challenger.labels.known


def test_labels_past_the_limit_end_the_contest() -> None:
    for end in ("learn", "describe", "crown"):
        one = contest(most=60)
        one.learn(TOPICS.batch(0))
        if end == "describe":
            one.describe(60, TOPICS.text(3))
        if end == "crown":
            one.crown(Projection(32), np.array([60]), np.ones((1, 32), np.float32), np.ones(1))
        late = TOPICS.batch(1)
        news = one.learn(lessons(late.inputs, [[60]] * BATCH) if end == "learn" else late)
        assert isinstance(news, Refused)
        assert not news.diverged
        assert "encoder.labels=60" in news.evidence["reason"]
        assert one.over
        assert one.learn(TOPICS.batch(2)) is None  # it is told once
        one.describe(3, TOPICS.text(3))
        assert one.challenger.events == len(one.challenger.labels.count) == 0


def test_a_crown_of_another_size_is_taken_by_the_champion_alone() -> None:
    one = contest()
    wide = Bag(np.ones((1 << 12, 48), np.int8), np.ones(1 << 12, np.float32))
    one.crown(wide, np.array([3]), np.ones((1, 48), np.float32), np.ones(1, np.float32))
    assert one.champion.dimension == 48
    assert one.champion.labels.known.tolist() == [3]
    assert len(one.challenger.labels.known) == 0
    told(one, TOPICS, range(3))


def test_a_crown_leaves_a_challenger_that_has_learnt() -> None:
    one = contest()
    told(one, TOPICS, range(2))
    before = one.challenger.encoder.state()["table"].clone()
    made = Bag(np.ones((1 << 12, 32), np.int8), np.ones(1 << 12, np.float32))
    one.crown(made, np.array([3]), np.ones((1, 32), np.float32), np.ones(1, np.float32))
    assert torch.equal(one.challenger.encoder.state()["table"], before)
    fresh = contest()
    fresh.crown(made, np.array([3]), np.ones((1, 32), np.float32), np.ones(1, np.float32))
    assert fresh.challenger.encoder.state()["table"].unique().tolist() == [1]
    assert fresh.challenger.labels.known.tolist() == [3]


def test_events_without_labels_leave_trials_alone() -> None:
    one = contest()
    one.learn(TOPICS.batch(0))
    for at in range(4):
        assert one.learn(lessons(TOPICS.batch(at).inputs, [[]] * BATCH)) is None


def table(**changed: Any) -> Labels:
    return Labels(replace(SMALL, dimension=2, **changed), "cpu")


def added(labels: Labels, label: int, rows: list[tuple[float, float]]) -> None:
    labels.grow(label + 1)
    labels.add(np.full(len(rows), label), torch.tensor(rows))


def test_past_the_window_a_centroid_decays() -> None:
    labels = table(text=False, free=False)
    added(labels, 3, [(1.0, 0.0)] * 150)
    assert labels.sum[3].tolist() == [150, 0]
    added(labels, 3, [(0.0, 1.0)] * 100)
    torch.testing.assert_close(labels.sum[3], torch.tensor([100.0, 100.0]))
    assert float(labels.weight[3]) == WINDOW
    added(labels, 3, [(0.0, 1.0)] * 1_000)  # more than the window holds, at once
    torch.testing.assert_close(labels.sum[3], torch.tensor([0.0, WINDOW]))
    assert float(labels.weight[3]) == WINDOW
    assert labels.count[3] == 1_250


def test_tables_double_and_keep_what_is_in_them() -> None:
    labels = table()
    added(labels, 3, [(1.0, 0.0)])
    added(labels, 1_500, [(0.0, 1.0)])
    assert len(labels.count) == len(labels.sum) == 2_048
    assert labels.known.tolist() == [3, 1_500]
    assert labels.known.dtype == torch.int64
    assert labels.sum[3].tolist() == [1, 0]
    assert labels.free_g.unique().tolist() == pytest.approx([0.1])
    assert table(text=False, free=False).free.shape == (0, 0)  # no bytes for what is not used


def test_a_search_in_parts_is_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Labels(replace(SMALL, text=False, free=False), "cpu")
    draw = torch.Generator().manual_seed(1)
    labels.grow(100)
    labels.add(np.arange(100)[::-1].copy(), torch.randn(100, 32, generator=draw))
    labels.refresh(labels.known)
    x = torch.randn(20, 32, generator=draw)
    whole = labels.nearest(x, 40)
    monkeypatch.setattr("stream.learn.encoder.labels._TOGETHER", 30)
    assert torch.equal(labels.nearest(x, 40), whole)
    assert labels.nearest(x, 400).shape == (20, 100)
    assert table().nearest(torch.zeros(4, 2), 40).shape == (4, 0)


def test_means_and_weights_are_what_there_is_to_go_on_from() -> None:
    one = table(text=False, free=False)
    added(one, 3, [(1.0, 0.0), (0.0, 1.0)])
    added(one, 5, [(0.0, 0.0)])  # of a row of nothing
    labels, means, weights = one.made()
    assert labels.tolist() == [3]
    assert means.tolist() == [[0.5, 0.5]]
    assert weights.tolist() == [2]
    two = table(text=False, free=False)
    two.take(labels, means, weights)
    assert torch.equal(two.sum[3], one.sum[3])
    assert two.count[3] == 2


def test_lessons_are_counted_by_event() -> None:
    assert len(Lessons(sparse([[1], []]), np.zeros(0, np.int32), np.zeros(3, np.int64))) == 2
