"""Timings of a search's networks, those of a busy machine replaced by what the calm ones say.

A neighbour on a shared machine slows some networks more than others, and candidates that are timed beside a slowed
reference are off by more than their intervals tell (moco.evaluation.calm). Networks of like policies cost alike: a
ridge regression of the logarithm of the time, on the logarithms of the exact costs and on the parameters, is fitted to
those that were timed while the machine was calm, and says what the others should have taken. On a calm machine every
timing stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from moco.encoding import encode, project
from moco.evaluation.calm import SLOWER, calm_of
from moco.metrics import METRICS
from moco.problem import Problem
from moco.readings import READINGS
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Trial, TrialState

LEAST_CALM = 8
"""With fewer calm trials a disturbed timing says more than its likes do."""
OF_COSTS, OF_PARAMETERS = 1.0, 0.3
"""Standard deviations that are expected of the slopes: time goes with costs, and by a third with a parameter."""
SCATTER = 0.05
"""Standard deviation of a calm timing about the regression, in logarithms."""


@dataclass(frozen=True)
class _Law:
    """The regression of one metric."""

    space: SearchSpace
    limit_ms: float  # what the reference took at most on a calm machine
    mean: float
    slopes: np.ndarray
    centre: np.ndarray

    @staticmethod
    def of(space: SearchSpace, calm: Sequence[Trial], name: str, limit_ms: float) -> _Law:
        """Fitted to the calm trials."""
        rows = np.array([_inputs(space, trial) for trial in calm])
        logs = np.log([trial.evaluation.metrics[name].value for trial in calm if trial.evaluation is not None])
        centre, mean, n_costs = rows.mean(axis=0), float(logs.mean()), rows.shape[1] - len(space.distributions)
        sds = np.array([OF_COSTS] * n_costs + [OF_PARAMETERS] * len(space.distributions))
        x = (rows - centre) * sds / SCATTER
        weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ ((logs - mean) / SCATTER))
        return _Law(space, limit_ms, mean, weights * sds, centre)

    def predicted(self, trial: Trial) -> MetricValue:
        """What the trial's network should take."""
        value = float(np.exp(self.mean + (_inputs(self.space, trial) - self.centre) @ self.slopes))
        return MetricValue(value, SCATTER * value)


class SmoothedTimings:
    """The timed metrics of a search's networks."""

    def __init__(self, problem: Problem, trials: Sequence[Trial]) -> None:
        """Learn from the complete trials of the space."""
        told = [trial for trial in trials if _is_of_the_space(trial)]
        found = [] if not told or told[0].evaluation is None else told[0].evaluation.metrics
        self._laws: dict[str, _Law] = {}
        for name in (name for name in found if METRICS[name].timed):
            known = [ms for trial in told if (ms := _reference_ms(trial, name)) is not None]
            limit_ms = SLOWER * calm_of(known) if known else np.inf
            calm = [trial for trial in told if (_reference_ms(trial, name) or 0.0) <= limit_ms]
            if LEAST_CALM <= len(calm) < len(told):
                self._laws[name] = _Law.of(problem.space, calm, name, limit_ms)

    def of(self, trial: Trial) -> Evaluation:
        """The trial's evaluation; where a timing was disturbed, one with what calm ones say in its place."""
        assert trial.evaluation is not None
        changed = {
            name: law.predicted(trial)
            for name, law in self._laws.items()
            if _is_of_the_space(trial) and (_reference_ms(trial, name) or 0.0) > law.limit_ms
        }
        return (
            replace(trial.evaluation, metrics={**trial.evaluation.metrics, **changed}) if changed else trial.evaluation
        )


def _inputs(space: SearchSpace, trial: Trial) -> np.ndarray:
    """Logarithms of the exact costs, then where the parameters stand in the unit cube."""
    costs = [] if trial.policy is None else space.cost(trial.policy).values()
    return np.array([*np.log(np.maximum([*costs], 1e-12)), *encode(space, project(space, trial.point))])


def _reference_ms(trial: Trial, name: str) -> float | None:
    """What the reference took beside the trial's network, in the series' own unit; None where no samples were kept."""
    assert trial.evaluation is not None
    samples = trial.evaluation.samples.get(f"{name}.reference_{READINGS[name].unit}")
    return float(np.median(samples)) if samples else None


def _is_of_the_space(trial: Trial) -> bool:
    """Whether it is a complete trial of a policy of the space, timed by itself."""
    complete = trial.state is TrialState.COMPLETE and trial.evaluation is not None and trial.policy is not None
    return complete and trial.distinct and trial.suggestion.sibling is None
