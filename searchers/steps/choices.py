"""Choices in the order of what they cost: where costs are exact, one that saves more compresses more.

So float32, int8, int4, or widths that stand as choices, are depths like any number's. Choices that cost the same, or
more than the neutral one, have no order.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from optuna.distributions import CategoricalChoiceType, CategoricalDistribution

from moco.problem import Problem
from moco.space import SearchSpace

LEAST = 3  # of two, order says nothing that the choice does not


def with_ordered_choices(problem: Problem) -> tuple[Problem, frozenset[str]]:
    """The problem with such choices listed from neutral to the cheapest, and the names of their parameters."""
    found = {name: ordered(problem.space, name) for name in problem.space.distributions}
    listed = {name: CategoricalDistribution(choices) for name, choices in found.items() if choices}
    space = replace(problem.space, distributions={**problem.space.distributions, **listed})
    return replace(problem, space=space), frozenset(listed)


def ordered(space: SearchSpace, name: str) -> list[CategoricalChoiceType]:
    """The choices from neutral to the cheapest; empty where there is no such order."""
    distribution = space.distributions[name]
    if not isinstance(distribution, CategoricalDistribution) or not space.neutral:
        return []
    whole = space.cost(space.canonical(space.neutral))
    spent = {}
    for place, choice in enumerate(distribution.choices):
        costs = space.cost(space.canonical({**space.neutral, name: choice}))
        spent[place] = sum(costs[key] / whole[key] for key in whole if whole[key])
    places = sorted(spent, key=lambda place: -spent[place])
    strictly = all(spent[a] > spent[b] for a, b in itertools.pairwise(places))
    choices = [distribution.choices[place] for place in places]
    return choices if strictly and choices[0] == space.neutral[name] and len(choices) >= LEAST else []
