"""Resource-constrained protocol: be as accurate as possible while every resource stays inside its bound.

Chalmers MSc thesis 2020, protocol RC, as corrected in S1.23 and S1.24. With resources r_i, bounds c_i and accuracy p:

    maximise p   subject to   r_i <= c_i for all i,      by default size <= 0.8 ref and latency <= 0.8 ref
    score = p in percent (0..100) where every bound is met, otherwise -50

The uncompressed network misses its own bounds and scores -50. For a front beside the scalar the problem minimises the
mean cost ratio of the bounded resources too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moco.constraints import Constraint
from moco.errors import ConfigError
from moco.metrics import TOP1_ERROR
from moco.objectives.shared.cost import NOT_COSTS, equal_weights, normalised, weighted_cost
from moco.objectives.shared.protocol import (
    INFEASIBLE,
    accuracy_and_cost,
    all_met,
    floor_among,
    needed,
    parsed,
    resolved,
)
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue

BUDGETS = {"size_mb": "<= 0.8x", "latency_ms": "<= 0.8x"}
"""The bounds of S1.23."""


@dataclass(frozen=True)
class ResourceConstrainedOptions:
    """What the user may choose.

    Attributes:
        constraints: bounds by metric, `OP NUMBER[unit or x]`; at least one on what a network spends.
    """

    constraints: Mapping[str, str] = field(default_factory=lambda: dict(BUDGETS))

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ConfigError: a bound is not of the grammar or on an unknown metric, or no resource is bounded.
        """
        if not _resources(parsed(self.constraints, "objective.constraints")):
            raise ConfigError(
                "objective.constraints: expected at least one bound on a resource such as size_mb: '<= 0.8x', "
                f"got {dict(self.constraints)}"
            )


class ResourceConstrainedObjective:
    """The protocol with its options; see the module's text."""

    Options = ResourceConstrainedOptions

    def __init__(self, options: ResourceConstrainedOptions | None = None) -> None:
        """Take the options; without them, those of the thesis."""
        self.options = options or ResourceConstrainedOptions()
        self.constraints: tuple[Constraint, ...] = parsed(self.options.constraints, "objective.constraints")
        self.weights: Mapping[str, float] = normalised(
            equal_weights(_resources(self.constraints)), "objective.constraints"
        )
        self.metrics: tuple[str, ...] = needed(self.weights, self.constraints)

    wish = "most top-1 accuracy"
    """What is asked besides the bounds, as a person says it."""

    @property
    def floor(self) -> Constraint | None:
        """The bound on top-1 error, where the user gave one: what the certificate is about."""
        return floor_among(self.constraints)

    def problem(self, space: SearchSpace, reference: Mapping[str, MetricValue]) -> Problem:
        """Minimise top-1 error and the mean cost ratio of the bounded resources, with the bounds."""
        return accuracy_and_cost(
            self,
            space,
            reference,
            (self.weights, "objective.constraints"),
            resolved(self.constraints, reference, "objective.constraints"),
            accuracy_in_percent,
        )

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """Top-1 accuracy in percent where every bound is met, otherwise -50."""
        cost = weighted_cost(self.weights, reference, "objective.constraints")
        bounds = resolved(self.constraints, reference, "objective.constraints")
        met = all_met(bounds, cost, evaluation.metrics)
        return accuracy_in_percent(evaluation) if met else INFEASIBLE


def accuracy_in_percent(evaluation: Evaluation) -> float:
    """Top-1 accuracy: the score of what meets every bound."""
    return 100.0 * (1.0 - evaluation.metrics[TOP1_ERROR].value)


def _resources(constraints: tuple[Constraint, ...]) -> list[str]:
    return [constraint.metric for constraint in constraints if constraint.metric not in NOT_COSTS]
