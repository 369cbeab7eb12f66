"""NSGA-III: survival by non-dominated rank and, within the last rank, by how few survivors share a direction.

Thin over Optuna's NSGAIIISampler: K. Deb and H. Jain, "An evolutionary many-objective optimization algorithm using
reference-point-based nondominated sorting approach, part I", IEEE Transactions on Evolutionary Computation 18(4), 2014;
constraints by constrained domination as in NSGA-II (part II of the paper). Reference directions are spread evenly over
the simplex of normalised losses, which keeps a front of three or more losses covered where crowding does not.

Departures from the paper: those of `moco.searchers.shared.generations`, which NSGA-II shares.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import NSGAIIISampler

from moco.searchers.shared.generations import GenerationSearcher, GeneticOptions
from moco.searchers.shared.option_checks import at_least


@dataclass(frozen=True)
class NSGA3Options(GeneticOptions):
    """Those of `GeneticOptions`, and how many directions there are."""

    divisions: int | None = None  # steps between two corners of the simplex of directions, >= 1; None: `divisions_for`

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.divisions is not None:
            at_least("divisions", self.divisions, 1, 100)


def divisions_for(population: int, n_losses: int) -> int:
    """The most p >= 1 with C(p + m - 1, m - 1) directions <= population, as the paper has it (Optuna takes 3)."""
    if n_losses == 1:
        return 1
    fitting = (p for p in range(population, 0, -1) if math.comb(p + n_losses - 1, n_losses - 1) <= population)
    return next(fitting, 1)


class NSGA3Searcher(GenerationSearcher):
    """NSGA-III over all losses and constraints of the problem."""

    Options = NSGA3Options
    _options: NSGA3Options

    def _sampler(self, seed: int) -> NSGAIIISampler:
        divisions = self._options.divisions or divisions_for(self._options.population, len(self._problem.objectives))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna calls it experimental since 3.2
            return NSGAIIISampler(seed=seed, dividing_parameter=divisions, **self._options.of_sampler())
