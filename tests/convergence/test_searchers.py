"""Searchers that learn find larger fronts than random search at the same number of trials.

A searcher must win on at least 7 of 8 seeds, against random search of the same seed and budget. Two searchers that are
alike would pass once in 28 times: (8 + 1) / 2^8. Branin-Currin is not asked of NSGA-II and TPE: random search covers a
square well, and the front is a curve in both variables.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from benchmarks.known_answers import volume
from benchmarks.problems.known import KNOWN, Known
from benchmarks.problems.layers import instance
from moco import registry
from moco.pareto import front
from moco.testing.loop import run

SEEDS, WINS, TRIALS = range(8), 7, 80


def stated(problem: str, seed: int) -> Known:
    """The problem; the synthetic network of the seed is `layers`, whose loss is below 15 / 4 where half is kept."""
    if problem != "layers":
        return KNOWN[problem]
    layers = instance(seed)
    return Known(layers.problem(), layers.evaluate, (15.0,), 15.0)


def reached(name: str, options: dict[str, Any], problem: str, seed: int) -> float:
    """Hypervolume of the feasible front after the budget."""
    known, cls = stated(problem, seed), registry.plugin("searcher", name)
    trials = run(cls(known.problem, cls.Options(**options), seed), known.problem, known.evaluate, TRIALS)
    return volume([trial.outcome.losses for trial in front(trials) if trial.outcome], known.reference_point)


@cache
def reached_by_random(problem: str, seed: int) -> float:
    return reached("random", {}, problem, seed)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        pytest.param("tpe", {}, "zdt1", marks=pytest.mark.slow),
        ("nsga2", {}, "zdt1"),
        pytest.param("tpe", {}, "constrained zdt1", marks=pytest.mark.slow),
        pytest.param("nsga2", {}, "constrained zdt1", marks=pytest.mark.slow),
        pytest.param("nsga3", {}, "zdt1", marks=pytest.mark.slow),
        pytest.param("nsga3", {}, "constrained zdt1", marks=pytest.mark.slow),
        ("evolution", {}, "rosenbrock"),
        pytest.param("evolution", {}, "zdt1", marks=pytest.mark.slow),
        pytest.param("greybox", {}, "branin-currin", marks=pytest.mark.slow),
        pytest.param("greybox", {}, "c2-dtlz2", marks=pytest.mark.slow),
        ("cmaes", {}, "rosenbrock"),
        pytest.param("cmaes", {}, "layers", marks=pytest.mark.slow),
        ("greedy", {}, "layers"),
        ("binary_search", {}, "layers"),
        ("knapsack", {}, "layers"),
    ],
)
def test_it_beats_random_search(name: str, options: dict[str, Any], problem: str) -> None:
    wins = [reached(name, options, problem, seed) > reached_by_random(problem, seed) for seed in SEEDS]
    assert sum(wins) >= WINS
