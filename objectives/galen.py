"""Galen's absolute reward: accuracy minus what the cost ratio is off its target (S3.30), and its one-sided form (W11).

L. Krieger et al., "Towards Hardware-Specific Automatic Compression of Neural Networks" (2022). With accuracy p in
0..1, cost T_P of the compressed and T of the original network and the target cost ratio c:

    maximise p   subject to   T_P <= c * T                                    (S3.02)
    score = p + beta * |T_P / (c * T) - 1|,      beta = -3                    (S3.30, as printed)
    score = p + beta * max(T_P / (c * T) - 1, 0)                              (`one_sided`)

The printed form charges a network that is faster than asked as much as one that is slower. Departures from the paper:
1. The bound T_P <= c * T is a constraint of the problem, so networks that meet it are ordered before all others (W13);
   in the paper the reward alone decides: `bounded: false`.
2. The cost is any one metric of a network, of those where more is better by its inverse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from moco.constraints import Bound, Constraint
from moco.errors import ConfigError
from moco.metrics import Direction, metric
from moco.objectives.shared.cost import normalised
from moco.objectives.shared.protocol import ConstrainedObjective, accuracy_of, parsed, resolved
from moco.trial import Evaluation, MetricValue


@dataclass(frozen=True)
class GalenOptions:
    """What the user may choose."""

    metric: str = "latency_ms"  # the cost T; the paper's is latency, alternatively MACs or BOPs
    target: float = 0.2  # the cost ratio c that is aimed at, in (0, 1]; the paper's headline is 0.2
    beta: float = -3.0  # weight of what the ratio is off, <= 0
    one_sided: bool = False  # charge only what is above the target
    bounded: bool = True  # state T_P <= c * T as a constraint
    constraints: Mapping[str, str] = field(default_factory=dict)  # further bounds by metric, `OP NUMBER[unit or x]`

    def __post_init__(self) -> None:
        normalised({self.metric: 1.0}, "objective.metric")
        if not 0 < self.target <= 1:
            raise ConfigError(f"objective.target: expected a cost ratio in (0, 1], got {self.target}")
        if not -math.inf < self.beta <= 0:
            raise ConfigError(f"objective.beta: expected a number <= 0, got {self.beta}")
        parsed(self.constraints, "objective.constraints")


class GalenObjective(ConstrainedObjective[GalenOptions]):
    """The reward with its options, without them those of the paper; see the module's text."""

    Options = GalenOptions

    @property
    def wish(self) -> str:
        """What is asked besides the bounds, as a person says it."""
        side = "at most" if self.options.one_sided else "close to"
        return f"most top-1 accuracy with {self.options.metric} {side} {self.options.target:g} of the reference's cost"

    def _bounds(self, reference: Mapping[str, MetricValue]) -> tuple[Bound, ...]:
        """T_P <= c * T, stated of the metric itself: searchers keep bounds on what they can compute exactly (W12)."""
        name, ratio, others = self.options.metric, self.options.target, super()._bounds(reference)
        if not self.options.bounded:
            return others
        more = metric(name).direction == Direction.MAXIMIZE
        target = Constraint(name, ">=", 1 / ratio, "x") if more else Constraint(name, "<=", ratio, "x")
        return (*resolved((target,), reference, "objective.metric"), *others)

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """The published reward."""
        off = self._cost(evaluation, reference) / self.options.target - 1.0
        charged = max(off, 0.0) if self.options.one_sided else abs(off)
        return accuracy_of(evaluation.metrics) + self.options.beta * charged
