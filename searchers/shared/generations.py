"""Generations of a genetic algorithm that follow from the trials told alone, over one of Optuna's genetic samplers.

What NSGA-II and NSGA-III share; they differ in who survives.

Departures from the papers:
1. A complete trial belongs to the generation that is being filled when it is told, whoever proposed it: starts fall
   into the first and seed it, and with several pending asks a late child joins its successors instead of being lost.
   So the generations follow from the trials told alone, and a restart finds the same ones.
2. Uniform crossover, and mutation by a uniform redraw of a value (Optuna's defaults), not simulated binary crossover
   and polynomial mutation, which did no better on the same problems.
3. Rejected and failed trials take no place in a generation; another child is bred instead.
4. A child whose policy was told before is bred again (`asks.REDRAWS`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.randomness import derived_seed
from moco.searchers.shared import criteria
from moco.searchers.shared.option_checks import at_least, probability
from moco.searchers.shared.optuna_sampler import SamplerSearcher
from moco.trial import Outcome, Point, Trial, TrialState


@dataclass(frozen=True)
class GeneticOptions:
    """What both have to choose.

    The population is much smaller than Optuna's 50: of 10, 20 and 30, this gave NSGA-II the largest hypervolume in 100
    trials on ZDT1 and on a synthetic compression problem of 40 parameters.
    """

    population: int = 10  # trials in a generation, >= 2
    crossover: float = 0.9  # probability that a child has two parents rather than one; Optuna's default
    swapping: float = 0.5  # probability that a value comes from the second parent; Optuna's default
    mutation: float | None = None  # probability that a value is redrawn; None takes 1 / number of parameters
    optimise: ClassVar[str] = criteria.LOSSES

    def __post_init__(self) -> None:
        at_least("population", self.population, 2)
        probability("crossover", self.crossover)
        probability("swapping", self.swapping)
        if self.mutation is not None:
            probability("mutation", self.mutation)

    def of_sampler(self) -> dict[str, Any]:
        """The values by the names that Optuna's genetic samplers give them."""
        return {
            "population_size": self.population,
            "crossover_prob": self.crossover,
            "swapping_prob": self.swapping,
            "mutation_prob": self.mutation,
        }


class GenerationSearcher(SamplerSearcher):
    """Fills generation after generation with the trials told; draws uniformly at first, then children of survivors."""

    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: GeneticOptions, seed: int) -> None:
        super().__init__(problem, options, seed)
        self._population, self._seed = options.population, seed
        self._key = f"{type(self._sampler(0)).__name__}:generation"  # by which Optuna finds the members of one
        self._n_complete = 0

    @abstractmethod
    def _sampler(self, seed: int) -> Any:
        """One of Optuna's genetic samplers, with the options."""

    def tell(self, trial: Trial) -> None:
        """Put a complete trial into the present generation; when that is full, select who breeds the next."""
        self._asks.tell(trial)
        if trial.state is not TrialState.COMPLETE or trial.outcome is None:
            return
        with self._asks.surviving("learn"):
            self._take(trial.point, trial.outcome)

    def _take(self, point: Point, outcome: Outcome) -> None:
        self._trials.add(point, outcome, {self._key: self._n_complete // self._population})
        self._n_complete += 1
        generation, place = divmod(self._n_complete, self._population)
        if place == 0:
            # Optuna selects at the first draw otherwise, and keeps the selection in another order than it first used:
            # a searcher that is rebuilt within a generation would draw other parents.
            self._trials.refresh()
            sampler = self._sampler(derived_seed(self._seed, "searcher", "selection", generation))
            sampler.get_parent_population(self._trials.study, generation)
