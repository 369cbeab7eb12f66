"""The best trial of a search: feasible before good."""

from __future__ import annotations

from moco.policy import Policy
from moco.trial import Evaluation, MetricValue, Outcome, Suggestion, Trial, TrialState
from moco.trial_rank import best, rank


def complete(number: int, score: float, *violations: float) -> Trial:
    evaluation = Evaluation({"loss": MetricValue(-score)})
    outcome = Outcome((-score,), (None,), violations)
    return Trial(number, Suggestion(number, {}), TrialState.COMPLETE, {}, Policy.of({}), evaluation, outcome, score)


def test_the_best_is_feasible_before_it_is_good() -> None:
    trials = [complete(0, 9.0, 0.1), complete(1, 2.0, -0.1), complete(2, 3.0, 0.0), complete(3, 5.0, 0.2)]

    assert best(trials) is trials[2]


def test_without_a_feasible_one_the_least_violation_is_the_best() -> None:
    trials = [complete(0, 9.0, 0.5, -3.0), complete(1, 2.0, 0.2, 0.2), complete(2, 3.0, 0.45, -9.0)]

    assert best(trials) is trials[1]
    assert rank(trials[0]) < rank(trials[2]) < rank(trials[1])


def test_of_equals_the_earlier_is_the_best_and_of_none_there_is_none() -> None:
    trials = [complete(0, 1.0), complete(1, 2.0), complete(2, 2.0)]

    assert best(trials) is trials[1]
    assert best([Trial(0, Suggestion(0, {}), TrialState.FAILED, {}, reason="x")]) is None
    assert best([]) is None
