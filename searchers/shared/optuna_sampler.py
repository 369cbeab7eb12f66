"""An Optuna sampler behind ask and tell: a study in memory that holds the told trials, and nothing else.

A fresh sampler makes each draw, so that no state of a generator outlives it; the trial that Optuna opens for a draw is
failed at once, and samplers do not look at failed trials. Pending asks are therefore invisible to the sampler.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial

from moco.encoding import project
from moco.problem import Problem
from moco.searchers.shared import criteria
from moco.searchers.shared.proposals import REDRAWS, ProposalCounter
from moco.trial import Outcome, Point, Suggestion, Trial


class SamplerStudy:
    """The told trials as Optuna's samplers see them; every loss is minimised."""

    def __init__(self, problem: Problem, n_losses: int) -> None:
        self._space = problem.space
        self.study = _silent_study(n_losses)

    def draw(self, sampler: BaseSampler) -> Point:
        """A point of the space from a sampler that was seeded for this draw."""
        self.study.sampler = sampler
        trial = self.study.ask(dict(self._space.distributions))
        self.study.tell(trial, state=TrialState.FAIL)
        return project(self._space, trial.params)

    def refresh(self) -> None:
        """Let methods of samplers see all trials: Optuna keeps a list that it renews when a trial is closed only."""
        self.study.tell(self.study.ask(), state=TrialState.FAIL)

    def add(self, point: Point, outcome: Outcome, attributes: Mapping[str, Any]) -> None:
        """Add what was executed, brought back into the space, its outcome, and what this sampler notes of a trial."""
        trial = create_trial(
            values=outcome.losses,
            params=project(self._space, point),
            distributions=dict(self._space.distributions),
            system_attrs=dict(attributes),
            constraints={str(n): violation for n, violation in enumerate(outcome.violations)},
        )
        self.study.add_trial(trial)


class SamplerSearcher(ABC):
    """Asks an Optuna sampler, which a strategy makes anew for each draw."""

    redraws = REDRAWS

    def __init__(self, problem: Problem, options: Any, seed: int) -> None:
        self._problem, self._options = problem, options
        self._asks = ProposalCounter(problem, seed, self.redraws)
        self._trials = SamplerStudy(problem, criteria.n_losses(problem, options.optimise))

    def ask(self) -> Suggestion:
        """A uniform draw at first, then the most promising point by the sampler's model."""
        return self._asks.next(lambda rng: self._trials.draw(self._sampler(int(rng.integers(2**32)))))

    def tell(self, trial: Trial) -> None:
        """Learn from a complete trial."""
        self._asks.tell(trial)
        with self._asks.surviving("learn"):
            outcome = criteria.outcome(self._problem, trial, self._options.optimise)
            if outcome is not None:
                self._trials.add(trial.point, outcome, {})

    @abstractmethod
    def _sampler(self, seed: int) -> BaseSampler:
        """The sampler with the options."""


def _silent_study(n_losses: int) -> optuna.Study:
    """A study in memory; Optuna announces each new one on the console, so its log is held back meanwhile."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(directions=["minimize"] * n_losses)
    finally:
        optuna.logging.set_verbosity(level)
