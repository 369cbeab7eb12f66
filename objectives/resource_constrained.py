"""Resource-constrained protocol: be as accurate as possible while every resource stays inside its bound.

Chalmers MSc thesis 2020, protocol RC, as corrected in S1.23 and S1.24. With resources r_i, bounds c_i and accuracy p:

    maximise p   subject to   r_i <= c_i for all i,      by default size <= 0.8 ref and latency <= 0.8 ref
    score = p in percent (0..100) where every bound is met, otherwise -50

The uncompressed network misses its own bounds and scores -50. For a front beside the scalar the problem minimises the
mean cost ratio of the bounded resources too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from moco.constraints import Constraint
from moco.errors import ConfigError
from moco.metrics import TOP1_ERROR
from moco.objectives.shared.cost import NOT_COSTS, normalised
from moco.objectives.shared.protocol import INFEASIBLE, ConstrainedObjective, parsed
from moco.trial import Evaluation, MetricValue

BUDGETS = {"size_mb": "<= 0.8x", "latency_ms": "<= 0.8x"}  # the bounds of S1.23


@dataclass(frozen=True)
class ResourceConstrainedOptions:
    """What the user may choose: bounds by metric, `OP NUMBER[unit or x]`, at least one on what a network spends."""

    constraints: Mapping[str, str] = field(default_factory=lambda: dict(BUDGETS))

    def __post_init__(self) -> None:
        if not _resources(parsed(self.constraints, "objective.constraints")):
            expected = "at least one bound on a resource such as size_mb: '<= 0.8x'"
            raise ConfigError(f"objective.constraints: expected {expected}, got {dict(self.constraints)}")


class ResourceConstrainedObjective(ConstrainedObjective[ResourceConstrainedOptions]):
    """The protocol with its options, without them those of the thesis; see the module's text."""

    Options = ResourceConstrainedOptions
    weighted = "objective.constraints"
    wish = "most top-1 accuracy"  # what is asked besides the bounds, as a person says it

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """Top-1 accuracy in percent where every bound is met, otherwise -50."""
        return accuracy_in_percent(evaluation) if self._all_met(evaluation, reference) else INFEASIBLE

    def _weights(self) -> Mapping[str, float]:
        return normalised(dict.fromkeys(_resources(self.constraints), 1.0), self.weighted)

    def _unbounded(self, _: Mapping[str, MetricValue]) -> Callable[[Evaluation], float]:
        return accuracy_in_percent


def accuracy_in_percent(evaluation: Evaluation) -> float:
    """Top-1 accuracy: the score of what meets every bound."""
    return 100.0 * (1.0 - evaluation.metrics[TOP1_ERROR].value)


def _resources(constraints: tuple[Constraint, ...]) -> list[str]:
    return [constraint.metric for constraint in constraints if constraint.metric not in NOT_COSTS]
