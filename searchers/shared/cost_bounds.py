"""The bounds of a problem on costs that its space computes exactly, and how much of something they allow (W12).

A bound counts here if it is an upper one on a cost of `space.cost` (macs, flops, parameters, bops, packed_size_mb).
Whether it is met is asked of the rounded policy, so what is kept within the bounds is what is executed. Bounds on what
must be measured (latency, error) are left to the reward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from moco.problem import Problem
from moco.trial import MetricValue, Point

BISECTIONS = 8
"""Halvings of an action's range: to 0.4 % of it, finer than most layers have channels."""

Costs = Mapping[str, float]


class CostBounds:
    """What may be spent.

    Attributes:
        binds: whether there is a bound at all, and the lightest policy meets it.
    """

    def __init__(self, problem: Problem, lightest: Point) -> None:
        """Find the bounds; `lightest` is the point of the space with all actions at 0."""
        self._codec = problem.space.codec
        costs = self.costs(lightest)
        self._bounds = tuple(bound for bound in problem.bounds if bound.op == "<=" and bound.metric in costs)
        self.binds = bool(self._bounds) and self.met(costs)

    def costs(self, point: Point) -> Costs:
        """Exact costs of the policy that a point of the space rounds to; none without a codec."""
        return {} if self._codec is None else self._codec.cost(self._codec.policy(point))

    def met(self, costs: Costs) -> bool:
        """Whether the costs are within every bound."""
        return all(bound.violation(MetricValue(costs[bound.metric])) <= 0 for bound in self._bounds)

    def headroom(self, least: Costs, most: Costs) -> float:
        """The share of what is left to decide that the bounds leave, in [0, 1].

        Args:
            least, most: costs with everything that is left to decide at its lightest, and at its heaviest.
        """
        shares = [
            (bound.value - least[bound.metric]) / (most[bound.metric] - least[bound.metric])
            for bound in self._bounds
            if most[bound.metric] > least[bound.metric]
        ]
        return float(np.clip(min(shares, default=1.0), 0.0, 1.0))


def heaviest(allowed: Callable[[float], bool], low: float, high: float) -> float:
    """The largest x in [low, high] that bisection finds allowed; `low` is taken as allowed, and `high` is tried first.

    What is returned was tried, or is `low`: nothing is assumed of `allowed`, which need not be monotone.
    """
    if allowed(high):
        return high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return low
