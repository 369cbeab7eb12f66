"""A wrapped library suggests what the bare one suggests, from the same seed and the same trials told.

The spaces are continuous, where no policy comes twice: moco redraws those.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import GPSampler, NSGAIISampler, TPESampler

from moco.problem import Problem
from moco.testing.loop import build, points, run
from moco.trial import Point
from tests.searchers.bare import optuna_points, select_parents


def problem(losses: int, constraints: dict[str, str]) -> Problem:
    space = {name: FloatDistribution(0.0, 1.0) for name in "abcdx"}
    space["y"] = FloatDistribution(1e-3, 1.0, log=True)
    return Problem(space, dict.fromkeys(["near", "far"][:losses], "minimize"), constraints)


def evaluate(point: Point) -> dict[str, float]:
    x, y = point["x"], point["y"]
    return {"near": x**2 + y, "far": (1 - x) ** 2 + y, "sum": x + y}


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(level)


@pytest.mark.parametrize("constraints", [{}, {"sum": "<= 0.8"}], ids=["free", "constrained"])
@pytest.mark.parametrize("losses", [1, 2])
class TestOptuna:
    def test_tpe(self, losses: int, constraints: dict[str, str]) -> None:
        stated = problem(losses, constraints)

        wrapped = points(run(build("tpe", stated, 5), stated, evaluate, 30))

        assert wrapped == optuna_points(stated, evaluate, lambda seed: TPESampler(seed=seed), 5, 30)

    def test_nsga2(self, losses: int, constraints: dict[str, str]) -> None:
        stated = problem(losses, constraints)

        wrapped = points(run(build("nsga2", stated, 5, {"mutation": 0.5}), stated, evaluate, 30))

        make = partial(NSGAIISampler, population_size=10, mutation_prob=0.5)  # half of the values: no child is a copy
        assert wrapped == optuna_points(stated, evaluate, lambda seed: make(seed=seed), 5, 30, select_parents)

    def test_gp(self, losses: int, constraints: dict[str, str]) -> None:
        stated = problem(losses, constraints)

        wrapped = points(run(build("gp", stated, 5, {"startup": 3}), stated, evaluate, 6))

        make = partial(GPSampler, n_startup_trials=3)
        assert wrapped == optuna_points(stated, evaluate, lambda seed: make(seed=seed), 5, 6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # bare Ax warns of its own calls; the wrapped one keeps quiet
@pytest.mark.parametrize("constraints", [{}, {"sum": "<= 0.8"}], ids=["free", "constrained"])
@pytest.mark.parametrize("losses", [1, 2])
def test_ax(losses: int, constraints: dict[str, str]) -> None:
    from tests.searchers.bare_ax import ax_points

    stated = problem(losses, constraints)

    wrapped = points(run(build("ax", stated, 5), stated, evaluate, 7))

    assert wrapped == ax_points(stated, evaluate, 5, 7)
