"""Searchers that learn find larger fronts than random search at the same number of trials.

A searcher must win on at least 7 of 8 seeds, against random search of the same seed and budget. Two searchers that are
alike would pass once in 28 times: (8 + 1) / 2^8. Branin-Currin is not asked of NSGA-II, nor of TPE with each variable
by itself (each won 7 of 10 seeds): random search covers a square well, and the front is a curve in both variables.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from benchmarks.problems.known import KNOWN
from moco import registry
from moco.pareto import front, hypervolume
from tests.contracts.loop import run

SEEDS, WINS, TRIALS = range(8), 7, 80


def volume(name: str, options: dict[str, Any], problem: str, seed: int) -> float:
    """Hypervolume of the feasible front after the budget."""
    known, cls = KNOWN[problem], registry.plugin("searcher", name)
    trials = run(cls(known.problem, cls.Options(**options), seed), known.problem, known.evaluate, TRIALS)
    return hypervolume([trial.outcome.losses for trial in front(trials) if trial.outcome], known.reference_point)


@cache
def random_volume(problem: str, seed: int) -> float:
    return volume("random", {}, problem, seed)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("tpe", {}, "zdt1"),
        ("nsga2", {}, "zdt1"),
        ("tpe", {}, "constrained zdt1"),
        ("nsga2", {}, "constrained zdt1"),
        ("tpe", {"multivariate": True}, "branin-currin"),
    ],
)
def test_it_beats_random_search(name: str, options: dict[str, Any], problem: str) -> None:
    wins = [volume(name, options, problem, seed) > random_volume(problem, seed) for seed in SEEDS]
    assert sum(wins) >= WINS
