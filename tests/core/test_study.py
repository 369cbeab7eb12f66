"""The loop: budget, starts, duplicates, what fails a trial, resume, order of record and tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco import study as study_module
from moco.errors import ConfigError, PolicyRejectedError
from moco.interfaces import SearcherCapabilities
from moco.policy import Policy
from moco.problem import Problem
from moco.space import SearchSpace
from moco.study import Budget, Start, Study
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState
from tests.core.studies import FINITE, WIDE, Evaluate, Learner, ListLedger, numbers


class Shown:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def start(self, manifest: Mapping[str, Any], folder: Path) -> None: ...

    def report(self, trial: Trial) -> None:
        self.log.append(f"report {trial.number}")

    def finish(self, result: Mapping[str, Any], folder: Path) -> None: ...

    def abandon(self) -> None: ...


@pytest.mark.parametrize(
    ("capabilities", "reason"),
    [
        (SearcherCapabilities(categorical=False), "no categorical parameters, the space has 'kind'"),
        (SearcherCapabilities(multi_objective=False), "one objective, the problem has 2"),
        (SearcherCapabilities(constraints=False), "no constraints"),
        (SearcherCapabilities(needs_layers=True), "a plain space does not have"),
    ],
)
def test_a_searcher_that_cannot_take_the_problem_is_refused(capabilities: SearcherCapabilities, reason: str) -> None:
    space = SearchSpace({"n": IntDistribution(0, 9), "kind": CategoricalDistribution(["a", "b"])})
    problem = Problem(space, {"loss": "minimize", "cost": "minimize"}, {"loss": "<= 3"})
    searcher = Learner(problem)
    Study(problem, searcher, Evaluate())
    searcher.capabilities = capabilities
    with pytest.raises(ConfigError, match=reason):
        Study(problem, searcher, Evaluate())


def test_a_budget_of_trials_is_kept() -> None:
    study = Study(WIDE, Learner(), Evaluate())

    assert len(study.run(Budget(7))) == 7
    assert [trial.number for trial in study.trials] == list(range(7))
    assert study.n_distinct == 7


def test_a_larger_budget_goes_on_where_the_first_ended() -> None:
    once, twice = Study(WIDE, Learner(), Evaluate()), Study(WIDE, Learner(), Evaluate())
    twice.run(Budget(4))

    assert numbers(twice.run(Budget(9))) == numbers(once.run(Budget(9)))


def test_a_spent_budget_asks_nothing() -> None:
    searcher = Learner()
    assert Study(WIDE, searcher, Evaluate()).run(Budget(0)) == []
    assert Study(WIDE, searcher, Evaluate()).run(Budget(5, seconds=0.0)) == []
    assert searcher.asks == 0


class Clock:
    """Stands in for the module `time` within the study."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(study_module, "time", clock)
    return clock


def taking(clock: Clock, seconds: float) -> Callable[[Policy], Evaluation]:
    def evaluate(policy: Policy) -> Evaluation:
        clock.now += seconds
        return Evaluation({"loss": MetricValue(float(policy.settings["n"]))})

    return evaluate


def test_a_budget_of_seconds_ends_after_the_trial_that_spends_it(clock: Clock) -> None:
    study = Study(WIDE, Learner(), taking(clock, 2.0))

    assert len(study.run(Budget(100, seconds=7.0))) == 4
    assert study.elapsed_s == 8.0
    assert [trial.seconds for trial in study.trials] == [2.0] * 4


def test_seconds_of_earlier_sessions_count(clock: Clock) -> None:
    ledger = ListLedger()
    Study(WIDE, Learner(), taking(clock, 2.0), ledger=ledger).run(Budget(3))
    clock.now += 1000.0  # between the sessions
    resumed = Study(WIDE, Learner(), taking(clock, 2.0), ledger=ledger)

    assert resumed.elapsed_s == 6.0
    assert len(resumed.run(Budget(100, seconds=9.0))) == 5


def test_workers_share_the_clock_not_their_sum(clock: Clock) -> None:
    study = Study(WIDE, Learner(), taking(clock, 1.0))
    study.run(Budget(4), workers=2)  # inline, so one after the other: 4 s, though trials overlap

    assert study.elapsed_s == 4.0


