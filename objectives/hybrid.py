"""Accuracy and latency in one number: the third experiment of S2, beside "latency only" and "top-1 only" (S2.14).

S2 leaves its hybrid undefined; this is the reading of the requirements. With accuracy p, a cost T (latency) and the
target T* that it should not exceed:

    score = p / p_reference - penalty * max(T / T* - 1, 0)

Nothing is gained below the target. The two other experiments are fronts of one metric (`front`), and "least latency
with at least this accuracy" is accuracy-guaranteed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from moco.constraints import resolve
from moco.errors import ConfigError
from moco.metrics import cost_ratio
from moco.objectives.shared.amounts import amount
from moco.objectives.shared.cost import normalised
from moco.objectives.shared.protocol import ConstrainedObjective, accuracy_of, parsed
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue

WHERE = "objective.target"


@dataclass(frozen=True)
class HybridOptions:
    """What the user may choose."""

    metric: str = "latency_ms"  # the cost T; where more is better, as with images a second, the ratio is turned round
    target: str = "0.5x"  # T*, `NUMBER[unit or x]`, such as `0.5x` of the reference's or `25 ms`
    penalty: float = 1.0  # weight of what T is above the target, relative to it, >= 0
    constraints: Mapping[str, str] = field(default_factory=dict)  # bounds by metric, `OP NUMBER[unit or x]`

    def __post_init__(self) -> None:
        normalised({self.metric: 1.0}, "objective.metric")
        amount(self.metric, self.target, WHERE)
        if not 0 <= self.penalty < math.inf:
            raise ConfigError(f"objective.penalty: expected a number >= 0, got {self.penalty}")
        parsed(self.constraints, "objective.constraints")


class HybridObjective(ConstrainedObjective[HybridOptions]):
    """The score with its options, without them for half of the reference's latency; see the module's text."""

    Options = HybridOptions

    @property
    def wish(self) -> str:
        """What is asked besides the bounds, as a person says it."""
        return f"most top-1 accuracy, less what {self.options.metric} misses its target of {self.options.target}"

    def problem(self, space: SearchSpace, reference: Mapping[str, MetricValue]) -> Problem:
        """Minimise top-1 error and the cost ratio, with the bounds; a reference that gets no image right is refused."""
        if accuracy_of(reference) <= 0:
            raise ConfigError("objective.protocol: 'hybrid' is relative to the reference, whose accuracy is 0")
        return super().problem(space, reference)

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """Accuracy relative to the reference, less the penalty."""
        name = self.options.metric
        self._cost(evaluation, reference)  # refuses what is no cost
        target = resolve(amount(name, self.options.target, WHERE), reference, WHERE).value
        missed = max(cost_ratio(name, evaluation.metrics[name].value, target) - 1.0, 0.0)
        return accuracy_of(evaluation.metrics) / accuracy_of(reference) - self.options.penalty * missed
