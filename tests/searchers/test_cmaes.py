from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from cmaes import CMA, CMAwM  # type: ignore[import-untyped]
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.problems.layers import instance
from moco.errors import ConfigError
from moco.problem import Problem
from moco.randomness import derived_seed
from moco.searchers.cmaes import CMAESOptions, CMAESSearcher, values_of
from moco.study import Study
from moco.testing.loop import finished, points, run, told
from moco.trial import Evaluation, MetricValue, Outcome, Point, Suggestion, Trial, TrialState

CUBE = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(5)}


def problem(space: dict[str, Any] | None = None, constraints: dict[str, str] | None = None) -> Problem:
    return Problem(space or CUBE, {"value": "minimize"}, constraints or {})


def valley(point: Point) -> dict[str, float]:
    x = list(point.values())
    return {"value": sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x)), "first": x[0]}


def bowl(point: Point) -> dict[str, float]:
    return {"value": sum((i + 1) * (x - 0.3) ** 2 for i, x in enumerate(point.values()))}


def vectors(trials: list[Trial]) -> np.ndarray:
    return np.array([list(trial.suggestion.point.values()) for trial in trials])


def test_it_proposes_what_the_bare_package_proposes() -> None:
    """Five generations of CMA-ES with the same seed, first mean and first deviation."""
    searched = vectors(run(CMAESSearcher(problem(), CMAESOptions(), seed=3), problem(), valley, 40))
    bounds, seed = np.array([[0.0, 1.0]] * 5), derived_seed(3, "searcher", "cmaes", 0)
    bare, drawn = CMA(mean=np.full(5, 0.5), sigma=0.3, bounds=bounds, seed=seed), []
    for _ in range(5):
        generation = [bare.ask() for _ in range(bare.population_size)]
        bare.tell([(x, valley(dict(zip(CUBE, x, strict=True)))["value"]) for x in generation])
        drawn += generation
    np.testing.assert_allclose(searched, drawn, rtol=0, atol=1e-12)


def test_integers_are_proposed_as_cmaes_with_margin_proposes_them() -> None:
    space = {"n": IntDistribution(2, 8), "bits": IntDistribution(1, 4), "x": FloatDistribution(0.0, 1.0)}

    def loss(n: float, bits: float, x: float) -> float:
        return float((n - 3) ** 2 + (bits - 4) ** 2 + (x - 0.7) ** 2)

    searcher = CMAESSearcher(problem(space), CMAESOptions(population=6), seed=1)
    trials = run(searcher, problem(space), lambda p: {"value": loss(**p)}, 12)
    steps = np.array([1 / 7, 1 / 4, 0.0])
    bare = CMAwM(
        mean=np.full(3, 0.5),
        sigma=0.3,
        bounds=np.stack([steps / 2, 1 - steps / 2], axis=1),
        steps=steps,
        seed=derived_seed(1, "searcher", "cmaes", 0),
        population_size=6,
    )
    known: dict[tuple[float, ...], float] = {}
    for _ in range(3):
        generation = [bare.ask() for _ in range(6)]
        decoded = [(2 + np.floor(7 * u), 1 + np.floor(4 * v), w) for (u, v, w), _ in generation]
        bare.tell([(x, loss(*point)) for (_, x), point in zip(generation, decoded, strict=True)])
        known |= {point: loss(*point) for point in decoded}
    assert all(tuple(trial.suggestion.point.values()) in known for trial in trials)


def test_it_comes_to_the_bottom_of_a_bowl() -> None:
    trials = run(CMAESSearcher(problem(), CMAESOptions(), seed=0), problem(), bowl, 300)
    assert min(trial.outcome.losses[0] for trial in trials if trial.outcome) < 1e-4


def test_the_best_earlier_trial_is_the_first_mean() -> None:
    far, near = (dict.fromkeys(CUBE, value) for value in (0.1, 0.9))
    starts = [finished(problem(), valley, Suggestion(-1 - n, point), n) for n, point in enumerate((far, near))]
    searcher = told(CMAESSearcher(problem(), CMAESOptions(sigma=0.01), seed=0), starts)
    assert np.abs(np.array(list(searcher.ask().point.values())) - 0.9).max() < 0.1


