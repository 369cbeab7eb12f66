"""NSGA-II: survival by non-dominated rank and crowding distance, breeding by crossover and mutation.

Thin over Optuna's NSGAIISampler: K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
Transactions on Evolutionary Computation 2002. Constraints by constrained domination: feasible before infeasible, of two
infeasible ones the smaller sum of violations.

Departures from the paper:
1. A complete trial belongs to the generation that is being filled when it is told, whoever proposed it: starts fall
   into the first and seed it, and with several pending asks a late child joins its successors instead of being lost.
   So the generations follow from the trials told alone, and a restart finds the same ones.
2. Uniform crossover, and mutation by a uniform redraw of a value (Optuna's defaults), not simulated binary crossover
   and polynomial mutation, which did no better on the same problems.
3. Rejected and failed trials take no place in a generation; another child is bred instead.
4. A child whose policy was told before is bred again (`asks.REDRAWS`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optuna.samplers import NSGAIISampler

from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.searchers.asks import Asks, at_least, probability
from moco.searchers.optuna_sampler import SamplerStudy
from moco.trial import Point, Suggestion, Trial, TrialState

GENERATION = "NSGAIISampler:generation"
"""The system attribute by which Optuna's NSGAIISampler finds the members of a generation."""


@dataclass(frozen=True)
class NSGA2Options:
    """Options of NSGA-II.

    Attributes:
        population: trials in a generation, >= 2. Much smaller than Optuna's 50: of 10, 20 and 30, this reached the
            largest hypervolume in 100 trials on ZDT1 and on a synthetic compression problem of 40 parameters.
        crossover: probability that a child has two parents rather than one. Optuna's default.
        swapping: probability that a value comes from the second parent. Optuna's default.
        mutation: probability that a value is redrawn; None takes 1 / number of parameters.
    """

    population: int = 10
    crossover: float = 0.9
    swapping: float = 0.5
    mutation: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        at_least("population", self.population, 2)
        probability("crossover", self.crossover)
        probability("swapping", self.swapping)
        if self.mutation is not None:
            probability("mutation", self.mutation)


class NSGA2Searcher:
    """NSGA-II over all losses and constraints of the problem."""

    Options = NSGA2Options
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: NSGA2Options, seed: int) -> None:
        self._options = options
        self._asks = Asks(problem, seed)
        self._trials = SamplerStudy(problem, len(problem.objectives))
        self._n_complete = 0

    def ask(self) -> Suggestion:
        """A uniform draw in the first generation, a child of the last survivors afterwards."""
        return self._asks.next(self._draw)

    def tell(self, trial: Trial) -> None:
        """Put a complete trial into the present generation; when that is full, select who breeds the next."""
        self._asks.tell(trial)
        if trial.state is not TrialState.COMPLETE or trial.outcome is None:
            return
        self._trials.add(trial.point, trial.outcome, {GENERATION: self._n_complete // self._options.population})
        self._n_complete += 1
        generation, place = divmod(self._n_complete, self._options.population)
        if place == 0:
            # Optuna selects at the first draw otherwise, and keeps the selection in another order than it first used:
            # a searcher that is rebuilt within a generation would draw other parents.
            self._trials.refresh()
            self._sampler(seed=0).get_parent_population(self._trials.study, generation)

    def _draw(self, rng: np.random.Generator) -> Point:
        return self._trials.draw(self._sampler(int(rng.integers(2**32))))

    def _sampler(self, seed: int) -> NSGAIISampler:
        return NSGAIISampler(
            population_size=self._options.population,
            crossover_prob=self._options.crossover,
            swapping_prob=self._options.swapping,
            mutation_prob=self._options.mutation,
            seed=seed,
        )
