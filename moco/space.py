"""Search spaces: Optuna's distributions by name, the layer groups behind them, and how a point becomes a policy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.errors import SpaceError, nearest
from moco.policy import Policy
from moco.trial import Point


@dataclass(frozen=True)
class LayerGroup:
    """Layers that share parameters: a coupled-channel group, a block, a stage or an explicit list."""

    name: str
    parameters: tuple[str, ...]  # names of the space's parameters that belong to this group
    layers: tuple[str, ...] = ()  # names of the layers that they change, in the order of the forward pass
    features: Mapping[str, float] = field(default_factory=dict)  # numbers for sequential searchers (S1.31), unscaled


class Codec(Protocol):
    """What a network adds to a space: how points become policies, and what policies cost. Pure functions."""

    def policy(self, point: Point) -> Policy:
        """The canonical policy: channels, ranks and bits after rounding."""

    def point(self, policy: Policy) -> Point:
        """A point of the space that stands for the policy: what was executed."""

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """Exact analytic costs (macs, parameters, bops, …) of the network under the policy."""

    def n_policies(self) -> int | None:
        """Number of distinct policies, exactly; None where it is not countable or not counted."""


@dataclass(frozen=True)
class SearchSpace:
    """A space of policies."""

    distributions: Mapping[str, BaseDistribution]  # Optuna's, by parameter name
    groups: tuple[LayerGroup, ...] = ()  # in the order of the forward pass; empty for a plain space
    neutral: Point = field(default_factory=dict)  # the values that change nothing; empty where there is no such point
    codec: Codec | None = None  # what the network adds; None for a plain space, whose policies are its points

    def __post_init__(self) -> None:
        if not self.distributions:
            raise SpaceError("search space: expected at least one parameter, got none; widen the space or the bounds")
        for name, distribution in self.distributions.items():
            if not isinstance(distribution, BaseDistribution):
                raise SpaceError(
                    f"search space: '{name}' must be one of Optuna's distributions, got {type(distribution).__name__}"
                )
        for group in self.groups:
            for name in group.parameters:
                if name not in self.distributions:
                    raise SpaceError(
                        f"layer group '{group.name}': unknown parameter '{name}'{nearest(name, self.distributions)}"
                    )

    def copied(self) -> SearchSpace:
        """A space of which nothing can be changed that this one holds, for code of others."""
        groups = tuple(replace(group, features=dict(group.features)) for group in self.groups)
        return replace(
            self, distributions=deepcopy(dict(self.distributions)), groups=groups, neutral=dict(self.neutral)
        )

    def check(self, point: Point) -> None:
        """Refuse, by a SpaceError, a point that is not of this space."""
        for name in point:
            if name not in self.distributions:
                raise SpaceError(f"point: unknown parameter '{name}'{nearest(name, self.distributions)}")
        for name, distribution in self.distributions.items():
            if name not in point:
                raise SpaceError(f"point: parameter '{name}' is missing")
            if not _contains(distribution, point[name]):
                raise SpaceError(f"point: {name} = {point[name]!r} is outside {distribution}")

    def canonical(self, point: Point) -> Policy:
        """The policy that the point stands for; points that round alike give one policy (W21)."""
        self.check(point)
        if self.codec is not None:
            return self.codec.policy(point)
        return Policy.of({name: snapped(self.distributions[name], point[name]) for name in self.distributions})

    def executed(self, policy: Policy, proposed: Point) -> Point:
        """The point that searchers are told: what was executed, or `proposed` where the policy has no exact point."""
        if self.codec is None:
            return policy.settings
        point = self.codec.point(policy)
        return point if self.codec.policy(point) == policy else proposed

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """Analytic costs of the policy, known before any measurement; empty for a plain space."""
        return {} if self.codec is None else self.codec.cost(policy)

    def n_policies(self) -> int | None:
        """Number of distinct policies; None where a parameter is continuous."""
        if self.codec is not None:
            return self.codec.n_policies()
        sizes = [n_values(distribution) for distribution in self.distributions.values()]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def uniform(self, level: float, variant: int = 0) -> Point:
        """The same step away from neutral for every parameter.

        A `level` of 0 is neutral (or each lower bound, where the space has no neutral point), 1 the far end; `variant`
        is the index of the choice that every categorical parameter takes, modulo its number of choices.
        """
        return {
            name: _at_level(distribution, level, variant, self.neutral.get(name))
            for name, distribution in self.distributions.items()
        }

    def n_variants(self) -> int:
        """Number of different `variant`s of `uniform`."""
        categorical = [d for d in self.distributions.values() if isinstance(d, CategoricalDistribution)]
        return max((len(d.choices) for d in categorical), default=1)


Numbers = FloatDistribution | IntDistribution


@cache
def _is_a(kind: type[BaseDistribution], of: type[BaseDistribution]) -> bool:
    """As `isinstance` says, which takes three times as long where it denies; a searcher asks thousands of times."""
    return issubclass(kind, of)


def choices_of(distribution: BaseDistribution) -> tuple[Any, ...] | None:
    """Its choices; None where it is a range of numbers."""
    if not _is_a(type(distribution), CategoricalDistribution):
        return None
    return distribution.choices  # type: ignore[attr-defined, no-any-return]


def numbers_of(distribution: BaseDistribution) -> Numbers:
    """The distribution, which is one of numbers."""
    return distribution  # type: ignore[return-value]


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if (choices := choices_of(distribution)) is not None:
        return value in choices
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    numbers = numbers_of(distribution)
    return numbers.low - 1e-9 <= value <= numbers.high + 1e-9


def snapped(distribution: BaseDistribution, value: Any) -> Any:
    """The distribution's own value nearest to `value`, in its own type: on the grid, within the bounds, the choice."""
    if (choices := choices_of(distribution)) is not None:
        return choices[choices.index(value)]
    numbers = numbers_of(distribution)
    if numbers.step is not None:
        value = numbers.low + round((value - numbers.low) / numbers.step) * numbers.step
    value = min(max(value, numbers.low), numbers.high)
    # Adding zero turns -0.0 into 0.0: they are equal, so their policies must have equal text.
    return int(value) if _is_a(type(numbers), IntDistribution) else float(value) + 0.0


def n_values(distribution: BaseDistribution) -> int | None:
    """Number of values that the distribution can take; None where it is continuous."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if distribution.single():
        return 1
    if distribution.step is None:
        return None
    return int((distribution.high - distribution.low) / distribution.step + 1e-9) + 1


def from_neutral(distribution: CategoricalDistribution, neutral: Any) -> list[Any]:
    """The choices in their order, but the neutral one first."""
    choices = list(distribution.choices)
    return [neutral, *(choice for choice in choices if choice != neutral)] if neutral in choices else choices


def between(distribution: FloatDistribution | IntDistribution, start: float, end: float, share: float) -> Any:
    """The distribution's own value at a share of the way from one number to another, on its own scale."""
    if distribution.log:
        return snapped(distribution, math.exp(math.log(start) + share * (math.log(end) - math.log(start))))
    return snapped(distribution, start + share * (end - start))


def _at_level(distribution: BaseDistribution, level: float, variant: int, neutral: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        choices = from_neutral(distribution, neutral)
        return choices[variant % len(choices)]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    start = distribution.low if neutral is None else neutral
    far = distribution.low if start - distribution.low > distribution.high - start else distribution.high
    return between(distribution, start, far, level)
