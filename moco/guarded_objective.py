"""The border between a search and its objective, which may be anybody's: it sees copies, its answers are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import NoneType
from typing import Any

from moco.constraints import Constraint
from moco.errors import ConfigError
from moco.interfaces import Objective, ObjectiveTerms
from moco.problem import Derived, Problem
from moco.products import products_among, with_products
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue

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
    products = products_among(objective.metrics)
    given: object = objective.problem(space.copied(), with_products(reference, products))
    if not isinstance(given, Problem):
        raise _unfit(objective, "problem", "a method that gives a Problem", given)
    return _multiplied(replace(given, space=space), products)


def _multiplied(problem: Problem, products: tuple[str, ...]) -> Problem:
    """The problem, whose evaluations are completed by these products before anything of it sees them."""
    if not products:
        return problem
    derived: dict[str, Derived] = {**{name: _Product(name) for name in products}, **problem.derived}
    scorer, unbounded = (
        None if scorer is None else _Completed(scorer, products)
        for scorer in (problem.scorer, problem.unbounded_scorer)
    )
    return replace(problem, derived=derived, scorer=scorer, unbounded_scorer=unbounded)


@dataclass(frozen=True)
class _Product:
    """The derived metric of that name."""

    name: str

    def __call__(self, metrics: Mapping[str, MetricValue]) -> MetricValue:
        found = with_products(metrics, [self.name])
        if self.name not in found:
            raise ValueError(f"the evaluation lacks what '{self.name}' is made of")
        return found[self.name]


@dataclass(frozen=True)
class _Completed:
    """A scorer that sees the products too."""

    scorer: Callable[[Evaluation], float]
    products: tuple[str, ...]

    def __call__(self, evaluation: Evaluation) -> float:
        return self.scorer(replace(evaluation, metrics=with_products(evaluation.metrics, self.products)))


def _unfit(objective: Objective, name: str, expected: str, given: object) -> ConfigError:
    cls = type(objective)
    return ConfigError(
        f"the objective {cls.__module__}.{cls.__qualname__}: expected {expected} as {name}, got {given!r}"
    )


def _shown(kind: Any) -> str:
    return "None" if kind is NoneType else str(kind.__name__)
