"""The whole grid: every combination of the parameters' values, the last parameter changing fastest (S2.09).

Choices and numbers with a step have their own values; a number without one has `levels` of them, evenly spread from
end to end on its own scale. The n-th ask is the n-th combination; after the last one the grid begins anew. Nothing is
random and nothing is learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution

from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.searchers.shared.option_checks import at_least
from moco.searchers.shared.proposals import ProposalCounter
from moco.space import between, choices_of, n_values, numbers_of, snapped
from moco.trial import Point, Suggestion, Trial


@dataclass(frozen=True)
class GridOptions:
    """How fine the grid is."""

    levels: int = 5  # of a number without a step, >= 2: both ends, and as many between them as are left

    def __post_init__(self) -> None:
        at_least("levels", self.levels, 2)


class GridSearcher:
    """Counts through the grid."""

    Options = GridOptions
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: GridOptions, seed: int) -> None:
        self._asks = ProposalCounter(problem, seed)
        self._axes = dict(problem.space.distributions)
        self._sizes = {name: n_values(axis) or options.levels for name, axis in self._axes.items()}

    def ask(self) -> Suggestion:
        """The next combination."""
        return self._asks.number(self._combination(self._asks.count % math.prod(self._sizes.values())))

    def tell(self, trial: Trial) -> None:
        """Count the ask."""
        self._asks.tell(trial)

    def _combination(self, place: int) -> Point:
        point: dict[str, Any] = {}
        for name in reversed(self._axes):
            place, level = divmod(place, self._sizes[name])
            point[name] = _at(self._axes[name], level, self._sizes[name])
        return {name: point[name] for name in self._axes}


def _at(axis: BaseDistribution, level: int, of: int) -> Any:
    """The value of an axis at that of so many levels, from 0 on."""
    if (choices := choices_of(axis)) is not None:
        return choices[level]
    numbers = numbers_of(axis)
    if numbers.step is not None:
        return snapped(axis, numbers.low + level * numbers.step)
    return between(numbers, numbers.low, numbers.high, level / max(of - 1, 1))
