"""NSGA-II: survival by non-dominated rank and crowding distance, breeding by crossover and mutation.

Thin over Optuna's NSGAIISampler: K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
Transactions on Evolutionary Computation 2002. Constraints by constrained domination: feasible before infeasible, of two
infeasible ones the smaller sum of violations.

Departures from the paper: those of `moco.searchers.shared.generations`, which NSGA-III shares.
"""

from __future__ import annotations

from optuna.samplers import NSGAIISampler

from moco.searchers.shared.generations import GenerationSearcher, GeneticOptions


class NSGA2Searcher(GenerationSearcher):
    """NSGA-II over all losses and constraints of the problem."""

    Options = GeneticOptions

    def _sampler(self, seed: int) -> NSGAIISampler:
        return NSGAIISampler(seed=seed, **self._options.of_sampler())
