"""A finished point moved until its rounded policy meets the bounds on costs that the space computes exactly (W12)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moco.encoding import decode, encode
from moco.problem import Problem
from moco.searchers.shared.cost_bounds import CostBounds, heaviest
from moco.trial import Point


class Repair:
    """Moves all coordinates of a point by the same amount towards the space's light end, or towards its heavy one.

    Attributes:
        binds: whether the problem has an exact bound, and the space a uniform policy that meets it.
    """

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

        Args:
            fill: also make it heavier as far as the bounds allow, so that no part of the budget is left unused.
        """
        if not self.binds or (not fill and self._meets(coordinates)):
            return decode(self._space, coordinates)
        shift = heaviest(lambda by: self._meets(coordinates + by * self._direction), -1.0, 1.0 if fill else 0.0)
        return decode(self._space, coordinates + shift * self._direction)

    def _meets(self, coordinates: np.ndarray) -> bool:
        return self._budget.met(self._budget.costs(decode(self._space, coordinates)))
