"""Exact knapsack: of all combinations of single steps, the one that loses least while it saves enough.

Losses and savings of single steps are taken to add up, so the best policy for a budget is a multiple-choice knapsack,
at most one alternative a unit:

    minimise   sum_u sum_j loss_uj x_uj   subject to   sum_u sum_j saving_uj x_uj >= S,   sum_j x_uj <= 1,   x binary

It is solved to optimality by branch and bound (scipy.optimize.milp, HiGHS), for saved amounts S from nothing to all
that can be saved. Y. Aflalo et al., "Knapsack pruning with inner distillation", 2020, do so for filters, and Sony's
Model Compression Toolkit for bits.

Departures from the paper:
1. The single steps are the first asks and count in the budget, unless the space's features carry a sensitivity analysis
   of every parameter; the uncompressed network comes before them.
2. The amounts S are a line from light to heavy on which the place is sought where the bounds are met, and whose widest
   gaps follow (`moco.searchers.steps_then_line`). Savings add up only nearly, so the place is sought by the exact costs
   of the solutions, or by their trials.
3. Curves are read between the measured levels (`moco.searchers.sensitivities`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.searchers.sensitivities import Alternative
from moco.searchers.steps_then_line import Line, StepsOptions, StepsThenLine
from moco.trial import Point, Suggestion, Trial

AMOUNTS = 257
"""Amounts S, in equal steps: 0.4 % of what can be saved apart."""

THOUSANDTHS = 1000
"""Savings are whole thousandths of all that can be saved. With whole numbers as small as these what the solver finds is
exact when it is rounded; with finer ones it took three times as long, and HiGHS 1.12 prints a line for each solution
that it has to mend."""


def in_thousandths(alternatives: Sequence[Sequence[Alternative]]) -> list[np.ndarray]:
    """Savings of each unit's alternatives."""
    most = sum(max(way.saving for way in unit) for unit in alternatives)
    return [np.rint([THOUSANDTHS * way.saving / most for way in unit]) for unit in alternatives]


def chosen(alternatives: Sequence[Sequence[Alternative]], share: float) -> list[Alternative]:
    """At most one alternative of each unit, together saving that share of all that can be saved and losing least."""
    ways = [way for unit in alternatives for way in unit]
    units = [place for place, unit in enumerate(alternatives) for _ in unit]
    savings, losses = in_thousandths(alternatives), np.array([way.loss for way in ways])
    needed = np.floor(share * sum(amounts.max() for amounts in savings))
    one_each = np.equal.outer(np.arange(len(alternatives)), units).astype(float)
    solved = milp(
        c=losses / (losses.max() or 1.0),
        integrality=np.ones(len(ways)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(np.concatenate(savings), lb=needed), LinearConstraint(one_each, ub=1)],
        options={"mip_rel_gap": 0, "presolve": False},  # presolve leaves more to mend, and takes no less time
    )
    if solved.x is None:
        raise ArithmeticError(f"knapsack: no combination saves a share of {share:g}: {solved.message}")
    return [way for way, taken in zip(ways, solved.x, strict=True) if taken > 0.5]


def all_amounts(base: Point, alternatives: Mapping[str, Sequence[Alternative]]) -> Line:
    """The best points for saved amounts from nothing to all."""
    units = [ways for ways in ([way for way in unit if way.saving > 0] for unit in alternatives.values()) if ways]

    @cache
    def at(position: int) -> Point:
        point = dict(base)
        for way in chosen(units, position / (AMOUNTS - 1)) if position else ():
            point |= way.changes
        return point

    return Line(AMOUNTS if units else 1, at)


class KnapsackSearcher:
    """Single steps, then their best combinations."""

    Options = StepsOptions
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: StepsOptions, seed: int) -> None:  # noqa: ARG002
        self._search = StepsThenLine(problem, options, all_amounts)

    def ask(self) -> Suggestion:
        """The next single step, or else the best combination for the next amount."""
        return self._search.ask()

    def tell(self, trial: Trial) -> None:
        """Remember the result."""
        self._search.tell(trial)