def test_starts_come_first_and_count_in_the_budget() -> None:
    starts = [Start("reference", {"n": 5}), Start("ladder 0.5", {"n": 7})]
    study = Study(WIDE, Learner(script=[1, 2, 3]), Evaluate(), starts=starts)
    trials = study.run(Budget(4))

    assert numbers(trials) == [5, 7, 1, 2]
    assert [trial.origin for trial in trials] == ["reference", "ladder 0.5", "search", "search"]
    assert [trial.suggestion.id for trial in trials] == [-1, -2, 0, 1]


def test_the_searcher_is_told_the_starts_too() -> None:
    searcher = Learner()
    Study(WIDE, searcher, Evaluate(), starts=[Start("reference", {"n": 5})]).run(Budget(1))

    assert [trial.origin for trial in searcher.told] == ["reference"]


def test_a_repeated_policy_is_told_again_but_evaluated_once() -> None:
    evaluate, searcher = Evaluate(), Learner(script=[4, 4, 5, 4])
    trials = Study(WIDE, searcher, evaluate).run(Budget(4))

    assert evaluate.calls == [4, 5]
    assert [trial.distinct for trial in trials] == [True, False, True, False]
    assert [trial.suggestion.id for trial in searcher.told] == [0, 1, 2, 3]
    assert trials[1].outcome == trials[0].outcome
    assert trials[1].evaluation is not None
    assert "score" in trials[0].evaluation.seconds  # type: ignore[union-attr]
    assert "score" not in trials[1].evaluation.seconds  # nothing was spent on scoring it again


def test_a_rejected_policy_is_told_and_not_tried_again() -> None:
    evaluate = Evaluate({2: PolicyRejectedError("no such width")})
    searcher = Learner(script=[1, 2, 2, 3])
    trials = Study(WIDE, searcher, evaluate).run(Budget(4))

    assert [trial.state.value for trial in trials] == ["complete", "rejected", "rejected", "complete"]
    assert (trials[1].reason, trials[1].evaluation, trials[1].score) == ("no such width", None, None)
    assert evaluate.calls == [1, 2, 3]
    assert searcher.told == trials


def test_a_failed_policy_is_told_and_may_be_tried_again() -> None:
    evaluate = Evaluate({2: ValueError("broken")})
    trials = Study(WIDE, Learner(script=[1, 2, 2, 3]), evaluate).run(Budget(4))

    assert [trial.state.value for trial in trials] == ["complete", "failed", "failed", "complete"]
    assert trials[1].reason == "ValueError: broken"
    assert evaluate.calls == [1, 2, 2, 3]
    assert not trials[1].feasible


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_fails_the_trial(value: float) -> None:
    searcher = Learner(script=[1, 2])
    trials = Study(WIDE, searcher, Evaluate(loss=lambda n: value if n == 1 else 1.0)).run(Budget(2))

    assert [trial.state for trial in trials] == [TrialState.FAILED, TrialState.COMPLETE]
    assert "not a finite number" in str(trials[0].reason)
    assert searcher.told[0].outcome is None
    assert searcher.told[0].evaluation is None


def test_a_missing_metric_fails_the_trial() -> None:
    trials = Study(WIDE, Learner(), lambda policy: Evaluation({"los": MetricValue(1.0)})).run(Budget(1))

    assert trials[0].state is TrialState.FAILED
    assert "did you mean 'los'" in str(trials[0].reason)


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 7, 11])
def test_a_resumed_search_equals_the_uninterrupted_one(cut: int) -> None:
    starts = [Start("reference", {"n": 5}), Start("ladder 0.5", {"n": 7})]
    whole = Study(WIDE, Learner(), Evaluate(), starts=starts).run(Budget(11))
    ledger = ListLedger()
    Study(WIDE, Learner(), Evaluate(), starts=starts, ledger=ledger).run(Budget(cut))
    evaluate = Evaluate()
    resumed = Study(WIDE, Learner(), evaluate, starts=starts, ledger=ledger).run(Budget(11))

    assert [t.suggestion for t in resumed] == [t.suggestion for t in whole]
    assert [t.number for t in ledger.recorded] == list(range(11))
    assert len(evaluate.calls) == 11 - cut


