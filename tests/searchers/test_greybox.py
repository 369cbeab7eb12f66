from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.problems.compression_spaces import compression
from benchmarks.unseen import run as unseen_run
from moco.encoding import encode
from moco.errors import ConfigError
from moco.interfaces import Objective
from moco.objectives.galen import GalenObjective, GalenOptions
from moco.objectives.hybrid import HybridObjective, HybridOptions
from moco.pareto import front, hypervolume
from moco.problem import Problem
from moco.searchers.greybox import GreyboxOptions, GreyboxSearcher
from moco.searchers.random import RandomSearcher
from moco.searchers.steps.directions import with_directions
from moco.searchers.steps.ladder import all_uniform, opening, single_steps
from moco.testing.loop import build, finished, points, run, told
from moco.trial import Point, Suggestion, Trial, TrialState
from moco.trial_rank import best
from tests.searchers.layered import LAYERS, layered_problem, measured

OPENING, STEPS = 4, 2 * LAYERS  # two kinds: neutral, both half way, each half way
BOUNDS = (4, 2) * LAYERS, (16, 8) * LAYERS  # of the plain space's parameters


def values(point: Point) -> Mapping[str, float]:
    """What is measured at the point."""
    return {name: value.value for name, value in measured(point).metrics.items()}


def searched(n: int, seed: int = 0, **options: object) -> tuple[Problem, list[Trial]]:
    """A search of the layered problem."""
    problem = layered_problem()
    searcher = GreyboxSearcher(problem, GreyboxOptions(**options), seed)  # type: ignore[arg-type]
    return problem, run(searcher, problem, values, n)


def values_of_plain(point: Point) -> Mapping[str, float]:
    """Error and a cost that must be measured."""
    found = values(point)
    return {"top1_error": found["top1_error"], "cost": (found["latency_ms"] / 9 + found["bops"] / 4096) / 2}


def plain(n: int) -> tuple[Problem, list[Trial]]:
    """A search of the same parameters without groups, neutral values and exact costs."""
    space = dict(layered_problem().space.distributions.items())
    problem = Problem(space, {"top1_error": "minimize", "cost": "minimize"})
    return problem, run(GreyboxSearcher(problem, GreyboxOptions(ladder=8), 0), problem, values_of_plain, n)


def volume(problem: Problem, trials: list[Trial]) -> float:
    return hypervolume([trial.outcome.losses for trial in front(trials) if trial.outcome], (0.15, 1.0))


def test_the_ladder_begins_with_neutral_and_half_ways_and_goes_on_with_uniform_policies() -> None:
    problem, trials = searched(OPENING + 2)
    assert points(trials[:OPENING]) == [dict(point) for point in opening(problem.space)]
    rungs = all_uniform(problem.space)
    for point in points(trials[OPENING:]):
        assert any(np.array_equal(encode(problem.space, point), rung) for rung in rungs)


def test_the_ladder_ends_where_other_policies_are_worth_more() -> None:
    """Of twenty asks that may be rungs, hardly a late one is: in four layers the model soon knows better."""
    _, trials = searched(20)
    alike = [len({p[f"l{i}.keep"] for i in range(LAYERS)}) == 1 for p in points(trials)]
    assert all(alike[: OPENING + 2])
    assert sum(alike[10:]) <= 2


def test_single_steps_around_the_knee_follow_where_they_are_asked_for() -> None:
    problem, trials = searched(6 + STEPS, ladder=6, steps=STEPS)
    steps = points(trials[6:])
    knees = [point for point in points(trials[:6]) if steps[0] in single_steps(problem.space, point, 20)]
    assert len(knees) == 1
    assert steps == [dict(point) for point in single_steps(problem.space, knees[0], 20)]


def test_rungs_that_were_starts_are_not_asked_again() -> None:
    problem = layered_problem()
    ladder = opening(problem.space)
    started = [finished(problem, values, Suggestion(-1 - n, ladder[n]), n) for n in (0, 2)]
    searcher = told(GreyboxSearcher(problem, GreyboxOptions(), 0), started)
    assert [dict(searcher.ask().point) for _ in range(2)] == [dict(ladder[n]) for n in (1, 3)]


def test_directions_are_learned_from_both_ends_of_a_plain_space() -> None:
    """Told nothing, it goes on from the ends as with the directions, and finds more than from Sobol points."""
    problem, trials = plain(12)
    low, high = (dict(zip(problem.space.distributions, each, strict=True)) for each in BOUNDS)
    assert points(trials[:2]) == [low, high]
    asked = {tuple(point[f"l{i}.keep"] for i in range(LAYERS)) for point in points(trials[2:5])}
    assert asked == {(10,) * LAYERS, (16,) * LAYERS}  # half way in both, in one and in the other


