"""What protocols share: the infeasible score, bounds and amounts as a user writes them, and the problem they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from moco.constraints import Bound, Constraint, parse, resolve
from moco.errors import ConfigError
from moco.interfaces import Objective
from moco.metrics import COST, TOP1_ERROR, metric
from moco.objectives.shared.cost import NOT_COSTS, WeightedCost, weighted_cost
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
        return self.objective.score(evaluation, self.reference)


def parsed(constraints: Mapping[str, str], where: str) -> tuple[Constraint, ...]:
    """The constraints of `{metric: "OP NUMBER[unit or x]"}`.

    Raises:
        ConfigError: not of the grammar, a bound on an unknown metric, or one that nothing can meet.
    """
    found = tuple(parse(name, text, where) for name, text in constraints.items())
    for constraint in found:
        metric(constraint.metric, where)
        if constraint.metric in NOT_COSTS and constraint.op == ">=":
            raise ConfigError(f"{where}.{constraint.metric}: less of it is never worse; bound it by '<='")
        if sum(other.metric == constraint.metric for other in found) > 1:
            raise ConfigError(f"{where}: give one bound on {constraint.metric} (its accuracy is 1 minus it)")
        lowest_out = constraint.number < 0 or (constraint.number == 0 and constraint.metric not in NOT_COSTS)
        if constraint.op == "<=" and lowest_out and constraint.relative_to_reference != "pp":
            raise ConfigError(
                f"{where}.{constraint.metric}: no network has a value <= {constraint.number:g}; give a bound above 0"
            )
    return found


def resolved(constraints: Sequence[Constraint], reference: Mapping[str, MetricValue], where: str) -> tuple[Bound, ...]:
    """The bounds for this reference, whose own cost is 1.

    Raises:
        ConfigError: a bound is relative to a metric that the reference lacks, or no network can meet it.
    """
    known = {COST: MetricValue(1.0), **reference}
    bounds = tuple(resolve(constraint, known, where) for constraint in constraints)
    for bound in bounds:
        if bound.op == "<=" and bound.value < 0:
            raise ConfigError(f"{where}: no network has {bound.metric} <= {bound.value:g}; loosen the bound")
    return bounds


def floor_among(constraints: Sequence[Constraint]) -> Constraint | None:
    """The bound on top-1 error, where the user gave one: what the certificate is about."""
    return next((constraint for constraint in constraints if constraint.metric == TOP1_ERROR), None)


def accuracy_and_cost(
    objective: Objective,
    space: SearchSpace,
    reference: Mapping[str, MetricValue],
    weights: tuple[Mapping[str, float], str],
    bounds: tuple[Bound, ...],
    unbounded_score: Callable[[Evaluation], float] | None = None,
) -> Problem:
    """Minimise top-1 error and the weighted cost, under these bounds, ordered by the objective's score.

    Args:
        weights: of the cost, and the key path that they come from.
        unbounded_score: what the score would be were every bound met, where it falls beyond them.

    Raises:
        ConfigError: the reference has no positive value of a weighted metric.
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
    """Top-1 accuracy, 0..1.

    Raises:
        ValueError: top-1 error is missing or no share; the trial has failed.
    """
    error = metrics.get(TOP1_ERROR)
    if error is None or not 0 <= error.value <= 1:
        raise ValueError(f"expected a top1_error in 0..1, got {'none' if error is None else error.value}")
    return 1.0 - error.value


def all_met(bounds: Sequence[Bound], cost: WeightedCost, metrics: Mapping[str, MetricValue]) -> bool:
    """Whether the metrics, with their cost, meet every bound.

    Raises:
        ValueError: a bounded metric is missing; the trial has failed.
    """
    complete = {**metrics, COST: cost(metrics)}
    for bound in bounds:
        if bound.metric not in complete:
            raise ValueError(f"the evaluation gives no '{bound.metric}', which is bounded")
    return all(bound.violation(complete[bound.metric]) <= 0 for bound in bounds)


def needed(weights: Mapping[str, float], constraints: Sequence[Constraint]) -> tuple[str, ...]:
    """Names of the metrics that an evaluation must hold: top-1 error, what is weighted, what is bounded."""
    names = [TOP1_ERROR, *weights, *(constraint.metric for constraint in constraints)]
    return tuple(name for name in dict.fromkeys(names) if name != COST)
