"""What every searcher here keeps: how often it was asked, and which policies it has been told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moco.errors import ConfigError
from moco.policy import Policy
from moco.problem import Problem
from moco.randomness import generator
from moco.trial import Point, Suggestion, Trial

REDRAWS = 10
"""A policy that was told before is redrawn up to this often, then proposed again: a small space may have no other left.
Rounding makes repeats frequent (W21), and each costs a trial of the budget and teaches nothing."""


class Asks:
    """Numbers the asks, and gives each its own generator, spawned from (seed, n).

    A searcher that was rebuilt and told the ledger goes on after the last ask that it has heard of.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self._problem = problem
        self._seed = seed
        self._told: set[Policy] = set()
        self.count = 0

    def next(self, draw: Callable[[np.random.Generator], Point]) -> Suggestion:
        """The next suggestion: the first draw whose policy was not told before, or else the last draw."""
        rng = generator(self._seed, "searcher", self.count)
        point = draw(rng)
        for _ in range(REDRAWS):
            if self._problem.space.canonical(point) not in self._told:
                break
            point = draw(rng)
        return self.number(point)

    def number(self, point: Point) -> Suggestion:
        """The point as the next suggestion."""
        suggestion = Suggestion(self.count, point)
        self.count += 1
        return suggestion

    def tell(self, trial: Trial) -> None:
        """Count a finished trial's ask, and remember its policy, whatever became of it."""
        self.count = max(self.count, trial.suggestion.id + 1)
        if trial.policy is not None:
            self._told.add(trial.policy)


def at_least(name: str, value: int, least: int) -> None:
    """Refuse a count below `least`.

    Raises:
        ConfigError: not a whole number, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"searcher.{name}: expected a whole number of at least {least}, got {value!r}")


def probability(name: str, value: float) -> None:
    """Refuse what is not a probability.

    Raises:
        ConfigError: not a number in 0..1.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(f"searcher.{name}: expected a probability in 0..1, got {value!r}")
