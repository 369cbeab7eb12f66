from __future__ import annotations

from dataclasses import replace

import pytest

from moco.policy import Policy
from moco.searchers.agents.layer_rewards import FLAT, LIMIT, RANKS, RewardScale, reward, rewards, scale_of, teaches
from moco.trial import Outcome, Suggestion, Trial, TrialState

SCALE = RewardScale(mean=2.0, deviation=0.5)


def trial(score: float, violation: float = -1.0) -> Trial:
    outcome = Outcome((-score,), (None,), (violation,))
    return Trial(
        0, Suggestion(0, {}), TrialState.COMPLETE, {}, policy=Policy.of({"x": score}), outcome=outcome, score=score
    )


def rejected() -> Trial:
    return replace(trial(0.0), state=TrialState.REJECTED, outcome=None, score=None)


def test_scores_are_counted_in_deviations_from_the_mean() -> None:
    assert reward(trial(2.75), SCALE) == 1.5
    assert reward(trial(1.5), SCALE) == -1.0


def test_whatever_meets_the_bounds_earns_more_than_what_does_not() -> None:
    assert reward(trial(-100.0), SCALE) == -LIMIT
    assert reward(trial(100.0, violation=1e-6), SCALE) < -LIMIT
    assert reward(trial(100.0, violation=0.5), SCALE) == -1.5 * LIMIT
    assert reward(trial(100.0, violation=7.0), SCALE) == reward(rejected(), SCALE) == -2 * LIMIT


def test_a_flat_penalty_is_fifty_of_the_scores_units() -> None:
    assert reward(trial(1.0, violation=0.1), SCALE, FLAT) == (-50.0 - 2.0) / 0.5


def test_ranks_put_feasibility_first_and_are_normal_quantiles() -> None:
    """Of four: quantiles of 1/8, 3/8, 5/8 and 7/8, from tables of the normal distribution."""
    told = [trial(5.0), trial(900.0, violation=0.1), rejected(), trial(6.0)]
    assert rewards(told, None, RANKS) == pytest.approx([0.3186, -0.3186, -1.1503, 1.1503], abs=1e-4)


def test_ranks_know_no_units_and_equals_are_equal() -> None:
    told = [trial(score) for score in (1.0, 4.0, 4.0, 1e9)]
    assert rewards(told, None, RANKS) == pytest.approx(rewards([trial(s) for s in (1.0, 2.0, 2.0, 3.0)], None, RANKS))
    assert rewards(told, None, RANKS)[1] == rewards(told, None, RANKS)[2] == 0.0


def test_until_there_is_a_scale_only_feasibility_counts() -> None:
    assert [reward(trial(score), None) for score in (-3.0, 5.0)] == [0.0, 0.0]
    assert reward(trial(5.0, violation=0.1), None) < -LIMIT


def test_the_first_feasible_trials_fix_the_scale() -> None:
    scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 70.0]
    told = [trial(9.0, violation=1.0), *map(trial, scores)]
    assert scale_of(told[:6], startup=7) is None
    assert scale_of(told, startup=7) == RewardScale(3.5, pytest.approx((35 / 12) ** 0.5))


def test_where_feasible_trials_are_rare_the_first_five_fix_the_scale() -> None:
    told = [*[trial(9.0, violation=1.0)] * 8, *map(trial, [1.0, 2.0, 3.0, 4.0])]
    assert scale_of(told, startup=6) is None
    assert scale_of([*told, trial(5.0), trial(99.0)], startup=6) == RewardScale(3.0, pytest.approx(2**0.5))


def test_scores_in_other_units_earn_the_same() -> None:
    scores = [0.3, -0.2, 0.9, 0.1, 0.4, 0.8]
    earned = []
    for unit in (1.0, 100.0):
        told = [trial(unit * score) for score in scores]
        earned.append([reward(t, scale_of(told, 3)) for t in told])
    assert earned[0] == pytest.approx(earned[1], abs=1e-12)


def test_nothing_is_learned_from_a_failed_trial() -> None:
    assert teaches(trial(1.0))
    assert teaches(rejected())
    assert not teaches(replace(rejected(), state=TrialState.FAILED))
    assert not teaches(replace(rejected(), policy=None))


def test_the_score_may_be_the_reward_as_it_is() -> None:
    """Also of what misses a bound; a rejected policy earns the least."""
    given = [trial(3.0), trial(-50.0, violation=0.4), rejected()]
    assert rewards(given, RewardScale(1.0, 2.0), "score").tolist() == [3.0, -50.0, -50.0]
