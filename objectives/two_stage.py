"""The rewards of the two-stage PPO search, with references that stay where they are (S5.04, W22).

With accuracy p in 0..1 and the cost F of the network (the paper's: FLOPs):

    r1 = p + 1 - (F - F_low) / (F_high - F_low)
    r2 = p

The paper uses either while it prunes and r2 while it quantises. Departures from the paper:
1. F_low and F_high are the extremes that were observed so far there, so the same network scored differently early and
   late in a search. Here they are fixed before it: shares `lowest` and `highest` of the reference's cost.
2. A cost outside of them is not clipped: r1 stays linear in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from moco.errors import ConfigError
from moco.objectives.shared.cost import normalised
from moco.objectives.shared.protocol import ConstrainedObjective, accuracy_of, parsed
from moco.trial import Evaluation, MetricValue


@dataclass(frozen=True)
class TwoStageOptions:
    """What the user may choose."""

    reward: Literal["r1", "r2"] = "r1"  # `r1`, accuracy and cost, or `r2`, accuracy alone
    metric: str = "flops"  # the cost F
    lowest: float = 0.0  # F_low as a cost ratio to the reference
    highest: float = 1.0  # F_high likewise
    constraints: Mapping[str, str] = field(default_factory=dict)  # bounds by metric, `OP NUMBER[unit or x]`

    def __post_init__(self) -> None:
        if self.reward not in {"r1", "r2"}:
            raise ConfigError(f"objective.reward: expected 'r1' or 'r2', got {self.reward!r}")
        normalised({self.metric: 1.0}, "objective.metric")
        if not 0 <= self.lowest < self.highest < math.inf:
            raise ConfigError(f"objective.lowest: expected 0 <= lowest < highest, got {self.lowest} and {self.highest}")
        parsed(self.constraints, "objective.constraints")


class TwoStageObjective(ConstrainedObjective[TwoStageOptions]):
    """Either reward with its options, without them r1 over FLOPs; see the module's text."""

    Options = TwoStageOptions

    @property
    def wish(self) -> str:
        """What is asked besides the bounds, as a person says it."""
        most = "most top-1 accuracy"
        return most if self.options.reward == "r2" else f"{most} and least {self.options.metric}, weighed equally"

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """The published reward."""
        ratio = self._cost(evaluation, reference)
        accuracy = accuracy_of(evaluation.metrics)
        if self.options.reward == "r2":
            return accuracy
        return accuracy + 1.0 - (ratio - self.options.lowest) / (self.options.highest - self.options.lowest)