def test_a_resumed_search_knows_the_policies_of_its_ledger() -> None:
    ledger = ListLedger()
    Study(WIDE, Learner(script=[3]), Evaluate(), ledger=ledger).run(Budget(1))
    evaluate = Evaluate()
    trials = Study(WIDE, Learner(script=[3]), evaluate, ledger=ledger).run(Budget(2))

    assert evaluate.calls == []
    assert not trials[1].distinct


def test_a_requested_stop_ends_after_the_running_trial() -> None:
    study = Study(WIDE, Learner(), Evaluate())

    def stop(trial: Trial) -> None:
        study.stop_requested = trial.number == 2

    assert len(study.run(Budget(100), on_trial=stop)) == 3


def test_an_exhausted_space_ends_the_search() -> None:
    searcher = Learner(FINITE, script=list(range(10)))
    trials = Study(FINITE, searcher, Evaluate()).run(Budget(1000))

    assert sorted(numbers(trials)) == list(range(10))


def test_rejected_policies_count_towards_an_exhausted_space() -> None:
    evaluate = Evaluate({n: PolicyRejectedError("no") for n in range(5)})
    trials = Study(FINITE, Learner(FINITE, script=list(range(10))), evaluate).run(Budget(1000))

    assert len(trials) == 10


def test_a_trial_is_recorded_and_reported_before_the_searcher_and_the_user_hear_of_it() -> None:
    log: list[str] = []
    searcher = Learner()
    tell = searcher.tell
    searcher.tell = lambda trial: (log.append(f"tell {trial.number}"), tell(trial))  # type: ignore[method-assign,assignment]
    study = Study(WIDE, searcher, Evaluate(), ledger=ListLedger(log), reporters=[Shown(log)])
    study.run(Budget(2), on_trial=lambda trial: log.append(f"show {trial.number}"))

    assert log == [f"{what} {n}" for n in range(2) for what in ("record", "report", "tell", "show")]


def test_a_trial_that_cannot_be_recorded_is_not_told() -> None:
    class Full(ListLedger):
        def record(self, trial: Trial) -> None:
            raise OSError("the disk is full")

    searcher = Learner()
    with pytest.raises(OSError, match="the disk is full"):
        Study(WIDE, searcher, Evaluate(), ledger=Full()).run(Budget(3))
    assert searcher.told == []


def test_the_searcher_is_told_what_was_executed() -> None:
    problem = Problem(SearchSpace({"n": FloatDistribution(0.0, 10.0, step=2.0)}), {"loss": "minimize"})

    class Off:
        told: list[Trial] = []  # noqa: RUF012

        capabilities = SearcherCapabilities()

        def ask(self) -> Suggestion:
            return Suggestion(0, {"n": 3.1})

        def tell(self, trial: Trial) -> None:
            self.told.append(trial)

    searcher = Off()
    Study(problem, searcher, Evaluate()).run(Budget(1))  # type: ignore[arg-type]

    assert searcher.told[0].point == {"n": 4.0}
    assert searcher.told[0].suggestion.point == {"n": 3.1}


def test_seconds_of_asking_and_recording_stand_in_the_evaluation() -> None:
    trials = Study(WIDE, Learner(), Evaluate(), ledger=ListLedger()).run(Budget(2))

    assert all(set(t.evaluation.seconds) == {"score", "search", "record"} for t in trials)  # type: ignore[union-attr]
    assert trials[0].evaluation.seconds["record"] == 0.0  # type: ignore[union-attr]  # charged to the next one
    assert trials[1].evaluation.seconds["record"] > 0.0  # type: ignore[union-attr]


def test_the_time_of_telling_is_charged_to_the_search_of_the_next_trial(clock: Clock) -> None:
    class Slow(Learner):
        def tell(self, trial: Trial) -> None:
            clock.now += 3.0
            super().tell(trial)

    study = Study(WIDE, Slow(), taking(clock, 2.0))
    trials = study.run(Budget(3))

    assert [trial.seconds for trial in trials] == [2.0, 5.0, 5.0]
    assert [t.evaluation.seconds["search"] for t in trials] == [0.0, 3.0, 3.0]  # type: ignore[union-attr]
    assert study.elapsed_s == 15.0


def test_policies_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    n_policies = SearchSpace.n_policies
    monkeypatch.setattr(SearchSpace, "n_policies", lambda space: counted.append(0) or n_policies(space))
    Study(FINITE, Learner(FINITE, script=list(range(10))), Evaluate()).run(Budget(5))

    assert len(counted) == 1
