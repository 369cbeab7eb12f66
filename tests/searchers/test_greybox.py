from __future__ import annotations

from collections.abc import Mapping

import pytest

from moco.errors import ConfigError
from moco.pareto import front, hypervolume
from moco.problem import Problem
from moco.searchers.greybox import GreyboxOptions, GreyboxSearcher
from moco.searchers.random import RandomSearcher
from moco.searchers.steps.ladder import rungs, single_steps
from moco.study import best
from moco.testing.loop import finished, points, run, told
from moco.trial import Point, Suggestion, Trial, TrialState
from tests.searchers.layered import LAYERS, layered_problem, measured

RUNGS, STEPS = 15, 2 * LAYERS


def values(point: Point) -> Mapping[str, float]:
    """What is measured at the point."""
    return {name: value.value for name, value in measured(point).metrics.items()}


def searched(n: int, seed: int = 0, **options: object) -> tuple[Problem, list[Trial]]:
    """A search of the layered problem."""
    problem = layered_problem()
    searcher = GreyboxSearcher(problem, GreyboxOptions(**options), seed)  # type: ignore[arg-type]
    return problem, run(searcher, problem, values, n)


def volume(problem: Problem, trials: list[Trial]) -> float:
    return hypervolume([trial.outcome.losses for trial in front(trials) if trial.outcome], (0.15, 1.0))


def test_the_ladder_comes_first_and_then_steps_around_its_knee() -> None:
    problem, trials = searched(RUNGS + STEPS)
    assert points(trials[:RUNGS]) == [dict(point) for point in rungs(problem.space, 20)]
    steps = points(trials[RUNGS:])
    knees = [point for point in points(trials[:RUNGS]) if steps[0] in single_steps(problem.space, point, 20)]
    assert len(knees) == 1
    assert steps == [dict(point) for point in single_steps(problem.space, knees[0], 20)]


def test_rungs_that_were_starts_are_not_asked_again() -> None:
    problem = layered_problem()
    ladder = rungs(problem.space, 20)
    started = [finished(problem, values, Suggestion(-1 - n, ladder[n]), n) for n in (0, 3)]
    searcher = told(GreyboxSearcher(problem, GreyboxOptions(), 0), started)
    asked = [dict(searcher.ask().point) for _ in range(4)]
    assert asked == [dict(ladder[n]) for n in (1, 2, 4, 5)]


def test_no_policy_is_proposed_twice() -> None:
    _, trials = searched(60)
    assert len({trial.policy for trial in trials}) == 60


@pytest.mark.slow
def test_it_finds_more_of_the_front_than_random_search() -> None:
    """At 50 trials, on each of four seeds; the ladder is the same for all of them."""
    for seed in range(4):
        problem, trials = searched(50, seed)
        others = run(RandomSearcher(problem, RandomSearcher.Options(), seed), problem, values, 50)
        assert volume(problem, trials) > 1.1 * volume(problem, others)


def test_the_model_adds_to_the_ladder_and_the_steps() -> None:
    problem, trials = searched(60)
    designed, ladder = volume(problem, trials[: RUNGS + STEPS]), volume(problem, trials[:RUNGS])
    assert designed >= ladder
    assert volume(problem, trials) > 1.02 * designed


def test_the_score_alone_is_optimised_where_that_is_asked() -> None:
    """Of 4 layers, the best that 3,000 random policies give is found by 50 trials."""
    problem, trials = searched(50, optimise="score")
    others = run(RandomSearcher(problem, RandomSearcher.Options(), 1), problem, values, 3000)
    found, reference = best(trials), best(others)
    assert found is not None
    assert reference is not None
    assert found.feasible
    assert found.score is not None
    assert reference.score is not None
    assert found.score >= reference.score


@pytest.mark.parametrize("optimise", ["losses", "score"])
@pytest.mark.parametrize("k", [10, 20, 26])
def test_a_restart_goes_on_as_if_uninterrupted_with_layers(k: int, optimise: str) -> None:
    problem, trials = searched(30, optimise=optimise)
    searcher = told(GreyboxSearcher(problem, GreyboxOptions(optimise=optimise), 0), trials[:k])
    assert points(run(searcher, problem, values, 30 - k, first=k)) == points(trials[k:])


def test_nothing_feasible_is_survived_and_mended() -> None:
    """With a floor that the uniform policies miss, the model goes to where the bounds are met."""
    problem = layered_problem()
    tight = Problem(
        problem.space, problem.objectives, {"top1_error": "<= 0.06", "cost": "<= 0.7"}, derived=problem.derived
    )
    searcher = GreyboxSearcher(tight, GreyboxOptions(ladder=3, steps=0), 0)
    trials = run(searcher, tight, values, 40)
    assert not any(trial.feasible for trial in trials[:3])
    assert any(trial.feasible for trial in trials)


def test_failed_rungs_do_not_hold_it_up() -> None:
    problem = layered_problem()
    bad = dict.fromkeys(range(RUNGS), TrialState.FAILED)
    trials = run(GreyboxSearcher(problem, GreyboxOptions(), 0), problem, values, RUNGS + 10, bad=bad)
    assert len({trial.policy for trial in trials}) == RUNGS + 10


@pytest.mark.parametrize(
    ("options", "named"),
    [({"ladder": 0}, "ladder"), ({"steps": -1}, "steps"), ({"optimise": "all"}, "optimise")],
)
def test_options_are_checked(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=f"searcher.{named}: expected"):
        GreyboxOptions(**options)  # type: ignore[arg-type]
