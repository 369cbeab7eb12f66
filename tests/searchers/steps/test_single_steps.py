from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from moco.searchers.steps.single_steps import Line, lines, single_steps
from moco.space import SearchSpace
from moco.testing.problems import SPACES
from moco.trial import Point
from tests.searchers.baselines import pruning, quantization


def changed(space: SearchSpace, point: Point) -> dict[str, Any]:
    neutral = space.uniform(0.0)
    return {name: value for name, value in point.items() if value != neutral[name]}


def test_steps_go_level_by_level_through_all_layers() -> None:
    space = pruning().space
    assert [changed(space, step.point) for step in single_steps(space, [0.5, 1.0])] == [
        {"a.keep": 0.5625},
        {"b.keep": 0.5625},
        {"c.keep": 0.5625},
        {"a.keep": 0.125},
        {"b.keep": 0.125},
        {"c.keep": 0.125},
    ]


def test_levels_that_round_to_one_policy_are_one_step() -> None:
    space = pruning().space
    assert [changed(space, step.point) for step in single_steps(space, [0.01, 0.5, 0.51])] == [
        {f"{name}.keep": 0.5625} for name in "abc"
    ]


def test_bits_are_stepped_under_the_choice_that_lets_them_act() -> None:
    space = quantization()
    mixed = {"a.precision": "mixed"}
    assert lines(space, space.uniform(0.0)) == (
        Line("a.keep", "a.keep"),
        Line("a.precision", None, {"a.precision": "int8"}),
        Line("a.precision", None, mixed),
        Line("a.precision", "a.weight_bits", mixed),
    )
    assert [changed(space, step.point) for step in single_steps(space, [0.5, 1.0])] == [
        {"a.precision": "int8"},  # mixed with 8 bits is the same policy
        {"a.keep": 0.75},
        {**mixed, "a.weight_bits": 5},
        {"a.keep": 0.5},
        {**mixed, "a.weight_bits": 2},
    ]


def test_choices_that_were_left_are_not_taken_again() -> None:
    space = quantization()
    at_mixed = {**space.uniform(0.0), "a.precision": "mixed"}
    assert lines(space, at_mixed) == (Line("a.keep", "a.keep"), Line("a.weight_bits", "a.weight_bits"))


def test_a_plain_space_is_stepped_parameter_by_parameter() -> None:
    space = SearchSpace({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(2.0, 4.0)}, neutral={"y": 4.0})
    assert [changed(space, step.point) for step in single_steps(space, [1.0])] == [{"x": 1.0}, {"y": 2.0}]


@pytest.mark.parametrize("name", SPACES)
def test_every_step_is_a_policy_of_its_own(name: str) -> None:
    space = SPACES[name]
    steps = single_steps(space, [0.25, 0.5, 1.0])
    policies = {space.canonical(step.point) for step in steps} | {space.canonical(space.uniform(0.0))}
    assert len(policies) == len(steps) + 1
