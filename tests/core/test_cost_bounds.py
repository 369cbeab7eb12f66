from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from moco.cost_bounds import Repair
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Point
from tests.searchers.baselines import MACS, Eighths, pruning


def used(problem: Problem, point: Point) -> float:
    return problem.space.cost(problem.space.canonical(point))["macs"]


@pytest.mark.parametrize("fill", [True, False])
def test_what_is_too_heavy_is_made_lighter_until_it_just_fits(fill: bool) -> None:
    problem = pruning({"macs": "<= 500"})
    repaired = Repair(problem)(np.array([1.0, 0.5, 0.2]), fill)
    assert 400 < used(problem, repaired) <= 500
    assert repaired["a.keep"] > repaired["b.keep"] > repaired["c.keep"]


def test_what_fits_is_left_alone_or_filled() -> None:
    problem = pruning({"macs": "<= 500"})
    light = np.array([0.1, 0.2, 0.3])
    left, filled = (Repair(problem)(light, fill) for fill in (False, True))
    assert left["a.keep"] == pytest.approx(0.125 + 0.1 * 0.875)
    assert used(problem, left) < 300
    assert 400 < used(problem, filled) <= 500


@pytest.mark.parametrize("bound", [{}, {"error": "<= 0.1"}, {"macs": "<= 1"}])
def test_nothing_is_repaired_without_an_exact_bound_that_can_be_met(bound: dict[str, str]) -> None:
    repair = Repair(pruning(bound))
    assert not repair.binds
    assert repair(np.ones(3), fill=True) == dict.fromkeys([f"{name}.keep" for name in MACS], 1.0)


def test_the_light_end_is_neutral_where_the_far_one_is_heavy() -> None:
    """A space without a neutral point begins at its lower bounds."""
    space = SearchSpace({f"{name}.keep": FloatDistribution(0.125, 1.0) for name in MACS}, codec=Eighths())
    stated = Problem(space, {"error": "minimize"}, {"macs": "<= 500"})
    assert Repair(stated).binds
    assert used(stated, Repair(stated)(np.ones(3), fill=False)) <= 500
