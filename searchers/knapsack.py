"""Exact knapsack: of all combinations of single steps, the one that loses least while it saves enough.

Losses and savings of single steps are taken to add up, so the best policy for a budget is a multiple-choice knapsack,
at most one alternative a unit:

    minimise   sum_u sum_j loss_uj x_uj   subject to   sum_u sum_j saving_uj x_uj >= S,   sum_j x_uj <= 1,   x binary

It is solved to optimality, for saved amounts S from nothing to all that can be saved, by dynamic programming over whole
parts of that (H. Kellerer, U. Pferschy and D. Pisinger, "Knapsack problems", 2004, section 11.5): all amounts at once,
in milliseconds. Branch and bound (scipy.optimize.milp) gives the same combinations, which the tests check; it takes
100 ms for each, and HiGHS 1.12 prints lines that cannot be turned off. Y. Aflalo et al., "Knapsack pruning with inner
distillation", 2020, choose filters by a knapsack, and Sony's Model Compression Toolkit bits.

Departures from Aflalo et al.:
1. The single steps are the first asks and count in the budget, unless the space's features carry a sensitivity analysis
   of every parameter; the uncompressed network comes before them.
2. The amounts S are a line from light to heavy on which the place is sought where the bounds are met, and whose widest
   gaps follow (`moco.searchers.steps.steps_then_line`). Savings add up only nearly, so the place is sought by the exact
   costs of the solutions, or by their trials.
3. Curves are read between the measured levels (`moco.searchers.steps.measured_curves`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from moco.searchers.steps.measured_curves import Alternative
from moco.searchers.steps.steps_then_line import Line, StepsThenLine
from moco.trial import Point

AMOUNTS = 257  # amounts S, in equal steps: 0.4 % of what can be saved apart
PARTS = 10_000  # savings are whole numbers of these parts of all that can be saved


class Knapsack:
    """The best combinations for all amounts, of which `most` parts can be saved."""

    def __init__(self, alternatives: Sequence[Sequence[Alternative]]) -> None:
        """Fill the table, unit by unit: least loss by parts saved exactly, and the alternative that leads there."""
        self._alternatives = alternatives
        all_savings = sum(max(way.saving for way in ways) for ways in alternatives)
        self._parts = [[round(PARTS * way.saving / all_savings) for way in ways] for ways in alternatives]
        self.most = sum(max(parts) for parts in self._parts)
        self._least = np.full(self.most + 1, np.inf)
        self._least[0] = 0.0
        self._taken = np.full((len(alternatives), self.most + 1), -1, dtype=np.int16)
        for ways, parts, taken in zip(alternatives, self._parts, self._taken, strict=True):
            before = self._least.copy()
            for place, (way, saved) in enumerate(zip(ways, parts, strict=True)):
                with_it = np.full_like(before, np.inf)
                with_it[saved:] = before[: len(before) - saved] + way.loss
                better = with_it < self._least
                self._least[better], taken[better] = with_it[better], place

    def solve(self, needed: int) -> list[Alternative]:
        """At most one alternative of each unit, together saving at least so many parts and losing least."""
        enough = self._least[needed:]
        left = self.most - int(np.argmin(enough[::-1]))  # of combinations that lose the same, the one that saves most
        found = []
        for unit in reversed(range(len(self._alternatives))):
            place = int(self._taken[unit, left])
            if place >= 0:
                found.append(self._alternatives[unit][place])
                left -= self._parts[unit][place]
        return found[::-1]


def all_amounts(base: Point, alternatives: Mapping[str, Sequence[Alternative]]) -> Line:
    """The best points for saved amounts from nothing to all."""
    units = [ways for ways in ([way for way in unit if way.saving > 0] for unit in alternatives.values()) if ways]
    if not units:
        return Line(1, lambda _: base)
    knapsack = Knapsack(units)

    @cache
    def at(position: int) -> Point:
        point = dict(base)
        for way in knapsack.solve(knapsack.most * position // (AMOUNTS - 1)):
            point |= way.changes
        return point

    return Line(AMOUNTS, at)


class KnapsackSearcher(StepsThenLine):
    """Single steps, then their best combinations."""

    make_line = staticmethod(all_amounts)
