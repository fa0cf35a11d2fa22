"""Trials: who is equal is not promoted, who is better is, and when a trial is held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream.learn.encoder.trial import LEAST, SURE, Trial, Verdict, found, judged


def figures(rng: np.random.Generator, n: int, better: float = 0.0) -> tuple[Any, Any]:
    """P@1 and recall of two on the same events, which are hard or easy for both."""
    hard = rng.beta(0.6, 0.8, n)
    labels = rng.integers(1, 6, n)

    def one(more: float) -> Any:
        hits = rng.binomial(labels, np.clip(hard + more, 0, 1))
        return np.stack([rng.random(n) < hard, hits / labels], axis=1)

    return one(0.0), one(better)


def verdicts(trial: Trial, rng: np.random.Generator, events: int, **how: float) -> list[Verdict]:
    made = []
    for _ in range(events // 256):
        if trial.on:
            verdict = trial.add(*figures(rng, 256, **how))
            made += [] if verdict is None else [verdict]
        else:
            trial.pass_by(256)
    return made


def test_equals_are_not_promoted() -> None:
    """1 in 740 by chance alone, of either measure; 300 trials should come to none or one."""
    rng = np.random.default_rng(11)
    made = verdicts(Trial(1_024, rest=0), rng, 300 * 1_024)
    assert len(made) == 300
    assert sum(verdict.promote for verdict in made) <= 3
    for what in ("p1", "recall"):
        gains = np.array([verdict.evidence["difference"][what] for verdict in made])
        errors = np.array([verdict.evidence["standard_error"][what] for verdict in made])
        assert (gains > SURE * errors).sum() <= 3
        # and the error that is stated is that of the differences
        assert np.std(gains) == pytest.approx(np.mean(errors), rel=0.15)


def test_a_better_one_is_promoted_at_once() -> None:
    rng = np.random.default_rng(12)
    made = verdicts(Trial(2_048, rest=0), rng, 50 * 2_048, better=0.08)
    gains = [verdict.evidence["difference"]["recall"] for verdict in made]
    assert 0.05 < np.mean(gains) < 0.08
    assert all(verdict.promote for verdict in made)


def test_a_worse_one_is_not() -> None:
    rng = np.random.default_rng(13)
    made = verdicts(Trial(2_048, rest=0), rng, 50 * 2_048, better=-0.05)
    assert not any(verdict.promote for verdict in made)


def test_a_small_gain_is_not_worth_an_index() -> None:
    champion = np.zeros((10_000, 2))
    champion[:, 1] = np.tile([0.2, 0.4], 5_000)
    verdict = judged(champion, champion + 0.9 * LEAST, 10_000)
    assert not verdict.promote
    assert judged(champion, champion + 1.1 * LEAST, 10_000).promote


def test_pairs_are_told_apart_where_means_are_not() -> None:
    """Events differ far more than the two do on each: unpaired, 0.02 would be lost in it."""
    rng = np.random.default_rng(14)
    hard = np.repeat(rng.random(1_000)[:, None], 2, axis=1)
    assert judged(hard, hard + 0.02 + 0.01 * rng.standard_normal((1_000, 2)), 1_000).promote
    apart = rng.permutation(hard) + 0.02
    assert not judged(hard, apart, 1_000).promote


def test_evidence_is_plain() -> None:
    rng = np.random.default_rng(15)
    evidence = judged(*figures(rng, 500), 900).evidence
    assert evidence["events"] == 500
    assert evidence["seen"] == 900
    assert set(evidence["champion"]) == set(evidence["challenger"]) == {"p1", "recall"}
    for name in ("difference", "standard_error"):
        assert {type(figure) for figure in evidence[name].values()} == {float}


def test_a_better_first_label_is_promoted_unless_less_is_found() -> None:
    champion = np.zeros((1_000, 2))
    champion[:, 1] = np.tile([0.2, 0.4], 500)
    first, fewer = np.array([0.05, 0.0]), np.array([0.05, -0.02])
    assert judged(champion, champion + first, 1_000).promote
    assert not judged(champion, champion + fewer, 1_000).promote


def test_trials_rest_for_a_share_of_the_stream() -> None:
    rng, trial = np.random.default_rng(16), Trial(512, rest=0.5)
    begun = []
    for at in range(200):
        if trial.on and trial.add(*figures(rng, 256)) is not None:
            begun.append(256 * (at + 1))
        elif not trial.on:
            trial.pass_by(256)
    assert begun[0] == 512
    assert len(begun) < 12  # the more events there were, the seldomer
    later = np.array(begun)
    assert (later[1:] >= 1.5 * later[:-1]).all()
    assert (later[1:] <= 1.5 * later[:-1] + 1_024).all()


def test_an_alarm_ends_a_rest() -> None:
    rng, trial = np.random.default_rng(17), Trial(512)
    assert trial.add(*figures(rng, 600)) is not None
    assert not trial.on
    trial.ask()
    assert trial.on
    assert trial.add(*figures(rng, 256)) is None
    trial.ask()  # in the midst of one
    assert trial.add(*figures(rng, 256)) is not None


def test_what_another_challenger_found_does_not_count() -> None:
    rng, trial = np.random.default_rng(18), Trial(512)
    assert trial.add(*figures(rng, 500)) is None
    trial.drop()
    assert trial.add(*figures(rng, 500)) is None
    assert trial.add(*figures(rng, 12)) is not None


def test_a_restart_goes_on_with_the_rest() -> None:
    rng = np.random.default_rng(19)
    trial, again = Trial(512, rest=0.5), Trial(512, rest=0.5)
    trial.add(*figures(rng, 600))
    again.load(trial.state())
    for one in (trial, again):
        assert not one.on
        one.pass_by(299)
        assert not one.on
        one.pass_by(1)
        assert one.on


def test_what_was_found() -> None:
    nearest = np.array([[4, 9, 2], [1, 2, 3], [7, 8, 9]])
    labels, bounds = np.array([9, 4, 5, 8], np.int32), np.array([0, 3, 3, 4])
    assert found(nearest, labels, bounds).tolist() == [[1, pytest.approx(2 / 3)], [0, 1]]
    none = np.zeros((3, 0), np.int64)
    assert found(none, labels, bounds).tolist() == [[0, 0], [0, 0]]
    assert found(nearest, labels[:0], np.zeros(4, np.int64)).shape == (0, 2)
