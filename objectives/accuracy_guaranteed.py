"""Accuracy-guaranteed protocol: spend as little as possible while top-1 accuracy stays above a floor.

Chalmers MSc thesis 2020, protocol AG, as corrected in S1.20-S1.22. With resources r (latency, energy, throughput,
size), weights w that sum to 1 and accuracy p:

    minimise sum_r w_r * frac(r)   subject to   p >= c,      c = accuracy of the reference - 10 points
    score = -sum_r w_r * frac(r)   where p >= c and every further bound is met, otherwise -50

frac is a cost ratio, new/ref where less is better and ref/new for throughput, so the reference scores -1 and what
costs less scores closer to 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from moco.constraints import Bound, Constraint
from moco.errors import ConfigError
from moco.metrics import TOP1_ERROR
from moco.objectives.shared.amounts import floor_constraint
from moco.objectives.shared.cost import normalised
from moco.objectives.shared.protocol import INFEASIBLE, ConstrainedObjective, parsed, resolved
from moco.trial import Evaluation, MetricValue

RESOURCES = ("latency_ms", "energy_j", "throughput_ips", "size_mb")  # the four resources of S1.20, 0.25 each
WITHOUT_A_COUNTER = {"latency_ms": 1, "throughput_ips": 1, "size_mb": 1}
"""Weights for machines on which energy cannot be measured."""


@dataclass(frozen=True)
class AccuracyGuaranteedOptions:
    """What the user may choose; weights by metric are >= 0 and are scaled to sum 1."""

    floor: str | Mapping[str, Any] = "-10 pp"
    """`-10 pp` (points below the reference), `>= 91 %`, or `{value: "-2 pp", confidence: 0.9}`."""
    weights: Mapping[str, float] | None = None  # None: the thesis's, over what this machine can measure
    constraints: Mapping[str, str] = field(default_factory=dict)  # further bounds by metric, `OP NUMBER[unit or x]`
    drop_unmeasurable: bool = False  # leave out the weight of what this machine cannot measure, do not refuse it

    def __post_init__(self) -> None:
        floor_constraint(self.floor)
        if self.weights is not None:
            normalised(self.weights, "objective.weights")
        for constraint in parsed(self.constraints, "objective.constraints"):
            if constraint.metric == TOP1_ERROR:
                raise ConfigError("objective.constraints: top-1 accuracy is bounded by objective.floor; state it there")


class AccuracyGuaranteedObjective(ConstrainedObjective[AccuracyGuaranteedOptions]):
    """The protocol with its options, without them those of the thesis; see the module's text."""

    Options = AccuracyGuaranteedOptions
    on_any_machine = {"weights": WITHOUT_A_COUNTER}  # noqa: RUF012, read only: `moco.optimize` begins with it
    weighted = "objective.weights"
    floor: Constraint

    def __init__(self, options: AccuracyGuaranteedOptions | None = None) -> None:
        super().__init__(options)
        self.floor = floor_constraint(self.options.floor)
        self.drop_unmeasurable: bool = self.options.drop_unmeasurable or self.options.weights is None

    @property
    def wish(self) -> str:
        """What is asked besides the bounds, as a person says it."""
        equal = len({*self.weights.values()}) < 2
        cost = ", ".join(name if equal else f"{weight:.2g} {name}" for name, weight in self.weights.items())
        return f"least cost (the mean of {cost}, relative to the reference)"

    def without(self, names: frozenset[str]) -> AccuracyGuaranteedObjective:
        """This objective without the weights of these metrics; those that are left are scaled to sum 1."""
        weights = {name: weight for name, weight in self.weights.items() if name not in names}
        return AccuracyGuaranteedObjective(replace(self.options, weights=weights))

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """Minus the cost where the floor and every bound are met, otherwise -50."""
        return self.unbounded_score(evaluation, reference) if self._all_met(evaluation, reference) else INFEASIBLE

    def unbounded_score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """Minus the cost."""
        return -self._cost(evaluation, reference)

    def _weights(self) -> Mapping[str, float]:
        weights = self.options.weights
        return normalised(dict.fromkeys(RESOURCES, 1.0) if weights is None else weights, self.weighted)

    def _bounds(self, reference: Mapping[str, MetricValue]) -> tuple[Bound, ...]:
        return (*resolved((self.floor,), reference, "objective.floor"), *super()._bounds(reference))

    def _unbounded(self, reference: Mapping[str, MetricValue]) -> Callable[[Evaluation], float]:
        return partial(self.unbounded_score, reference=reference)
