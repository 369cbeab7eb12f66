from __future__ import annotations

import pytest
from optuna.distributions import IntDistribution

from moco.problem import Problem
from moco.searchers.shared.trial_history import LOST_AFTER, TrialHistory
from moco.testing.loop import finished, without_result
from moco.trial import Suggestion, Trial, TrialState

PROBLEM = Problem({"n": IntDistribution(0, 9)}, {"n": "minimize"})


def complete(n: int, number: int) -> Trial:
    return finished(PROBLEM, lambda p: {"n": p["n"]}, Suggestion(number, {"n": n}), 0)


def bad(n: int, number: int) -> Trial:
    return without_result(PROBLEM, Suggestion(number, {"n": n}), 0, TrialState.FAILED)


@pytest.fixture
def told() -> TrialHistory:
    return TrialHistory()


def test_the_first_result_counts_and_replaces_a_failure(told: TrialHistory) -> None:
    first, again = complete(3, 1), complete(3, 2)
    for trial in (bad(3, 0), first, again, bad(3, 3)):
        told.add(trial)
    assert told.complete(PROBLEM.space.canonical({"n": 3})) is first


def test_a_failure_is_told_but_no_result(told: TrialHistory) -> None:
    told.add(bad(3, 0))
    policy = PROBLEM.space.canonical({"n": 3})
    assert policy in told
    assert told.complete(policy) is None
    assert told.best is None


def test_the_best_is_the_earliest_of_the_best_results(told: TrialHistory) -> None:
    trials = [complete(5, 0), complete(2, 1), complete(2, 2), bad(0, 3)]
    for trial in trials:
        told.add(trial)
    assert told.best is trials[1]


def test_a_plan_passes_over_what_is_pending(told: TrialHistory) -> None:
    for number in (0, 2):
        told.add(complete(number, number))
    assert told.n_pending(5) == 3
    assert told.next_of("abcdef", 5) == "d"
    assert told.next_of("abc", 5) is None


def test_starts_are_not_pending(told: TrialHistory) -> None:
    told.add(complete(1, -1))
    assert told.n_pending(0) == 0


def test_an_ask_that_a_crash_has_lost_is_not_waited_for_without_end(told: TrialHistory) -> None:
    for number in range(1, 1 + LOST_AFTER):
        assert told.n_pending(number) == 1
        told.add(complete(1, number))
    assert told.n_pending(1 + LOST_AFTER) == 0
