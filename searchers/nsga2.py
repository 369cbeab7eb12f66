"""NSGA-II: survival by non-dominated rank and crowding distance, breeding by crossover and mutation.

Thin over Optuna's NSGAIISampler: K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
Transactions on Evolutionary Computation 2002. Constraints by constrained domination: feasible before infeasible, of two
infeasible ones the smaller sum of violations.

Departures from the paper: those of `moco.searchers.shared.generations`, which NSGA-III shares.
"""

from __future__ import annotations

from dataclasses import dataclass

from optuna.samplers import NSGAIISampler

from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.searchers.shared.generations import Generations, GeneticOptions
from moco.trial import Suggestion, Trial


@dataclass(frozen=True)
class NSGA2Options(GeneticOptions):
    """Those of `GeneticOptions`."""


class NSGA2Searcher:
    """NSGA-II over all losses and constraints of the problem."""

    Options = NSGA2Options
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: NSGA2Options, seed: int) -> None:
        self._options = options
        self._generations = Generations(problem, options.population, seed, self._sampler)

    def ask(self) -> Suggestion:
        """A uniform draw in the first generation, a child of the last survivors afterwards."""
        return self._generations.ask()

    def tell(self, trial: Trial) -> None:
        """Put a complete trial into the present generation; when that is full, select who breeds the next."""
        self._generations.tell(trial)

    def _sampler(self, seed: int) -> NSGAIISampler:
        return NSGAIISampler(seed=seed, **self._options.of_sampler())
