"""The border between a search and its objective, which may be anybody's: it sees copies, its answers are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from types import NoneType
from typing import Any

from moco.constraints import Constraint
from moco.errors import ConfigError
from moco.interfaces import Objective, ObjectiveTerms
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import MetricValue

KINDS: dict[str, tuple[Any, ...]] = {
    "metrics": (tuple, list),
    "constraints": (tuple, list),
    "objectives": (Mapping,),
    "weights": (Mapping,),
    "floor": (Constraint, NoneType),
    "wish": (str, NoneType),
    "drop_unmeasurable": (bool,),
    "without": (Callable, NoneType),
}
"""What an objective's members may be."""


def terms_of(objective: Objective) -> ObjectiveTerms:
    """What the objective says of itself; a ConfigError names a member that is not what it should be."""
    said = {name: getattr(objective, name) for name in KINDS if hasattr(objective, name)}
    for name, given in said.items():
        if not isinstance(given, KINDS[name]):
            raise _unfit(objective, name, " or ".join(map(_shown, KINDS[name])), given)
    return ObjectiveTerms(**{field.name: said[field.name] for field in fields(ObjectiveTerms) if field.name in said})


def posed(objective: Objective, space: SearchSpace, reference: Mapping[str, MetricValue]) -> Problem:
    """The objective's problem for this space; a ConfigError where its answer is none."""
    given: object = objective.problem(space.copied(), dict(reference))
    if not isinstance(given, Problem):
        raise _unfit(objective, "problem", "a method that gives a Problem", given)
    return replace(given, space=space)


def _unfit(objective: Objective, name: str, expected: str, given: object) -> ConfigError:
    cls = type(objective)
    return ConfigError(
        f"the objective {cls.__module__}.{cls.__qualname__}: expected {expected} as {name}, got {given!r}"
    )


def _shown(kind: Any) -> str:
    return "None" if kind is NoneType else str(kind.__name__)
