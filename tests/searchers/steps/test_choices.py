from __future__ import annotations

from benchmarks.problems.compression_spaces import compression
from moco.problem import Problem
from moco.searchers.models.policy_features import PolicyFeatures
from moco.searchers.steps.choices import ordered, with_ordered_choices
from moco.testing.problems import SPACES


def test_choices_are_listed_from_neutral_to_the_cheapest() -> None:
    """As they are given they run the other way, and two of them are left as they are."""
    problem, names = with_ordered_choices(compression("mobile").problem)
    assert names == {name for name in problem.space.distributions if not name.endswith("drop")}
    assert ordered(problem.space, "layer3.width") == [1.0, 0.75, 0.5, 0.25]
    assert ordered(compression("choices").space, "layer3.precision") == ["float32", "int8", "int4"]


def test_without_exact_costs_choices_have_no_order() -> None:
    problem = Problem(SPACES["mixed"], {"near": "minimize"})
    assert with_ordered_choices(problem)[1] == frozenset()


def test_ordered_choices_have_a_depth() -> None:
    problem, names = with_ordered_choices(compression("choices").problem)
    features = PolicyFeatures(problem.space, ordered=names)
    assert features.width == 20
    light = {**problem.space.neutral, "layer0.width": 0.8}
    inputs = features.of_points([problem.space.neutral, light, {**light, "layer0.width": 0.2}])
    assert inputs[:, 0].tolist() == sorted(inputs[:, 0].tolist())
    shallower, deeper = features.compared(inputs[:1], inputs[1:])
    assert shallower.all()
    assert not deeper.any()


def test_numbers_without_a_direction_are_compared_only_where_they_are_the_same() -> None:
    space = compression("names").problem.space
    features = PolicyFeatures(space, directed={"w0"})
    point = dict(space.neutral)
    inputs = features.of_points([point, {**point, "w0": 6}, {**point, "q0": 4}])
    assert features.compared(inputs[:1], inputs[1:])[0].tolist() == [[True, False]]
