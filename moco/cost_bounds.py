"""The bounds of a problem on costs that its space computes exactly, and how much of something they allow (W12).

A bound counts here if it is an upper one on a cost of `space.cost` (macs, flops, parameters, bops, packed_size_mb).
Whether it is met is asked of the rounded policy, so what is kept within the bounds is what is executed. Bounds on what
must be measured (latency, error) are left to the reward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from moco.encoding import decode, encode
from moco.problem import Problem
from moco.trial import MetricValue, Point

BISECTIONS = 8  # halvings of an action's range: to 0.4 % of it, finer than most layers have channels
Costs = Mapping[str, float]

NONE, SHRINK, FILL = "none", "shrink", "fill"
"""Ways to keep the bounds: by nothing, by making a point lighter, or also heavier as far as they allow."""


class CostBounds:
    """What may be spent; it `binds` where there is a bound at all, and the lightest policy meets it."""

    def __init__(self, problem: Problem, lightest: Point) -> None:
        """Find the bounds; `lightest` is the point of the space with all actions at 0."""
        self._codec = problem.space.codec
        costs = self.costs(lightest)
        self._bounds = tuple(bound for bound in problem.bounds if bound.op == "<=" and bound.metric in costs)
        self.binds = bool(self._bounds) and self.meets(lightest)

    def costs(self, point: Point) -> Costs:
        """Exact costs of the policy that a point of the space rounds to; none without a codec."""
        return {} if self._codec is None else self._codec.cost(self._codec.policy(point))

    def meets(self, point: Point) -> bool:
        """Whether the policy that a point of the space rounds to is within every bound."""
        costs = self.costs(point)
        return all(bound.violation(MetricValue(costs[bound.metric])) <= 0 for bound in self._bounds)

    def headroom(self, least: Costs, most: Costs) -> float:
        """The share, in [0, 1], that the bounds leave of what is left to decide: from costs `least` to `most`."""
        limits = [(bound.value, least[bound.metric], most[bound.metric]) for bound in self._bounds]
        shares = [(value - low) / (high - low) for value, low, high in limits if high > low]
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


class Repair:
    """Moves a point's coordinates alike until its policy meets the bounds; `binds` where a uniform policy does."""

    def __init__(self, problem: Problem) -> None:
        """Find the light end: neutral or the far one, whichever meets the bounds."""
        self._space = problem.space
        ends: Sequence[Point] = [problem.space.uniform(level) for level in (1.0, 0.0)]
        budgets = [CostBounds(problem, end) for end in ends]
        light = 0 if budgets[0].binds else 1
        self._budget = budgets[light]
        self.binds = self._budget.binds
        self._direction = np.sign(encode(self._space, ends[1 - light]) - encode(self._space, ends[light]))

    def __call__(self, coordinates: np.ndarray, fill: bool) -> Point:
        """The point of coordinates (n_parameters,) in the unit cube, made lighter until every exact bound is met.

        With `fill` it is also made heavier as far as the bounds allow: no part of the budget is left unused.
        """

        def moved(by: float) -> Point:
            return decode(self._space, coordinates + by * self._direction)

        if not self.binds or (not fill and self._budget.meets(moved(0.0))):
            return decode(self._space, coordinates)
        return moved(heaviest(lambda by: self._budget.meets(moved(by)), -1.0, 1.0 if fill else 0.0))


def idle_bounds(option: str, options: Any, problem: Problem, binds: bool) -> list[str]:
    """A line where that option of `options`, a way to keep bounds on exact costs, was chosen and has no effect.

    It has one where the searcher has found exact bounds that can be kept: `binds`. A default that has no effect is no
    news, and an experiment out of a run folder spells all defaults out.
    """
    chosen = getattr(options, option)
    if binds or chosen in (NONE, getattr(type(options)(), option)):
        return []
    space = problem.space
    known = space.cost(space.canonical(space.uniform(0.0)))
    exact = [bound.metric for bound in problem.bounds if bound.op == "<=" and bound.metric in known]
    if exact:
        return [f"{option}: '{chosen}' has no effect: even the lightest policy misses the bounds on {', '.join(exact)}"]
    names = f" ({', '.join(known)})" if known else ""
    return [f"{option}: '{chosen}' has no effect: no bound is '<=' on a cost that the space computes exactly{names}"]
