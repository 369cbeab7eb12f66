"""The loop with several workers."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from moco.policy import Policy
from moco.study import Budget, Study
from moco.trial import Evaluation, MetricValue, Suggestion, TrialState
from tests.core.studies import WIDE, Evaluate, Learner, ListLedger, numbers


def test_workers_evaluate_at_once_and_come_back_in_any_order() -> None:
    together = threading.Barrier(3, timeout=30)
    delays = {0: 0.05, 1: 0.0, 2: 0.02}

    def evaluate(policy: Policy) -> Evaluation:
        together.wait()
        time.sleep(delays[policy.settings["n"] % 3])
        return Evaluation({"loss": MetricValue(float(policy.settings["n"]))})

    searcher = Learner(script=list(range(9)))
    with ThreadPoolExecutor(3) as pool:
        # Three at once, then three more: without three workers the barrier breaks and the trials fail.
        study = Study(WIDE, searcher, evaluate)
        for budget in (3, 6, 9):
            study.run(Budget(budget), executor=pool, workers=3)

    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 9
    assert sorted(numbers(study.trials)) == list(range(9))
    assert [trial.number for trial in study.trials] == list(range(9))
    assert all(trial.outcome.losses == (float(trial.point["n"]),) for trial in study.trials)  # type: ignore[union-attr]
    assert searcher.told == study.trials


def test_workers_keep_the_budget_and_lose_nothing() -> None:
    ledger = ListLedger()
    with ThreadPoolExecutor(4) as pool:
        study = Study(WIDE, Learner(), Evaluate({}), ledger=ledger)
        study.run(Budget(23), executor=pool, workers=4)

    assert len(ledger.recorded) == 23
    assert sorted(trial.suggestion.id for trial in ledger.recorded) == list(range(23))


def test_a_policy_under_way_is_not_evaluated_a_second_time() -> None:
    started, release = threading.Event(), threading.Event()
    evaluate = Evaluate()

    def slow(policy: Policy) -> Evaluation:
        started.set()
        release.wait(30)
        return evaluate(policy)

    searcher = Learner(script=[4, 4, 4, 5])
    asked = searcher.ask

    def ask() -> Suggestion:
        if searcher.asks == 3:
            release.set()  # the twins were asked while the first was under way
        return asked()

    searcher.ask = ask  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as pool:
        trials = Study(WIDE, searcher, slow).run(Budget(4), executor=pool, workers=4)

    assert started.is_set()
    assert sorted(evaluate.calls) == [4, 5]
    assert sorted(trial.distinct for trial in trials if trial.point["n"] == 4) == [False, False, True]
    assert all(trial.state is TrialState.COMPLETE for trial in trials)


def test_a_twin_of_a_failed_trial_gets_an_evaluation_of_its_own() -> None:
    calls = itertools.count()
    both = threading.Event()

    def evaluate(policy: Policy) -> Evaluation:
        both.wait(30)
        if next(calls) == 0:
            raise ValueError("once")
        return Evaluation({"loss": MetricValue(1.0)})

    searcher = Learner(script=[4, 4])
    asked = searcher.ask

    def ask() -> Suggestion:
        if searcher.asks == 1:
            both.set()
        return asked()

    searcher.ask = ask  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        trials = Study(WIDE, searcher, evaluate).run(Budget(2), executor=pool, workers=2)

    assert [trial.state.value for trial in trials] == ["failed", "complete"]


def test_an_interrupt_leaves_through_the_loop() -> None:
    def interrupted(policy: Policy) -> Evaluation:
        raise KeyboardInterrupt

    study = Study(WIDE, Learner(), interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.run(Budget(3))
    assert study.trials == []
