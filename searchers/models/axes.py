"""The parameters of a space as the axes of a model, and the candidates on them: integers and choices stay themselves.

A numeric parameter runs from 0 (its lower bound) to 1 (its upper bound), on a log scale where it has one; a choice is
its index. Parameters of one value have no axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from moco.encoding import from_unit, project, to_unit
from moco.space import SearchSpace, n_values
from moco.trial import Point

MANY = 1000  # a parameter of more values than this has steps too fine to walk one by one: its axis counts as continuous
STRIDES = (1 / 32, 1 / 8)  # how far the neighbours on a continuous axis lie off


@dataclass(frozen=True)
class Axis:
    """One parameter, which takes the part of the unit axis (moco.encoding) between its lower and its upper bound."""

    name: str
    distribution: BaseDistribution
    values: tuple[float, ...]  # its coordinates in ascending order; empty where it is continuous
    is_choice: bool  # whether they are indices without an order
    start: float  # of that part
    width: float  # of that part

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest coordinate."""
        return (self.values[0], self.values[-1]) if self.values else (0.0, 1.0)

    def coordinate(self, value: object) -> float:
        """Where a value of the parameter stands."""
        if self.is_choice:
            assert isinstance(self.distribution, CategoricalDistribution)
            return float(self.distribution.choices.index(value))
        return (to_unit(self.distribution, value) - self.start) / self.width

    def value(self, coordinate: float) -> object:
        """The parameter's value nearest to a coordinate."""
        if self.is_choice:
            assert isinstance(self.distribution, CategoricalDistribution)
            return self.distribution.choices[round(coordinate)]
        return from_unit(self.distribution, self.start + coordinate * self.width)

    def neighbours(self, coordinate: float) -> list[float]:
        """Every other choice; the next step up and down; some strides along a continuous axis."""
        if self.is_choice:
            return [value for value in self.values if value != coordinate]
        if self.values:
            place = int(np.argmin(np.abs(np.array(self.values) - coordinate)))
            return [self.values[near] for near in (place - 1, place + 1) if 0 <= near < len(self.values)]
        return [x for stride in STRIDES for x in (coordinate - stride, coordinate + stride) if 0 <= x <= 1]


def axes_of(space: SearchSpace) -> list[Axis]:
    """The axes of a space, in its own order."""
    return [_axis(name, d) for name, d in space.distributions.items() if n_values(d) != 1]


def coordinates(axes: Sequence[Axis], space: SearchSpace, point: Point) -> np.ndarray:
    """Where a point stands (n_axes,), brought back into the space where rounding has led it out."""
    inside = project(space, point)
    return np.array([axis.coordinate(inside[axis.name]) for axis in axes])


def point_at(axes: Sequence[Axis], space: SearchSpace, x: np.ndarray) -> Point:
    """The point of the space nearest to the coordinates (n_axes,)."""
    only = {name: from_unit(distribution, 0.5) for name, distribution in space.distributions.items()}
    return {**only, **{axis.name: axis.value(float(c)) for axis, c in zip(axes, x, strict=True)}}


def neighbours(axes: Sequence[Axis], x: np.ndarray) -> np.ndarray:
    """All coordinates (n, n_axes) that differ from x in one axis by one step."""
    changed = [(i, value) for i, axis in enumerate(axes) for value in axis.neighbours(float(x[i]))]
    out = np.tile(x, (len(changed), 1))
    for row, (i, value) in enumerate(changed):
        out[row, i] = value
    return out


def _axis(name: str, distribution: BaseDistribution) -> Axis:
    if isinstance(distribution, CategoricalDistribution):
        indices = tuple(float(i) for i in range(len(distribution.choices)))
        return Axis(name, distribution, indices, is_choice=True, start=0.0, width=1.0)
    start = to_unit(distribution, distribution.low)  # type: ignore[attr-defined]
    width = to_unit(distribution, distribution.high) - start  # type: ignore[attr-defined]
    count = n_values(distribution)
    values: tuple[float, ...] = ()
    if count is not None and count <= MANY:
        step = distribution.step  # type: ignore[attr-defined]
        units = [to_unit(distribution, distribution.low + i * step) for i in range(count)]  # type: ignore[attr-defined]
        values = tuple((unit - start) / width for unit in units)
    return Axis(name, distribution, values, is_choice=False, start=start, width=width)
