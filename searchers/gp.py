"""Gaussian processes by Optuna: a model of each loss and each violation proposes the largest expected improvement.

Thin over Optuna's GPSampler: the logarithm of the expected improvement (S. Ament et al., "Unexpected improvements to
expected improvement for Bayesian optimization", NeurIPS 2023), for several losses that of the hypervolume (S. Daulton
et al., "Differentiable expected hypervolume improvement for parallel multi-objective Bayesian optimization", NeurIPS
2020), times the probability that every constraint is met (J. Gardner et al., "Bayesian optimization with inequality
constraints", ICML 2014). Integers are searched along their own grid and choices one by one, neither as a real number.

Departures from the papers:
1. Starts count as start-up trials: the model begins the sooner.
2. Pending asks are not modelled: suggestions depend on told trials only.
3. Standard errors are not used: Optuna infers one noise for all trials of a loss.
4. Each draw fits its models from the same first guess, not from the last draw's: a restart fits the same ones.
5. A suggestion whose policy was told before is replaced by a neighbour at once (`asks.NEIGHBOURS`): the same model
   would propose the same point again.
"""

from __future__ import annotations

from dataclasses import dataclass

from optuna.samplers import GPSampler

from moco.interfaces import SearcherCapabilities
from moco.searchers.shared import criteria
from moco.searchers.shared.option_checks import at_least
from moco.searchers.shared.optuna_sampler import SamplerSearcher


@dataclass(frozen=True)
class GPOptions:
    """Options of Optuna's Gaussian processes."""

    startup: int = 10  # complete trials before the model takes over, >= 1 (Optuna's default); until then uniform draws
    optimise: str = criteria.LOSSES  # `losses`, the whole front, or `score`, the one scalar that orders trials

    def __post_init__(self) -> None:
        at_least("startup", self.startup, 1)
        criteria.check(self.optimise)


class GPSearcher(SamplerSearcher):
    """Optuna's Gaussian processes over all losses and constraints of the problem."""

    Options = GPOptions
    capabilities = SearcherCapabilities(max_trials=500, order=3)
    redraws = 0

    def _sampler(self, seed: int) -> GPSampler:
        return GPSampler(seed=seed, n_startup_trials=self._options.startup)
