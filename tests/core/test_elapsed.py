"""The clock of a search: the wall's, however many workers there are, over all its sessions, given starts left out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from moco import study as study_module
from moco.policy import Policy
from moco.study import Budget, Start, Study
from moco.trial import Evaluation, MetricValue
from tests.core.studies import WIDE, Learner, ListLedger

WORKERS = 4


class Clock:
    """Seconds that pass only while all workers are at work, a second each time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.together = threading.Barrier(WORKERS, action=self.second, timeout=30)

    def second(self) -> None:
        self.now_s += 1.0

    def evaluate(self, policy: Policy) -> Evaluation:
        """Takes a second, beside those of the other workers."""
        self.together.wait()
        return Evaluation({"loss": MetricValue(float(policy.settings["n"]))})

    def alone(self, policy: Policy) -> Evaluation:
        """Takes a second."""
        self.second()
        return Evaluation({"loss": MetricValue(float(policy.settings["n"]))})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(study_module, "time", SimpleNamespace(perf_counter=lambda: found.now_s))
    return found


def searched(clock: Clock, ledger: ListLedger, budget: Budget, starts: Sequence[Start] = ()) -> Study:
    study = Study(WIDE, Learner(script=list(range(1000, 1100))), clock.evaluate, ledger=ledger, starts=starts)
    with ThreadPoolExecutor(WORKERS) as pool:
        study.run(budget, executor=pool, workers=WORKERS)
    return study


def test_workers_share_the_seconds_and_a_resumed_search_counts_them_once(clock: Clock) -> None:
    ledger = ListLedger()
    study = searched(clock, ledger, Budget(8))
    assert sum(trial.seconds for trial in study.trials) == 8
    assert study.elapsed_s == 2
    clock.now_s += 1000  # between the sessions
    assert Study(WIDE, Learner(), clock.evaluate, ledger=ledger).elapsed_s == 2
    assert searched(clock, ledger, Budget(12)).elapsed_s == 3


def test_a_time_budget_of_a_resumed_search_is_what_is_left_of_it(clock: Clock) -> None:
    ledger = ListLedger()
    assert len(searched(clock, ledger, Budget(8)).trials) == 8
    study = searched(clock, ledger, Budget(100, seconds=4))
    assert (len(study.trials), study.elapsed_s) == (16, 4)
    assert len(searched(clock, ledger, Budget(100, seconds=4)).trials) == 16


def test_given_starts_take_no_time_with_workers_either(clock: Clock) -> None:
    ledger, given = ListLedger(), [Start(f"given {n}", {"n": n}, given=True) for n in range(WORKERS)]
    study = searched(clock, ledger, Budget(4), given)
    assert len(study.trials) == 8
    assert [trial.elapsed_s for trial in study.trials] == [0] * 4 + [1] * 4
    assert Study(WIDE, Learner(), clock.evaluate, ledger=ledger).elapsed_s == 1


def test_the_ledger_of_an_older_moco_adds_its_trials_up(clock: Clock) -> None:
    ledger = ListLedger()
    given = [Start("given", {"n": 0}, given=True)]
    Study(WIDE, Learner(), clock.alone, ledger=ledger, starts=given).run(Budget(3))
    ledger.recorded = [replace(trial, elapsed_s=None) for trial in ledger.recorded]
    study = Study(WIDE, Learner(), clock.alone, ledger=ledger)
    assert study.elapsed_s == 3
    study.run(Budget(5))
    assert study.elapsed_s == 5
    assert [trial.elapsed_s for trial in ledger.recorded] == [None, None, None, None, 4, 5]
    # An older moco that goes on with a newer one's ledger.
    ledger.recorded.append(replace(ledger.recorded[-1], number=6, seconds=2.0, elapsed_s=None))
    assert Study(WIDE, Learner(), clock.alone, ledger=ledger).elapsed_s == 7
