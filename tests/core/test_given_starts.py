"""Starts that count in the budget and starts that are given, and starts by points."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from moco import study as study_module
from moco.errors import ConfigError
from moco.run.uniform_starts import starts_of
from moco.space import SearchSpace
from moco.study import Budget, Start, Study
from tests.core.studies import FINITE, WIDE, Evaluate, Learner, ListLedger, numbers
from tests.core.test_study import Clock

STARTS = (Start("ladder", {"n": 1}), Start("stored 1", {"n": 2}, given=True), Start("stored 2", {"n": 3}, given=True))


def origins(study: Study) -> list[str]:
    return [trial.origin for trial in study.trials]


def test_given_starts_come_first_and_count_in_no_budget() -> None:
    study = Study(WIDE, Learner(), Evaluate(), starts=STARTS)
    study.run(Budget(3))
    assert origins(study) == ["stored 1", "stored 2", "ladder", "search", "search"]
    assert [trial.suggestion.given for trial in study.trials] == [True, True, False, False, False]
    assert study.n_counted == 3


def test_given_starts_are_evaluated_though_the_budget_is_spent() -> None:
    study = Study(WIDE, Learner(), Evaluate(), starts=STARTS)
    study.run(Budget(0))
    assert origins(study) == ["stored 1", "stored 2"]


def test_a_given_start_that_repeats_a_policy_is_given_too() -> None:
    study = Study(WIDE, Learner(), Evaluate(), starts=[*STARTS, Start("again", {"n": 2}, given=True)])
    study.run(Budget(1))
    assert study.n_counted == 1
    assert [trial.distinct for trial in study.trials] == [True, True, False, True]


def test_a_finite_space_that_given_starts_exhaust_is_searched_no_further() -> None:
    searcher = Learner(FINITE)
    study = Study(FINITE, searcher, Evaluate(), starts=[Start(f"g{n}", {"n": n}, given=True) for n in range(10)])
    assert len(study.run(Budget(50))) == 10
    assert searcher.asks == 0


@pytest.mark.parametrize("interrupted", range(1, 6))
def test_a_resumed_search_goes_on_with_the_starts_that_are_left(interrupted: int) -> None:
    whole = Study(WIDE, Learner(), Evaluate(), starts=STARTS)
    whole.run(Budget(4))
    ledger = ListLedger()
    first = Study(WIDE, Learner(), Evaluate(), starts=STARTS, ledger=ledger)

    def stop(_: Any) -> None:
        first.stop_requested = len(first.trials) == interrupted

    first.run(Budget(4), on_trial=stop)
    assert len(ledger.trials()) == interrupted
    second = Study(WIDE, Learner(), Evaluate(), starts=STARTS, ledger=ledger)
    second.run(Budget(4))
    assert numbers(second.trials) == numbers(whole.trials)
    assert origins(second) == origins(whole)
    assert second.n_counted == 4


def test_seconds_of_given_starts_are_not_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(study_module, "time", clock)

    class Slow(Evaluate):
        def __call__(self, policy: Any) -> Any:
            clock.now += 10.0
            return super().__call__(policy)

    ledger = ListLedger()
    study = Study(WIDE, Learner(), Slow(), starts=STARTS, ledger=ledger)
    study.run(Budget(100, seconds=25.0))
    assert origins(study) == ["stored 1", "stored 2", "ladder", "search", "search"]
    assert study.elapsed_s == pytest.approx(30.0)
    assert Study(WIDE, Learner(), Slow(), starts=STARTS, ledger=ledger).elapsed_s == pytest.approx(30.0)


SPACE = SearchSpace(
    {"keep": FloatDistribution(0.3, 1.0), "precision": CategoricalDistribution(["float32", "int8"])},
    neutral={"keep": 1.0, "precision": "float32"},
)
HALF = {"keep": 0.5, "precision": "int8"}


def test_starts_may_be_kinds_points_and_starts() -> None:
    found = starts_of(SPACE, ["reference", HALF, Start("mine", {**HALF, "keep": 0.6}, given=True)])
    assert [(start.name, start.given) for start in found] == [("reference", False), ("point 1", False), ("mine", True)]
    assert found[1].point == HALF


def test_a_start_that_rounds_to_an_earlier_one_is_left_out() -> None:
    assert len(starts_of(SPACE, ["ladder", "reference", dict(SPACE.neutral)])) == len(starts_of(SPACE, "ladder"))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["lader"], r"unknown start 'lader'; did you mean 'ladder'"),
        (["ladder", {"kep": 0.5}], r"^start\[1\]: point: unknown parameter 'kep'; did you mean 'keep'"),
        ([{"keep": 0.5}], r"^start\[0\]: point: parameter 'precision' is missing"),
        ([{**HALF, "keep": 0.1}], r"^start\[0\]: point: keep = 0\.1 is outside"),
        ([Start("mine", {**HALF, "precision": "int4"})], r"^start\[0\]: point: precision = 'int4' is outside"),
        ([3], r"^start\[0\]: "),
    ],
)
def test_starts_outside_of_the_space_are_refused_by_their_place(chosen: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        starts_of(SPACE, chosen)
