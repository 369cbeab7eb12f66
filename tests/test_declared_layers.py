"""What a user tells of a plain space: its layers, and in which direction each parameter compresses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.steps.ladder import kinds
from moco.space import SearchSpace
from tests.searchers.layered import layered_space

SPACE: dict[str, BaseDistribution] = {
    "keep1": IntDistribution(10, 100),
    "keep2": IntDistribution(10, 100),
    "sparsity1": FloatDistribution(0.0, 0.9),
    "precision": CategoricalDistribution(("int8", "float32")),
}
GROUPS = {"one": ["keep1", "sparsity1"], "two": ["keep2"]}
WAYS = {"keep1": -1, "keep2": -1, "sparsity1": 1}


def problem(**told: Any) -> Problem:
    return Problem(SPACE, {"top1_error": "minimize", "cost": "minimize"}, **told)


def test_groups_and_directions_become_the_spaces() -> None:
    space = problem(groups=GROUPS, monotone=WAYS).space
    assert [(group.name, group.parameters) for group in space.groups] == [
        ("one", ("keep1", "sparsity1")),
        ("two", ("keep2",)),
    ]
    assert space.neutral == {"keep1": 100, "keep2": 100, "sparsity1": 0.0, "precision": "int8"}
    assert kinds(space) == {"keep": ("keep1", "keep2"), "sparsity": ("sparsity1",), "precision": ("precision",)}


def test_without_groups_like_parameters_are_of_a_kind() -> None:
    space = problem(monotone=WAYS).space
    assert list(kinds(space).values()) == [tuple(SPACE)]  # of three kinds of four parameters none says much
    numbers = {name: d for name, d in SPACE.items() if name.startswith("keep")}
    alike = Problem(numbers, {"cost": "minimize"}, monotone={"keep1": -1, "keep2": -1}).space
    assert list(kinds(alike).values()) == [("keep1", "keep2")]
    assert kinds(problem().space) == {}


def test_a_problem_that_is_made_anew_from_itself_is_the_same() -> None:
    made = problem(groups=GROUPS, monotone=WAYS)
    assert replace(made, constraints={"cost": "<= 1"}).space == made.space
    assert made.copied().monotone == WAYS


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"groups": {"one": ["kep1"]}}, r"groups.one: unknown parameter 'kep1'; did you mean 'keep1'\?"),
        ({"groups": {"one": ["keep1"], "two": ["keep1"]}}, "groups.two: parameter 'keep1' is in group 'one' already"),
        ({"groups": {"one": "keep1"}}, "groups.one: expected a list of names of parameters, got 'keep1'"),
        ({"groups": {"one": []}}, r"groups.one: expected a list of names of parameters, got \[\]"),
        ({"groups": ["keep1"]}, r"groups: expected \{layer: \[parameter, …\]\}, got \['keep1'\]"),
        ({"monotone": {"kep2": 1}}, r"monotone: unknown parameter 'kep2'; did you mean 'keep2'\?"),
        ({"monotone": {"keep1": 2}}, r"monotone.keep1: expected \+1 .* or -1 .*, got 2"),
        ({"monotone": {"keep1": True}}, "monotone.keep1: expected .*, got True"),
        ({"monotone": {"precision": 1}}, "monotone.precision: expected a numeric parameter, got choices"),
        ({"monotone": ["keep1"]}, r"monotone: expected \{parameter: \+1 or -1\}, got \['keep1'\]"),
    ],
)
def test_what_does_not_fit_the_space_is_one_line(told: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line) as caught:
        problem(**told)
    assert "\n" not in str(caught.value)


def test_a_space_that_knows_its_layers_is_not_told_otherwise() -> None:
    with pytest.raises(ConfigError, match="groups: the search space has layer groups of its own"):
        Problem(layered_space(), {"cost": "minimize"}, groups={"one": ["l0.keep"]})
    with pytest.raises(ConfigError, match=r"l0\.keep: the space's own neutral value 16 lies at the other end"):
        Problem(layered_space(), {"cost": "minimize"}, monotone={"l0.keep": 1})
    told = Problem(SearchSpace(SPACE, neutral={**WAYS, "keep1": 100}), {"cost": "minimize"}, monotone={"keep1": -1})
    assert told.space.neutral["keep1"] == 100
