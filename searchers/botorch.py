"""Bayesian optimisation by BoTorch: a model of each loss and each violation proposes the largest expected improvement.

Several losses: S. Daulton et al., "Parallel Bayesian optimization of multiple noisy objectives with expected
hypervolume improvement", NeurIPS 2021; one loss: B. Letham et al., "Constrained Bayesian optimization with noisy
experiments", Bayesian Analysis 14(2), 2019; both on the log scale of S. Ament et al., "Unexpected improvements to
expected improvement for Bayesian optimization", NeurIPS 2023. Each outcome has a Gaussian process with the priors of
C. Hvarfner et al., "Vanilla Bayesian optimization performs great in high dimensions", ICML 2024; an outcome whose
standard errors are all known has them as its noise. Integers and choices are searched on their own values, in turn
with gradients along the rest.

Departures from the papers:
1. Pending asks are not modelled: suggestions depend on told trials only.
2. What is proposed is a policy that was not told before: from the maximum, the search goes on in single steps over the
   points that would be executed (rounded to channels, ranks and bits) and are new.
3. The models are fitted with `acquisition.FIT_STEPS` steps, and the maximum is sought from few places (`restarts`).
4. Where no model can be fitted, the sequence of the start-up goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
import torch
from scipy.stats import qmc

from moco.encoding import decode
from moco.errors import ConfigError
from moco.interfaces import SearcherCapabilities
from moco.policy import Policy
from moco.problem import Problem
from moco.randomness import generator
from moco.searchers.models.axes import axes_of, coordinates, neighbours, point_at
from moco.searchers.models.botorch_models import Outcomes, best_candidate, expected_improvement, fit
from moco.searchers.models.torch_draws import own_torch
from moco.searchers.shared import criteria
from moco.searchers.shared.option_checks import at_least
from moco.searchers.shared.proposals import ProposalCounter
from moco.trial import Point, Suggestion, Trial

MOST_STEPS = 5  # single steps from the maximum to a policy that is new and best among its neighbours; two are common
Improvement = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class BoTorchOptions:
    """Options of BoTorch's Bayesian optimisation."""

    startup: int = 10  # complete trials before the model takes over, >= 1; until then points of a Sobol sequence
    optimise: str = criteria.LOSSES  # `losses`, the whole front, or `score`, the one scalar that orders trials
    samples: int = 128  # draws from the posterior that the improvement is averaged over, >= 1; BoTorch's for fronts
    raw: int = 256  # points among which the search for the maximum chooses where to begin, >= 1
    restarts: int = 4  # from how many of them it begins, 1..raw
    gradient_steps: int = 100  # of L-BFGS-B along continuous axes, >= 1

    def __post_init__(self) -> None:
        for name in ("startup", "samples", "raw", "restarts", "gradient_steps"):
            at_least(name, getattr(self, name), 1)
        if self.restarts > self.raw:
            raise ConfigError(f"searcher.restarts: expected at most raw = {self.raw}, got {self.restarts}")
        criteria.check(self.optimise)


class BoTorchSearcher:
    """Noisy expected (hypervolume) improvement over all losses and constraints of the problem."""

    Options = BoTorchOptions
    capabilities = SearcherCapabilities(max_trials=500, order=3)

    def __init__(self, problem: Problem, options: BoTorchOptions, seed: int) -> None:
        self._problem, self._options, self._seed = problem, options, seed
        self._asks = ProposalCounter(problem, seed, redraws=0)
        self._axes = axes_of(problem.space)
        self._rows: list[tuple[np.ndarray, ...]] = []  # coordinates, and the parts of an `Outcome`
        self._told: set[Policy] = set()

    def ask(self) -> Suggestion:
        """A point of Sobol's sequence at first, then a new policy of the largest expected improvement."""
        return self._asks.next(self._draw, instead=lambda _: self._of_the_sequence())

    def tell(self, trial: Trial) -> None:
        """Learn from a complete trial; a policy's second evaluation counts only where it was measured again."""
        self._asks.tell(trial)
        if trial.policy is not None:
            self._told.add(trial.policy)
        outcome = criteria.outcome(self._problem, trial, self._options.optimise)
        if outcome is not None and trial.distinct:
            x = coordinates(self._axes, self._problem.space, trial.point)
            self._rows.append((x, *(np.array(row, dtype=float) for row in astuple(outcome))))

    def _draw(self, rng: np.random.Generator) -> Point:
        if len(self._rows) < self._options.startup or not self._axes:
            return self._of_the_sequence()
        seed = int(rng.integers(2**31))
        with own_torch(seed):
            improvement, options = self._improvement(seed), self._options
            x = best_candidate(improvement, self._axes, options.raw, options.restarts, options.gradient_steps)
            return self._new_policy(x.numpy(), improvement)

    def _of_the_sequence(self) -> Point:
        """The point of Sobol's sequence that belongs to this ask."""
        n_parameters = len(self._problem.space.distributions)
        sequence = qmc.Sobol(n_parameters, rng=generator(self._seed, "searcher", "scrambling"))
        if self._asks.count > 0:  # SciPy's cannot be moved by nothing
            sequence.fast_forward(self._asks.count)
        return decode(self._problem.space, sequence.random(1)[0])

    def _improvement(self, seed: int) -> Improvement:
        told = Outcomes.of(*(np.stack(rows) for rows in zip(*self._rows, strict=True)))
        return expected_improvement(fit(told, self._axes), told, self._worst(), self._options.samples, seed)

    def _worst(self) -> torch.Tensor | None:
        """The problem's reference point as BoTorch wants it, where the problem has one."""
        stated = self._problem.reference_point
        if stated is None or self._options.optimise == criteria.SCORE:
            return None
        return -torch.tensor(self._problem.loss_point(stated), dtype=torch.double)

    def _new_policy(self, x: np.ndarray, improvement: Improvement) -> Point:
        """The best new policy at the maximum or a few single steps from it; the maximum itself where none is new."""
        best = self._best_new(x[None], improvement)
        for _ in range(MOST_STEPS):
            nearby = self._best_new(neighbours(self._axes, x if best is None else best[1]), improvement)
            if nearby is None or (best is not None and nearby[0] <= best[0]):
                break
            best = nearby
        return point_at(self._axes, self._problem.space, x if best is None else best[1])

    def _best_new(self, candidates: np.ndarray, improvement: Improvement) -> tuple[float, np.ndarray] | None:
        """The improvement and the coordinates (n_axes,) of the best of candidates (n, n_axes) whose policy is new.

        It is judged where it would be executed: rounding may lead far from what was proposed.
        """
        space, executed = self._problem.space, {}
        for x in candidates:
            point = point_at(self._axes, space, x)
            policy = space.canonical(point)
            if policy not in self._told and policy not in executed:
                executed[policy] = (x, coordinates(self._axes, space, space.executed(policy, point)))
        if not executed:
            return None
        proposed, judged = (np.stack(rows) for rows in zip(*executed.values(), strict=True))
        with torch.no_grad():
            values = improvement(torch.tensor(judged, dtype=torch.double)[:, None, :])
        best = int(values.argmax())
        return float(values[best]), proposed[best]