def test_where_one_end_is_better_in_everything_nothing_is_learned() -> None:
    space = dict(layered_problem().space.distributions.items())
    problem = Problem(space, {"top1_error": "minimize", "cost": "minimize"})

    def alike(point: Point) -> Mapping[str, float]:
        share = sum(float(v) for v in point.values()) / 200
        return {"top1_error": share, "cost": 1 + share}

    trials = run(GreyboxSearcher(problem, GreyboxOptions(ladder=4), 0), problem, alike, 4)
    told_of = told(GreyboxSearcher(problem, GreyboxOptions(ladder=4), 0), trials)
    assert with_directions(problem, told_of._told) is None
    assert len({tuple(p.values()) for p in points(trials)}) == 4


@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_a_restart_goes_on_where_directions_were_learned(k: int) -> None:
    problem, trials = plain(16)
    searcher = told(GreyboxSearcher(problem, GreyboxOptions(ladder=8), 0), trials[:k])
    assert points(run(searcher, problem, values_of_plain, 16 - k, first=k)) == points(trials[k:])


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


def test_the_model_adds_to_the_ladder() -> None:
    problem, trials = searched(50)
    assert volume(problem, trials) > 1.1 * volume(problem, trials[:12])


@pytest.mark.slow
def test_on_a_space_that_it_was_not_tuned_on_it_is_above_the_ladder_by_hand_and_tpe_after_it() -> None:
    """Fifty evaluations against a hundred, of 21 plain parameters of which the directions are told."""
    sparse = compression("sparse")
    ours = unseen_run(sparse, "greybox", 0, 50)["shares"][-1]
    theirs = unseen_run(sparse, "ladder + tpe", 0, 100)["shares"]
    assert ours > theirs[-1] > theirs[len(sparse.ladder()) - 1]


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


TWO_SIDED = GalenObjective(GalenOptions(metric="bops", target=0.06, bounded=False))
ABOVE = HybridObjective(HybridOptions(metric="macs", target="0.4x"))


def of_protocol(objective: Objective) -> Problem:
    """The layered space under a protocol whose score bends at a target."""
    problem = layered_problem()
    return objective.problem(problem.space, measured(problem.space.neutral).metrics)


def best_score(name: str, problem: Problem, n: int, seed: int = 0, **options: object) -> float:
    """The best of so many trials; there are no bounds."""
    trials = run(build(name, problem, seed, options), problem, values, n)
    return max(trial.score for trial in trials if trial.score is not None)


@pytest.mark.parametrize(("objective", "reached"), [(TWO_SIDED, 0.69), (ABOVE, 0.90)], ids=["two sides", "above alone"])
def test_a_score_that_bends_at_a_target_is_climbed_on_every_seed(objective: Objective, reached: float) -> None:
    """Never below the uniform ladder, and near the best that is known, 0.71 and 0.918; 40 trials, three seeds.

    Where the best trial lies below the target the score's slope there says that more cost is better without end.
    """
    problem = of_protocol(objective)
    ladder = best_score("uniform", problem, 40)
    for seed in range(3):
        assert best_score("greybox", problem, 40, seed, optimise="score") > max(ladder, reached)


def test_rungs_come_to_the_target_from_both_sides() -> None:
    """Of the first ten uniform policies one is within a tenth of the target; of the opening none is within a third."""
    problem = of_protocol(TWO_SIDED)
    trials = run(build("greybox", problem, 0, {"optimise": "score"}), problem, values, 10)
    whole = values(problem.space.neutral)["bops"]
    off = [abs(values(point)["bops"] / whole / 0.06 - 1) for point in points(trials)]
    assert min(off[:OPENING]) > 1 / 3
    assert min(off) < 0.1


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
    bad = dict.fromkeys(range(OPENING), TrialState.FAILED)
    trials = run(GreyboxSearcher(problem, GreyboxOptions(), 0), problem, values, OPENING + 10, bad=bad)
    assert len({trial.policy for trial in trials}) == OPENING + 10


@pytest.mark.parametrize(
    ("options", "named"),
    [({"ladder": 0}, "ladder"), ({"steps": -1}, "steps"), ({"optimise": "all"}, "optimise")],
)
def test_options_are_checked(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=f"searcher.{named}: expected"):
        GreyboxOptions(**options)  # type: ignore[arg-type]
