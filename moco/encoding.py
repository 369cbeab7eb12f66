"""Points of a search space as points of the unit cube, and back: one coordinate a parameter, in the space's order.

Every value of a parameter has an equal share of its axis, so a uniform draw from the cube is a uniform draw from the
space: a discrete parameter of k values cuts its axis into k intervals of equal length (on a log scale: equal ratio)
and a value stands for the middle of its own; a continuous one fills the axis from its lower to its upper bound.
The choices of a categorical parameter stand in their given order, which a model should not read as a distance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from moco.errors import SpaceError
from moco.space import Numbers, SearchSpace, choices_of, numbers_of, snapped
from moco.trial import Point

ONLY_VALUE = 0.5
"""Coordinate of a parameter that has no width."""


def encode(space: SearchSpace, point: Point) -> np.ndarray:
    """Coordinates (n_parameters,) in [0, 1] of a point of the space; a SpaceError where it is not of this space."""
    space.check(point)
    return np.array([to_unit(distribution, point[name]) for name, distribution in space.distributions.items()])


def decode(space: SearchSpace, coordinates: np.ndarray) -> dict[str, Any]:
    """The point of the space nearest to the coordinates (n_parameters,); values outside [0, 1] are clipped.

    A SpaceError where there is not one finite number a parameter.
    """
    x = np.asarray(coordinates, dtype=float)
    if x.shape != (len(space.distributions),) or not np.isfinite(x).all():
        raise SpaceError(f"unit cube: expected {len(space.distributions)} finite coordinates, got {x.tolist()}")
    return {
        name: from_unit(distribution, float(u))
        for (name, distribution), u in zip(space.distributions.items(), x, strict=True)
    }


def to_unit(distribution: BaseDistribution, value: Any) -> float:
    """The coordinate in [0, 1] of a value of the distribution."""
    if (choices := choices_of(distribution)) is not None:
        return (choices.index(value) + 0.5) / len(choices)
    numbers = numbers_of(distribution)
    low, high = _edges(numbers)
    if low == high:
        return ONLY_VALUE
    position = (_warp(numbers, snapped(numbers, value)) - low) / (high - low)
    return min(max(position, 0.0), 1.0)


def from_unit(distribution: BaseDistribution, coordinate: float) -> Any:
    """The distribution's value at a coordinate, in the distribution's own type; the coordinate is clipped to [0, 1]."""
    u = min(max(coordinate, 0.0), 1.0)
    if (choices := choices_of(distribution)) is not None:
        return choices[min(int(u * len(choices)), len(choices) - 1)]
    numbers = numbers_of(distribution)
    low, high = _edges(numbers)
    warped = low + u * (high - low)
    return snapped(numbers, math.exp(warped) if numbers.log else warped)


def project(space: SearchSpace, point: Mapping[str, Any]) -> dict[str, Any]:
    """The point of the space nearest to `point`, value by value; what was executed may lie off the grid or the bounds.

    A SpaceError where a parameter is missing or unknown, or a categorical value is none of the choices.
    """
    if point.keys() != space.distributions.keys():
        raise SpaceError(f"point: expected the parameters {sorted(space.distributions)}, got {sorted(point)}")
    for name, distribution in space.distributions.items():
        choices = choices_of(distribution)
        if choices is not None and point[name] not in choices:
            raise SpaceError(f"point: {name} = {point[name]!r} is none of {choices}")
    return {name: snapped(distribution, point[name]) for name, distribution in space.distributions.items()}


def _edges(numbers: Numbers) -> tuple[float, float]:
    """Both ends of the axis, on a log scale where the distribution is: half a step beyond the bounds if discrete."""
    half = (numbers.step or 0) / 2
    return _warp(numbers, numbers.low - half), _warp(numbers, numbers.high + half)


def _warp(numbers: Numbers, value: float) -> float:
    return math.log(value) if numbers.log else float(value)
