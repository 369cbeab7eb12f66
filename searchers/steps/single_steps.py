"""One-at-a-time steps: one parameter moved away from neutral, all else left as it is.

What a network loses by each of them alone is its sensitivity (S3.20); greedy descent, the search over thresholds and
the knapsack begin with them. A *line* is what is moved: a numeric parameter from neutral to its far end, or a choice.
Where a parameter does nothing alone, as bits do while the precision is float32, the line also sets a choice of its
layer group that lets it act. Lines of one *unit* exclude each other: the alternatives of a choice, or the levels of a
ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import CategoricalDistribution

from moco.encoding import to_unit
from moco.policy import Policy
from moco.space import SearchSpace, from_neutral, n_values
from moco.trial import Point

Key = tuple[str, str | None, str]  # what tells lines apart


@dataclass(frozen=True)
class Line:
    """What a single step moves."""

    unit: str  # name of the parameter whose lines exclude each other
    parameter: str | None  # the numeric parameter that is moved; None where the step is the choice in `choice` alone
    choice: Mapping[str, Any] = field(default_factory=dict)
    """Values of categorical parameters that are set with it; empty where it acts alone."""

    @property
    def key(self) -> Key:
        """What tells lines apart."""
        return self.unit, self.parameter, repr(dict(self.choice))


@dataclass(frozen=True)
class Step:
    """A line at a level, rounded to what the parameter can be: 0 is neutral, 1 the far end; a choice has level 1."""

    line: Line
    level: float
    point: Point


class StepScale:
    """How far values lie from neutral (0) to the far end (1), on their parameters' own scales."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.neutral, self.far = space.uniform(0.0), space.uniform(1.0)

    def level(self, name: str, point: Point) -> float:
        """The level of a numeric parameter at a point, as it is executed after rounding."""
        executed = self._space.executed(self._space.canonical(point), point)
        values = self.neutral[name], executed[name], self.far[name]
        neutral, at, far = (to_unit(self._space.distributions[name], value) for value in values)
        return (at - neutral) / (far - neutral)

    def acts(self, base: Point, name: str) -> bool:
        """Whether moving the numeric parameter to either of its ends changes the policy."""
        policy = self._space.canonical(base)
        return any(self._space.canonical({**base, name: end[name]}) != policy for end in (self.far, self.neutral))


def point_at(base: Point, line: Line, uniform: Point) -> Point:
    """The base, moved along the line to where the uniform point is."""
    moved = {} if line.parameter is None else {line.parameter: uniform[line.parameter]}
    return {**base, **line.choice, **moved}


def lines(space: SearchSpace, base: Point) -> tuple[Line, ...]:
    """The lines along which the base can be moved, in the order of the space's parameters; choices under their own."""
    found: list[Line] = []
    scale = StepScale(space)
    for name, distribution in space.distributions.items():
        if n_values(distribution) == 1:
            continue
        if isinstance(distribution, CategoricalDistribution):
            found += [Line(name, None, {name: choice}) for choice in other_choices(space, name, base[name])]
        elif scale.acts(base, name):
            found.append(Line(name, name))
        else:
            found += _under_a_choice(space, scale, base, name)
    return tuple(found)


def other_choices(space: SearchSpace, name: str, present: object) -> list[Any]:
    """The choices of a categorical parameter that come after the present one, neutral first."""
    distribution = space.distributions[name]
    assert isinstance(distribution, CategoricalDistribution)
    ordered = from_neutral(distribution, space.neutral.get(name))
    return ordered[ordered.index(present) + 1 :]


def single_steps(space: SearchSpace, levels: Sequence[float]) -> list[Step]:
    """Every step from neutral: the choices, then level by level, each policy once; all levels are in (0, 1]."""
    scale = StepScale(space)
    base = scale.neutral
    along = lines(space, base)
    steps = [Step(line, 1.0, point_at(base, line, base)) for line in along if line.parameter is None]
    for uniform in (space.uniform(level) for level in levels):
        for line in along:
            if line.parameter is not None:
                point = point_at(base, line, uniform)
                steps.append(Step(line, scale.level(line.parameter, point), point))
    by_policy: dict[Policy, Step | None] = {space.canonical(base): None}
    for step in steps:
        by_policy.setdefault(space.canonical(step.point), step)
    return [step for step in by_policy.values() if step is not None]


def _under_a_choice(space: SearchSpace, scale: StepScale, base: Point, name: str) -> list[Line]:
    """The parameter's line under each later choice of its group that lets it act."""
    members = next((group.parameters for group in space.groups if name in group.parameters), ())
    found: list[Line] = []
    for other in members:
        if isinstance(space.distributions[other], CategoricalDistribution):
            choices = other_choices(space, other, base[other])
            acting = [choice for choice in choices if scale.acts({**base, other: choice}, name)]
            found += [Line(other, name, {other: choice}) for choice in acting]
    return found
