from __future__ import annotations

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.nsga2 import NSGA2Searcher
from moco.searchers.shared.generations import GeneticOptions
from moco.testing.loop import finished, points, run, told
from moco.trial import Point, Suggestion, Trial, TrialState

NO_MUTATION = GeneticOptions(population=4, mutation=0.0)
"""Children are made of their parents' values alone, so they show who the parents were."""


def problem(constraints: dict[str, str] | None = None) -> Problem:
    space = {f"n{i}": IntDistribution(0, 1000) for i in range(6)}
    return Problem(space=space, objectives={"sum": "minimize", "first": "maximize"}, constraints=constraints or {})


def losses(point: Point) -> dict[str, float]:
    return {"sum": sum(point.values()), "first": point["n0"]}


def start(values: list[int], number: int) -> Trial:
    point = {f"n{i}": value for i, value in enumerate(values)}
    return finished(problem(), losses, Suggestion(-1 - number, point), number)


def origin(point: Point, trials: list[Trial]) -> bool:
    """Whether each value of the point is that of one of the trials."""
    return all(any(trial.point[name] == value for trial in trials) for name, value in point.items())


def test_starts_are_the_first_parents() -> None:
    parents = [start([n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n], n) for n in range(1, 5)]
    searcher = told(NSGA2Searcher(problem(), NO_MUTATION, seed=0), parents)
    assert all(origin(searcher.ask().point, parents) for _ in range(10))


def test_a_generation_that_is_not_full_breeds_nothing() -> None:
    parents = [start([n] * 6, n) for n in range(1, 4)]
    searcher = told(NSGA2Searcher(problem(), NO_MUTATION, seed=0), parents)
    assert not any(origin(searcher.ask().point, parents) for _ in range(10))


def test_rejected_and_failed_trials_take_no_place_in_a_generation() -> None:
    searcher = NSGA2Searcher(problem(), NO_MUTATION, seed=0)
    bad = {0: TrialState.REJECTED, 1: TrialState.FAILED, 2: TrialState.REJECTED}
    first = [t for t in run(searcher, problem(), losses, 7, bad=bad) if t.state is TrialState.COMPLETE]
    assert len(first) == 4
    assert all(origin(searcher.ask().point, first) for _ in range(10))


def test_late_results_join_the_generation_that_is_being_filled() -> None:
    """Seven asks are pending at once; the fifth to seventh result stand in the second generation, none is lost."""
    searcher = NSGA2Searcher(problem(), NO_MUTATION, seed=0)
    pending = [searcher.ask() for _ in range(7)]
    second = [finished(problem(), lambda _: {"sum": -1.0, "first": 2000.0}, s, n) for n, s in enumerate(pending)][4:]
    first = [finished(problem(), losses, s, n) for n, s in enumerate(pending[:4])]
    told(searcher, [*first, *second])
    told(searcher, [finished(problem(), losses, searcher.ask(), 7)])
    children = [searcher.ask().point for _ in range(20)]
    assert any(origin(child, second) for child in children)


def test_feasible_trials_survive_before_better_infeasible_ones() -> None:
    bounded = problem({"first": ">= 500"})
    infeasible = [[n, 0, 0, 0, 0, 0] for n in (1, 2, 3, 4)]
    feasible = [[500 + n, 900 + n, 900 + n, 900 + n, 900 + n, 900 + n] for n in (1, 2, 3, 4)]
    trials = []
    for number, values in enumerate([*infeasible, *feasible]):
        point = {f"n{i}": value for i, value in enumerate(values)}
        trials.append(finished(bounded, losses, Suggestion(-1 - number, point), number))
    searcher = told(NSGA2Searcher(bounded, NO_MUTATION, seed=0), trials)
    assert all(origin(searcher.ask().point, trials[4:]) for _ in range(20))


@pytest.mark.parametrize("k", range(0, 30, 3))
def test_a_restart_at_any_place_of_a_generation_goes_on_the_same(k: int) -> None:
    options, bad = GeneticOptions(population=4), {3: TrialState.FAILED, 10: TrialState.REJECTED}
    whole = run(NSGA2Searcher(problem(), options, seed=5), problem(), losses, 30, bad=bad)
    rebuilt = told(NSGA2Searcher(problem(), options, seed=5), whole[:k])
    assert points(run(rebuilt, problem(), losses, 30 - k, first=k, bad=bad)) == points(whole[k:])


def test_executed_points_are_the_parents_not_the_proposed_ones() -> None:
    space = {f"x{i}": FloatDistribution(0.5, 1.0) for i in range(3)}
    plain = Problem(space=space, objectives={"loss": "minimize"})
    searcher = NSGA2Searcher(plain, GeneticOptions(population=2, mutation=0.0), seed=0)
    for number, executed in enumerate([0.25, 0.75]):
        suggestion = searcher.ask()
        trial = finished(plain, lambda p: {"loss": sum(p.values())}, suggestion, number)
        searcher.tell(Trial(number, suggestion, trial.state, dict.fromkeys(space, executed), outcome=trial.outcome))
    # 0.25 lies below the space, where rounding may lead: it is learned as the nearest point of the space.
    assert {value for _ in range(10) for value in searcher.ask().point.values()} == {0.5, 0.75}


@pytest.mark.parametrize("wrong", [{"population": 1}, {"crossover": 2.0}, {"swapping": -1.0}, {"mutation": 1.5}])
def test_wrong_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"searcher\.{next(iter(wrong))}: expected"):
        GeneticOptions(**wrong)  # type: ignore[arg-type]