def test_feasible_before_infeasible_before_more_infeasible() -> None:
    def trial(score: float, violation: float) -> Trial:
        outcome = Outcome((-score,), (None,), (violation,))
        return Trial(0, Suggestion(0, {}), TrialState.COMPLETE, {}, outcome=outcome, score=score)

    trials = [trial(-5.0, -1.0), trial(3.0, 0.5), trial(-2.0, 0.0), trial(99.0, 0.1)]
    assert list(np.argsort(values_of(trials))) == [2, 0, 3, 1]
    assert list(np.argsort(values_of([trials[1], trials[3]]))) == [1, 0]


def test_a_generation_is_filled_by_the_first_results_and_survives_bad_ones() -> None:
    """Every third trial fails; the bottom is still reached, with as many results."""
    bad = {n: (TrialState.FAILED, TrialState.REJECTED)[n % 2] for n in range(0, 450, 3)}
    trials = run(CMAESSearcher(problem(), CMAESOptions(), seed=0), problem(), bowl, 450, bad=bad)
    assert min(trial.outcome.losses[0] for trial in trials if trial.outcome) < 1e-4


@pytest.mark.parametrize("k", range(0, 60, 7))
def test_a_restart_at_any_place_of_a_generation_goes_on_the_same(k: int) -> None:
    space = {"n": IntDistribution(0, 9), "x": FloatDistribution(0.1, 1.0), "y": FloatDistribution(1e-3, 1.0, log=True)}
    stated, bad = problem(space, {"first": "<= 7"}), {3: TrialState.FAILED, 10: TrialState.REJECTED}
    whole = run(CMAESSearcher(stated, CMAESOptions(), seed=5), stated, valley, 60, bad=bad)
    rebuilt = told(CMAESSearcher(stated, CMAESOptions(), seed=5), whole[:k])
    assert points(run(rebuilt, stated, valley, 60 - k, first=k, bad=bad)) == points(whole[k:])


def test_asks_beyond_the_generation_are_draws_of_their_own() -> None:
    searcher = CMAESSearcher(problem(), CMAESOptions(population=4), seed=0)
    pending = [searcher.ask() for _ in range(12)]
    assert len({tuple(suggestion.point.values()) for suggestion in pending}) == 12
    told(searcher, [finished(problem(), valley, suggestion, n) for n, suggestion in enumerate(reversed(pending))])
    assert searcher.ask().notes["generation"] >= 1


def test_a_converged_search_begins_anew_with_a_larger_population() -> None:
    one = problem({"x": FloatDistribution(0.0, 1.0)})
    trials = run(CMAESSearcher(one, CMAESOptions(), seed=0), one, lambda p: {"value": (p["x"] - 0.3) ** 2}, 400)
    x = vectors(trials)[:, 0].reshape(40, 10)
    spread = x.max(axis=1) - x.min(axis=1)
    converged = int(np.argmax(spread < 1e-5))
    assert 0 < converged < 30
    assert spread[converged:].max() > 0.1


@pytest.mark.parametrize("repair", ["shrink", "fill"])
def test_repaired_points_meet_exact_bounds_and_fill_them(repair: str) -> None:
    layers = instance(0)
    stated = layers.problem()
    trials = run(CMAESSearcher(stated, CMAESOptions(repair=repair), seed=0), stated, layers.evaluate, 30)
    used = [stated.space.cost(trial.policy)["macs"] / layers.macs.sum() for trial in trials if trial.policy]
    assert all(trial.feasible for trial in trials)
    assert max(used) <= 0.5
    assert (repair == "fill") == (min(used) > 0.48)


def test_without_repair_a_bound_is_missed() -> None:
    layers = instance(0)
    stated = layers.problem()
    trials = run(CMAESSearcher(stated, CMAESOptions(repair="none"), seed=0), stated, layers.evaluate, 30)
    assert not all(trial.feasible for trial in trials)


def test_it_refuses_categories() -> None:
    stated = problem({"c": CategoricalDistribution(("a", "b"))})
    with pytest.raises(ConfigError, match="takes no categorical parameters, the space has 'c'"):
        Study(stated, CMAESSearcher(stated, CMAESOptions(), 0), lambda _: Evaluation({"value": MetricValue(0.0)}))


@pytest.mark.parametrize("wrong", [{"sigma": 0.0}, {"sigma": "1"}, {"population": 1}, {"repair": "yes"}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"searcher\.{next(iter(wrong))}: expected"):
        CMAESOptions(**wrong)
