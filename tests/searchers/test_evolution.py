from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from optuna.distributions import IntDistribution

from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.evolution import EvolutionOptions, EvolutionSearcher
from moco.testing.loop import finished, points, run, told
from moco.trial import Point, Suggestion, Trial, TrialState

SPACE = {f"n{i}": IntDistribution(0, 1000) for i in range(8)}
ONE_STEP = EvolutionOptions(population=4, tournament=4, startup=1, swap=0.0, copy=0.0, again=0.0)
"""Children differ from their parent by one parameter, so they show who the parent was."""


def problem(constraints: dict[str, str] | None = None) -> Problem:
    return Problem(SPACE, {"sum": "minimize"}, constraints or {})


def losses(point: Point) -> dict[str, float]:
    return {"sum": sum(point.values()), "first": point["n0"]}


def member(value: int, number: int, stated: Problem | None = None, first: int | None = None) -> Trial:
    point = dict.fromkeys(SPACE, value) | ({} if first is None else {"n0": first})
    return finished(stated or problem(), losses, Suggestion(-1 - number, point), number)


def parent_values(searcher: EvolutionSearcher, n: int = 20) -> set[int]:
    """What all parameters but one of each child have in common."""
    children = [sorted(searcher.ask().point.values()) for _ in range(n)]
    return {child[len(child) // 2] for child in children}


def test_the_best_member_has_the_children() -> None:
    assert parent_values(told(EvolutionSearcher(problem(), ONE_STEP, 0), [member(v, v) for v in (30, 10, 20)])) == {10}


def test_the_oldest_dies_even_if_it_is_the_best() -> None:
    members = [member(v, v) for v in (10, 50, 30, 40, 60)]
    assert parent_values(told(EvolutionSearcher(problem(), ONE_STEP, 0), members)) == {30}


def test_a_smaller_tournament_lets_others_have_children() -> None:
    members = [member(v, v) for v in (10, 20, 30, 40)]
    searcher = told(EvolutionSearcher(problem(), replace(ONE_STEP, tournament=2), 0), members)
    assert parent_values(searcher, 60) == {10, 20, 30}, "the worst of four never wins against another"


def test_feasible_members_win_and_the_less_infeasible_before_the_more() -> None:
    stated = problem({"first": ">= 500"})
    infeasible = [member(100, 0, stated, first=400), member(50, 1, stated, first=100)]
    assert parent_values(told(EvolutionSearcher(stated, ONE_STEP, 0), infeasible)) == {100}
    feasible = member(900, 2, stated)
    assert parent_values(told(EvolutionSearcher(stated, ONE_STEP, 0), [*infeasible, feasible])) == {900}


def test_rejected_and_failed_trials_are_no_members() -> None:
    bad = {0: TrialState.REJECTED, 1: TrialState.FAILED}
    searcher = EvolutionSearcher(problem(), replace(ONE_STEP, startup=2), 0)
    run(searcher, problem(), losses, 3, bad=bad)
    assert len(parent_values(searcher)) > 1, "one member is less than the start-up: draws are still uniform"


@pytest.mark.parametrize("k", range(0, 30, 4))
def test_a_restart_goes_on_the_same(k: int) -> None:
    options, bad = EvolutionOptions(population=6, crossover=0.5), {3: TrialState.FAILED, 10: TrialState.REJECTED}
    whole = run(EvolutionSearcher(problem(), options, seed=5), problem(), losses, 30, bad=bad)
    rebuilt = told(EvolutionSearcher(problem(), options, seed=5), whole[:k])
    assert points(run(rebuilt, problem(), losses, 30 - k, first=k, bad=bad)) == points(whole[k:])


@pytest.mark.parametrize(
    "wrong",
    [
        {"population": 1},
        {"tournament": 30},
        {"startup": 0},
        {"step": 0.0},
        {"copy": 0.9, "swap": 0.2},
        {"crossover": 2.0},
        {"again": 1.0},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"searcher\.{next(iter(wrong))}: expected"):
        EvolutionOptions(**wrong)
