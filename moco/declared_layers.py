"""What a user says of a plain space: which parameters belong to a layer, and in which direction each one compresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from reprlib import repr as shortened
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.errors import ConfigError, nearest
from moco.space import LayerGroup, SearchSpace

RISING, FALLING = 1, -1
"""Cost falls as the parameter rises, or as it falls."""


def declared(space: SearchSpace, groups: Mapping[str, Sequence[str]], monotone: Mapping[str, int]) -> SearchSpace:
    """The space with these layer groups, its neutral point where every parameter compresses least.

    A parameter without a direction is neutral at its lower bound, a choice at its first. Said twice, it is the same.

    Raises:
        ConfigError: a parameter that is unknown, or in two groups; a direction that is none; a space that has groups
            or a neutral point of its own.
    """
    if groups and space.groups:
        raise ConfigError("groups: the search space has layer groups of its own; leave `groups` out")
    if groups:
        space = replace(space, groups=_grouped(space, groups))
    if not monotone:
        return space
    _check_directions(space, monotone)
    neutral = {**space.uniform(0.0), **{name: _lightest(space, name, way) for name, way in monotone.items()}}
    if not space.neutral:
        return replace(space, neutral=neutral)
    for name in monotone:
        if space.neutral[name] != neutral[name]:
            at = f"the space's own neutral value {space.neutral[name]!r} lies at the other end"
            raise ConfigError(f"monotone.{name}: {at}; turn the direction, or leave it out")
    return space


def _grouped(space: SearchSpace, groups: Mapping[str, Sequence[str]]) -> tuple[LayerGroup, ...]:
    if not isinstance(groups, Mapping):
        raise ConfigError(f"groups: expected {{layer: [parameter, …]}}, got {shortened(groups)}")
    owner: dict[str, str] = {}
    for group, names in groups.items():
        if isinstance(names, str) or not isinstance(names, Sequence) or not names:
            raise ConfigError(f"groups.{group}: expected a list of names of parameters, got {shortened(names)}")
        for name in names:
            if name not in space.distributions:
                raise ConfigError(
                    f"groups.{group}: unknown parameter {name!r}{nearest(str(name), space.distributions)}"
                )
            if name in owner:
                raise ConfigError(
                    f"groups.{group}: parameter '{name}' is in group '{owner[name]}' already; name it in one of them"
                )
            owner[name] = group
    return tuple(LayerGroup(group, tuple(names)) for group, names in groups.items())


def _check_directions(space: SearchSpace, monotone: Mapping[str, int]) -> None:
    if not isinstance(monotone, Mapping):
        raise ConfigError(f"monotone: expected {{parameter: +1 or -1}}, got {shortened(monotone)}")
    for name, way in monotone.items():
        if name not in space.distributions:
            raise ConfigError(f"monotone: unknown parameter {name!r}{nearest(str(name), space.distributions)}")
        if isinstance(space.distributions[name], CategoricalDistribution):
            raise ConfigError(f"monotone.{name}: expected a numeric parameter, got choices, which have no direction")
        if isinstance(way, bool) or way not in (RISING, FALLING):
            raise ConfigError(
                f"monotone.{name}: expected +1 (cost falls as it rises) or -1 (cost falls as it falls), "
                f"got {shortened(way)}"
            )


def _lightest(space: SearchSpace, name: str, way: int) -> Any:
    """The value that compresses least."""
    distribution = space.distributions[name]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return distribution.low if way == RISING else distribution.high
