"""A study with finalists, which its searcher never hears of; with a clock; and one that stalls."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import pytest

from moco.errors import CompressionError
from moco.finalists.history import STEPS, finalists
from moco.improvement import Improvement
from moco.policy import Policy
from moco.processor_clock import ProcessorClock
from moco.run.starts import baselines
from moco.study import Budget, Study
from moco.tracking.optuna_trial import to_entry, to_trial
from moco.trial import FINALIST, NEIGHBOUR_OF, Evaluation, MetricValue, Suggestion, TrialState
from tests.core.studies import WIDE, Evaluate, Learner, ListLedger

TRAINED = Policy(Policy.of({"n": 3}).text, weights="f00d")
ASKED = Suggestion(-1_000_000, {"n": 3}, {FINALIST: {"of": 1, "round": 0, "steps": 20}})


def trained() -> tuple[Policy, Evaluation]:
    return TRAINED, Evaluation({"loss": MetricValue(0.5)})


def test_a_finalist_is_recorded_and_no_searcher_hears_of_it() -> None:
    ledger, searcher = ListLedger(), Learner()
    study = Study(WIDE, searcher, Evaluate(), ledger=ledger)
    study.run(Budget(3))
    finalist = study.add(ASKED, Policy.of({"n": 3}), trained)
    assert (finalist.number, finalist.origin, finalist.policy) == (3, "finalist", TRAINED)
    assert ledger.recorded[-1] == finalist
    assert not finalist.is_start
    assert baselines(study.trials) == []
    assert study.n_counted == 3
    assert len(study.run(Budget(5))) == 6  # it took nothing from the budget
    resumed = Learner()
    Study(WIDE, resumed, Evaluate(), ledger=ledger)
    for heard in (searcher, resumed):
        assert [trial.number for trial in heard.told] == [0, 1, 2, 4, 5]


def test_what_is_suggested_beside_the_searcher_goes_first_and_counts() -> None:
    searcher = Learner(script=[9, 8, 7])
    study = Study(WIDE, searcher, Evaluate())
    study.run(Budget(2))
    study.suggest(Suggestion(-500_000, {"n": 3}, {NEIGHBOUR_OF: 1}))
    trials = study.run(Budget(4))

    assert [trial.point["n"] for trial in trials] == [9, 8, 3, 7]
    assert [trial.number for trial in searcher.told] == [0, 1, 2, 3]
    assert (trials[2].origin, trials[2].is_start, baselines(trials)) == ("search", False, [])


def test_a_training_that_fails_is_a_failed_trial_of_the_untrained_policy() -> None:
    study = Study(WIDE, Learner(), Evaluate())

    def diverging() -> tuple[Policy, Evaluation]:
        raise CompressionError("the loss is nan in step 3")

    failed = study.add(ASKED, Policy.of({"n": 3}), diverging)
    assert (failed.state, failed.policy, failed.reason) == (
        TrialState.FAILED,
        Policy.of({"n": 3}),
        "CompressionError: the loss is nan in step 3",
    )
    assert len(study.run(Budget(2))) == 3


def test_steps_that_were_made_count_where_fewer_than_asked_were() -> None:
    study = Study(WIDE, Learner(), Evaluate())
    study.add(ASKED, Policy.of({"n": 3}), trained)
    short = replace(trained()[1], details={STEPS: 12})
    study.add(replace(ASKED, id=ASKED.id - 1), Policy.of({"n": 3}), lambda: (TRAINED, short))
    assert [one.steps for one in finalists(study.trials)] == [20, 12]


def test_weights_make_another_policy_which_the_ledger_keeps() -> None:
    assert TRAINED != TRAINED.untrained == Policy.of({"n": 3})
    assert len({TRAINED.key, TRAINED.untrained.key, replace(TRAINED, weights="beef").key}) == 3
    study = Study(WIDE, Learner(), Evaluate(), clock=count(1).__next__)
    trial = study.add(ASKED, TRAINED.untrained, trained)
    entry = to_entry(trial, WIDE.space.distributions, [])
    entry.system_attrs = json.loads(json.dumps(entry.system_attrs))
    assert to_trial(entry) == trial
    assert trial.processor_s == 1


def test_a_searcher_hears_what_trials_promise_and_anew_when_that_changes() -> None:
    def promised(share: float):  # type: ignore[no-untyped-def]
        def heard(trial):  # type: ignore[no-untyped-def]
            return replace(trial, score=-share * trial.outcome.losses[0])

        return heard

    first, second = Learner(), Learner()
    study = Study(WIDE, first, Evaluate(), heard=promised(0.5))
    study.run(Budget(2))
    assert [trial.score for trial in first.told] == [0.5 * trial.score for trial in study.trials]
    study.begin_anew(second, promised(0.1))
    study.run(Budget(3))
    assert [trial.score for trial in second.told] == [pytest.approx(0.1 * trial.score) for trial in study.trials]
    assert len(first.told) == 2


def test_a_budget_of_processor_seconds_ends_the_search() -> None:
    clock = count(0, 10)
    study = Study(WIDE, Learner(), Evaluate(), clock=clock.__next__)
    assert 1 <= len(study.run(Budget(100, processor_seconds=45))) <= 3  # it is read before and after each trial


def test_a_search_that_stalls_ends_and_so_does_its_continuation() -> None:
    ledger = ListLedger()
    script = [9, 5, 5, 4, 7, 8, 6, 9, 4, 3]
    study = Study(WIDE, Learner(script=script), Evaluate(), ledger=ledger)
    assert len(study.run(Budget(100, patience=4))) == 8  # 4 at the fourth was the last that was better
    again = Study(WIDE, Learner(script=script), Evaluate(), ledger=ledger)
    assert len(again.run(Budget(100, patience=4))) == 8


def test_a_search_that_begins_anew_has_all_its_patience() -> None:
    study = Study(WIDE, Learner(script=[9, 5, 5, 6, 7]), Evaluate())
    assert len(study.run(Budget(100, patience=3))) == 5
    assert len(study.run(Budget(100, patience=3))) == 5
    study.begin_anew(Learner(script=[8, 9, 7, 6]))
    assert len(study.run(Budget(100, patience=3))) == 8


def test_less_than_a_hundredth_better_is_no_improvement() -> None:
    seen = Improvement()
    for rank, since in (
        ((False, -3.0), 0),
        (None, 1),
        ((False, -2.99), 2),
        ((False, -2.0), 0),
        ((True, -9.0), 0),
        ((False, -0.1), 1),
        ((True, -8.95), 2),
        ((True, -8.0), 0),
    ):
        seen.see(rank, counted=True)
        assert seen.since == since
    seen.see(None, counted=False)
    assert seen.since == 0


def test_the_processor_clock_counts_work_and_not_waiting() -> None:
    clock = ProcessorClock(earlier_s=100)
    before = clock()
    while clock() < before + 0.03:
        sum(range(10_000))
    assert before + 0.03 <= clock() < 110
