"""Small changes of a point that are natural to layer groups, and the crossing of two points.

A *unit* is a layer group, or a parameter that belongs to none. Parameters of two units correspond where what they are
called after their group's name is the same, and so are their distributions: `layer1.0.keep` and `layer2.0.keep`. All
functions draw from the generator that they are given and return a new point of the space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise

import numpy as np
from optuna.distributions import CategoricalDistribution

from moco.encoding import from_unit, to_unit
from moco.space import SearchSpace, n_values
from moco.trial import Point

Unit = Mapping[str, str]
"""Parameters of a unit by what they are called after the unit's name; a parameter of its own has the empty name."""


def units(space: SearchSpace) -> tuple[Unit, ...]:
    """The layer groups in the order of the forward pass, then the parameters that belong to none."""
    grouped = [{name.removeprefix(f"{group.name}."): name for name in group.parameters} for group in space.groups]
    owned = {name for group in space.groups for name in group.parameters}
    return (*grouped, *({"": name} for name in space.distributions if name not in owned))


def stepped(space: SearchSpace, point: Point, length: float, rng: np.random.Generator) -> Point:
    """One parameter, drawn uniformly, a step up or down; a categorical one takes another choice.

    A continuous step is drawn uniformly from up to twice its mean `length`, in widths of the unit cube; a parameter of
    few values goes to the next one where that is further.
    """
    open_ones = [name for name, distribution in space.distributions.items() if n_values(distribution) != 1]
    if not open_ones:
        return point
    name = open_ones[rng.integers(len(open_ones))]
    distribution = space.distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        others = [choice for choice in distribution.choices if choice != point[name]]
        return {**point, name: others[rng.integers(len(others))]}
    n = n_values(distribution)
    step = max(2 * length * (1 - rng.random()), 0.0 if n is None else 1 / n)
    coordinate = to_unit(distribution, point[name])
    step = step if rng.random() < 0.5 else -step
    if from_unit(distribution, coordinate + step) == point[name]:  # it lies at that end
        step = -step
    return {**point, name: from_unit(distribution, coordinate + step)}


def swapped(space: SearchSpace, point: Point, rng: np.random.Generator) -> Point:
    """Two units, drawn uniformly among those that correspond, exchange the values of their parameters."""
    pairs = _pairs(space, combinations(units(space), 2))
    if not pairs:
        return point
    pair = pairs[rng.integers(len(pairs))]
    return {**point, **{a: point[b] for a, b in pair.items()}, **{b: point[a] for a, b in pair.items()}}


def copied(space: SearchSpace, point: Point, rng: np.random.Generator) -> Point:
    """A unit takes the values of its neighbour, the one before it or after it."""
    pairs = _pairs(space, pairwise(units(space)))
    if not pairs:
        return point
    pair, forward = pairs[rng.integers(len(pairs))], bool(rng.random() < 0.5)
    return {**point, **({b: point[a] for a, b in pair.items()} if forward else {a: point[b] for a, b in pair.items()})}


def crossed(space: SearchSpace, first: Point, second: Point, rng: np.random.Generator) -> Point:
    """Each unit from either point, with equal probability (uniform crossover)."""
    child = dict(first)
    for unit in units(space):
        if rng.random() < 0.5:
            child |= {name: second[name] for name in unit.values()}
    return child


def _pairs(space: SearchSpace, each_two: Iterable[tuple[Unit, Unit]]) -> list[dict[str, str]]:
    """Corresponding parameters of each two units that have some."""
    of = space.distributions
    pairs = (
        {name: other[kind] for kind, name in one.items() if kind in other and of[name] == of[other[kind]]}
        for one, other in each_two
    )
    return [pair for pair in pairs if pair]
