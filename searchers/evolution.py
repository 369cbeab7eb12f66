"""Regularised evolution: the best of a few members of a population has a child, and the oldest member dies.

E. Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019. A child differs from its
parent by mutations that are natural to layer groups (`moco.searchers.shared.mutations`): a parameter one step up or
down, two groups swapped, or a group that copies its neighbour. As members die of age and not of a bad score, a lucky
measurement does not stay the parent of all.

It optimises the problem's score; feasible members beat infeasible ones, and of two infeasible ones the one that misses
its bounds by less wins (K. Deb, "An efficient constraint handling method for genetic algorithms", 2000).

Departures from the paper:
1. Breeding begins as soon as `startup` trials are complete, starts included, and the population then grows to its size.
2. A child may have two parents, by uniform crossover of whole groups; off by default, as in the paper.
3. Rejected and failed trials are no members; a child whose policy was told before is bred again (`asks.REDRAWS`).
4. A mutation is followed by another one with probability 1/2, and so on: at 100 trials and 20 groups, single steps do
   not come far.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from moco.encoding import decode, project
from moco.errors import ConfigError
from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.searchers.shared.mutations import copied, crossed, stepped, swapped
from moco.searchers.shared.option_checks import at_least, probability
from moco.searchers.shared.proposals import ProposalCounter
from moco.trial import Point, Suggestion, Trial, TrialState
from moco.trial_rank import rank


@dataclass(frozen=True)
class EvolutionOptions:
    """Options of regularised evolution."""

    population: int = 20  # how many of the last complete trials are alive, >= 2
    tournament: int = 5  # members of which the best has a child, 1 to `population`
    startup: int = 10  # complete trials before the first child, >= 1; until then draws are uniform
    step: float = 0.1  # mean length of a step of a continuous parameter, in widths of its range, in (0, 1]
    swap: float = 0.15  # probability that a mutation is a swap rather than a step
    copy: float = 0.15  # probability that it is a copy; swap + copy <= 1
    crossover: float = 0.0  # probability that a child has two parents
    again: float = 0.5  # probability that a mutation is followed by another, in [0, 1)

    def __post_init__(self) -> None:
        at_least("population", self.population, 2)
        at_least("tournament", self.tournament, 1)
        at_least("startup", self.startup, 1)
        for name in ("step", "swap", "copy", "crossover", "again"):
            probability(name, getattr(self, name))
        most, tournament = self.population, self.tournament
        if tournament > most:
            raise ConfigError(f"searcher.tournament: expected at most the population, {most}, got {tournament}")
        if self.step == 0:
            raise ConfigError("searcher.step: expected a length above 0, got 0")
        if self.swap + self.copy > 1:
            raise ConfigError(f"searcher.copy: expected swap + copy <= 1, got {self.swap} + {self.copy}")
        if self.again == 1:
            raise ConfigError("searcher.again: expected a probability below 1, got 1")


class EvolutionSearcher:
    """Regularised evolution of the problem's score."""

    Options = EvolutionOptions
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: EvolutionOptions, seed: int) -> None:
        self._space, self._options = problem.space, options
        self._asks = ProposalCounter(problem, seed)
        self._alive: deque[Trial] = deque(maxlen=options.population)

    def ask(self) -> Suggestion:
        """A child of the best of a few members."""
        return self._asks.next(self._draw)

    def tell(self, trial: Trial) -> None:
        """A complete trial is born; the oldest dies."""
        self._asks.tell(trial)
        if trial.state is TrialState.COMPLETE:
            self._alive.append(trial)

    def _draw(self, rng: np.random.Generator) -> Point:
        if len(self._alive) < min(self._options.startup, self._options.population):
            return decode(self._space, rng.random(len(self._space.distributions)))
        child = self._parent(rng)
        if rng.random() < self._options.crossover:
            child = crossed(self._space, child, self._parent(rng), rng)
        child = self._mutated(child, rng)
        while rng.random() < self._options.again:
            child = self._mutated(child, rng)
        return child

    def _parent(self, rng: np.random.Generator) -> Point:
        size = min(self._options.tournament, len(self._alive))
        drawn = [self._alive[i] for i in rng.choice(len(self._alive), size=size, replace=False)]
        return project(self._space, max(drawn, key=rank).point)

    def _mutated(self, point: Point, rng: np.random.Generator) -> Point:
        options, which, changed = self._options, rng.random(), point
        if which < options.swap:
            changed = swapped(self._space, point, rng)
        elif which < options.swap + options.copy:
            changed = copied(self._space, point, rng)
        return changed if changed != point else stepped(self._space, point, options.step, rng)
