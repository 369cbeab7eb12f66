from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import NSGAIIISampler

from moco.errors import ConfigError
from moco.problem import Problem
from moco.randomness import derived_seed, generator
from moco.searchers.nsga3 import NSGA3Options, NSGA3Searcher, divisions_for
from moco.testing.loop import points, run, told
from moco.trial import Point, TrialState

SPACE = {
    "x": FloatDistribution(0.0, 1.0),
    "n": IntDistribution(0, 1000),
    "c": CategoricalDistribution(("a", "b", "c")),
}


def problem() -> Problem:
    return Problem(SPACE, {"one": "minimize", "two": "minimize", "three": "minimize"})


def losses(point: Point) -> dict[str, float]:
    x, n = point["x"], point["n"] / 1000
    return {"one": x + n, "two": (1 - x) ** 2 + n, "three": (1 - n) ** 2 + "abc".index(point["c"])}


@pytest.mark.filterwarnings("ignore:NSGAIIISampler is experimental")
def test_it_proposes_what_bare_optuna_proposes() -> None:
    """An Optuna study of its own, with the same seed at each draw and at each selection; repeats are drawn anew."""
    options, seed, n = NSGA3Options(population=6), 3, 40
    searched = points(run(NSGA3Searcher(problem(), options, seed), problem(), losses, n))
    study = optuna.create_study(directions=["minimize"] * 3)
    made = {"population_size": 6, "dividing_parameter": divisions_for(6, 3)}
    bare: list[Point] = []
    for number in range(n):
        if number and number % 6 == 0:
            study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)  # Optuna renews its list of trials then
            selecting = NSGAIIISampler(seed=derived_seed(seed, "searcher", "selection", number // 6), **made)
            selecting.get_parent_population(study, number // 6)
        rng = generator(seed, "searcher", number)
        while True:
            study.sampler = NSGAIIISampler(seed=int(rng.integers(2**32)), **made)
            trial = study.ask(SPACE)  # type: ignore[arg-type]
            if trial.params not in bare:
                break
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        study.tell(trial, list(losses(trial.params).values()))
        bare.append(trial.params)
    assert searched == bare


@pytest.mark.parametrize("k", range(0, 20, 3))
def test_a_restart_at_any_place_of_a_generation_goes_on_the_same(k: int) -> None:
    options, bad = NSGA3Options(population=4), {3: TrialState.FAILED, 10: TrialState.REJECTED}
    whole = run(NSGA3Searcher(problem(), options, seed=5), problem(), losses, 20, bad=bad)
    rebuilt = told(NSGA3Searcher(problem(), options, seed=5), whole[:k])
    assert points(run(rebuilt, problem(), losses, 20 - k, first=k, bad=bad)) == points(whole[k:])


@pytest.mark.parametrize(
    ("population", "n_losses", "expected"),
    [(92, 3, 12), (100, 2, 99), (10, 2, 9), (10, 3, 3), (2, 3, 1), (10, 1, 1)],
)
def test_there_are_about_as_many_directions_as_members(population: int, n_losses: int, expected: int) -> None:
    """The paper's table I: 12 divisions, 91 directions and a population of 92 for three losses."""
    assert divisions_for(population, n_losses) == expected


@pytest.mark.parametrize("wrong", [{"population": 1}, {"crossover": 2.0}, {"divisions": 0}, {"divisions": 1.5}])
def test_wrong_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"searcher\.{next(iter(wrong))}: expected"):
        NSGA3Options(**wrong)  # type: ignore[arg-type]
