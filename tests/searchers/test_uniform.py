from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.uniform import UniformOptions, UniformSearcher, levels
from moco.space import SearchSpace


def proposed(space: SearchSpace, n: int, steps: int = 4) -> list[dict[str, object]]:
    searcher = UniformSearcher(Problem(space, {"loss": "minimize"}), UniformOptions(steps), seed=0)
    return [dict(searcher.ask().point) for _ in range(n)]


def keep_and_precision(keep: FloatDistribution | IntDistribution) -> SearchSpace:
    precision = CategoricalDistribution(("int8", "float32"))
    return SearchSpace({"keep": keep, "precision": precision}, neutral={"keep": keep.high, "precision": "float32"})


def test_each_pass_halves_the_step_and_visits_what_is_new() -> None:
    walk = levels(2)
    assert [next(walk) for _ in range(9)] == [0, 0.5, 1, 0.25, 0.75, 0.125, 0.375, 0.625, 0.875]


def test_levels_end_and_are_never_repeated() -> None:
    all_levels = list(levels(4))
    assert len(set(all_levels)) == len(all_levels) == 1025


def test_the_walk_goes_from_light_to_heavy_with_every_variant() -> None:
    assert proposed(keep_and_precision(FloatDistribution(0.2, 1.0)), 6, steps=2) == [
        {"keep": 1.0, "precision": "float32"},
        {"keep": 1.0, "precision": "int8"},
        {"keep": pytest.approx(0.6), "precision": "float32"},
        {"keep": pytest.approx(0.6), "precision": "int8"},
        {"keep": pytest.approx(0.2), "precision": "float32"},
        {"keep": pytest.approx(0.2), "precision": "int8"},
    ]


def test_levels_that_round_alike_are_visited_once_and_the_walk_begins_anew() -> None:
    walk = proposed(keep_and_precision(IntDistribution(1, 2)), 6)
    assert [(p["keep"], p["precision"]) for p in walk] == [
        (2, "float32"), (2, "int8"), (1, "float32"), (1, "int8"), (2, "float32"), (2, "int8"),
    ]  # fmt: skip


def test_a_walk_needs_a_step() -> None:
    with pytest.raises(ConfigError, match=r"searcher\.steps: expected a whole number of at least 1, got 0"):
        UniformOptions(steps=0)
