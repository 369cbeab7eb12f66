"""What protocols share: the infeasible score, bounds as a user writes them, and the problem they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from moco.constraints import Bound, Constraint, parse, resolve
from moco.errors import ConfigError
from moco.interfaces import Objective
from moco.metrics import COST, TOP1_ERROR, metric
from moco.objectives.shared.cost import NOT_COSTS, weighted_cost
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue

INFEASIBLE = -50.0
"""The published score of everything that misses a bound (S1.21, S1.24). It gives no order among those: the violations
of the outcome do, and whoever orders trials puts feasible ones first, then by total violation."""


@dataclass(frozen=True)
class Scorer:
    """An objective's score for one reference, as a problem wants it."""

    objective: Objective
    reference: Mapping[str, MetricValue]

    def __call__(self, evaluation: Evaluation) -> float:
        """The published scalar; larger is better."""
        return self.objective.score(evaluation, dict(self.reference))


def parsed(constraints: Mapping[str, str], where: str) -> tuple[Constraint, ...]:
    """The constraints of `{metric: "OP NUMBER[unit or x]"}`; a ConfigError refuses others and what nothing can meet."""
    found = tuple(parse(name, text, where) for name, text in constraints.items())
    for constraint in found:
        name, number = constraint.metric, constraint.number
        metric(name, where)
        if name in NOT_COSTS and constraint.op == ">=":
            raise ConfigError(f"{where}.{name}: less of it is never worse; bound it by '<='")
        if sum(other.metric == name for other in found) > 1:
            raise ConfigError(f"{where}: give one bound on {name} (its accuracy is 1 minus it)")
        lowest_out = number < 0 or (number == 0 and name not in NOT_COSTS)
        if constraint.op == "<=" and lowest_out and constraint.relative_to_reference != "pp":
            raise ConfigError(f"{where}.{name}: no network has a value <= {number:g}; give a bound above 0")
    return found


def resolved(constraints: Sequence[Constraint], reference: Mapping[str, MetricValue], where: str) -> tuple[Bound, ...]:
    """The bounds for this reference, whose own cost is 1.

    A ConfigError refuses one that is relative to a metric that the reference lacks, or that no network can meet.
    """
    known = {COST: MetricValue(1.0), **reference}
    bounds = tuple(resolve(constraint, known, where) for constraint in constraints)
    for bound in bounds:
        if bound.op == "<=" and bound.value < 0:
            raise ConfigError(f"{where}: no network has {bound.metric} <= {bound.value:g}; loosen the bound")
    return bounds


def accuracy_and_cost(
    objective: Objective,
    space: SearchSpace,
    reference: Mapping[str, MetricValue],
    weights: tuple[Mapping[str, float], str],
    bounds: tuple[Bound, ...],
    unbounded_score: Callable[[Evaluation], float] | None = None,
) -> Problem:
    """Minimise top-1 error and the weighted cost, under these bounds, ordered by the objective's score.

    A ConfigError tells of a weighted metric of which the reference has no positive value.

    Args:
        weights: of the cost, and the key path that they come from.
        unbounded_score: what the score would be were every bound met, where it falls beyond them.
    """
    return Problem(
        space=space,
        objectives={TOP1_ERROR: "minimize", COST: "minimize"},
        bounds=bounds,
        derived={COST: weighted_cost(weights[0], reference, weights[1])},
        reference=reference,
        scorer=Scorer(objective, reference),
        unbounded_scorer=unbounded_score,
        reference_point={TOP1_ERROR: 1.0, COST: 1.0},
    )


def accuracy_of(metrics: Mapping[str, MetricValue]) -> float:
    """Top-1 accuracy, 0..1; a ValueError, so that the trial fails, where top-1 error is missing or no share."""
    error = metrics.get(TOP1_ERROR)
    if error is None or not 0 <= error.value <= 1:
        raise ValueError(f"expected a top1_error in 0..1, got {'none' if error is None else error.value}")
    return 1.0 - error.value


class _Options(Protocol):
    @property
    def constraints(self) -> Mapping[str, str]: ...


OptionsT = TypeVar("OptionsT", bound=_Options)


class ConstrainedObjective(ABC, Generic[OptionsT]):
    """A protocol whose options state bounds; of top-1 error and one cost, where it does not say otherwise."""

    Options: type[OptionsT]
    weighted = "objective.metric"  # key path that the weights come from

    def __init__(self, options: OptionsT | None = None) -> None:
        self.options: OptionsT = options or self.Options()
        self.constraints = parsed(self.options.constraints, "objective.constraints")
        self.weights: Mapping[str, float] = self._weights()
        names = [TOP1_ERROR, *self.weights, *(constraint.metric for constraint in self.constraints)]
        self.metrics: tuple[str, ...] = tuple(name for name in dict.fromkeys(names) if name != COST)
        self.floor: Constraint | None = next((c for c in self.constraints if c.metric == TOP1_ERROR), None)
        """The bound on top-1 error, where the user gave one: what the certificate is about."""

    def problem(self, space: SearchSpace, reference: Mapping[str, MetricValue]) -> Problem:
        """Minimise top-1 error and the cost, with the bounds."""
        weights, unbounded = (self.weights, self.weighted), self._unbounded(reference)
        return accuracy_and_cost(self, space, reference, weights, self._bounds(reference), unbounded)

    @abstractmethod
    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """The published scalar; larger is better."""

    def _weights(self) -> Mapping[str, float]:
        """By metric; all of it on `options.metric`, where a protocol does not say otherwise."""
        options: Any = self.options
        return {options.metric: 1.0}

    def _bounds(self, reference: Mapping[str, MetricValue]) -> tuple[Bound, ...]:
        return resolved(self.constraints, reference, "objective.constraints")

    def _unbounded(self, reference: Mapping[str, MetricValue]) -> Callable[[Evaluation], float] | None:  # noqa: ARG002
        """What the score would be were every bound met, where it falls beyond them."""
        return None

    def _cost(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        return weighted_cost(self.weights, reference, self.weighted)(evaluation.metrics).value

    def _all_met(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> bool:
        """Whether the evaluation meets every bound; a ValueError, and so a failed trial, where it lacks a metric."""
        cost = weighted_cost(self.weights, reference, self.weighted)(evaluation.metrics)
        bounds, complete = self._bounds(reference), {**evaluation.metrics, COST: cost}
        for bound in bounds:
            if bound.metric not in complete:
                raise ValueError(f"the evaluation gives no '{bound.metric}', which is bounded")
        return all(bound.violation(complete[bound.metric]) <= 0 for bound in bounds)
