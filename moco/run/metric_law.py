"""What a metric of a search's networks is expected to be, learned from those that were measured.

Networks of like policies cost alike: a ridge regression of the metric's logarithm on the logarithms of the exact costs
and on the parameters, in the manner of `moco.encoding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moco.encoding import encode, project
from moco.policy import Policy
from moco.space import SearchSpace
from moco.trial import MetricValue, Point, Trial, TrialState

LEAST_TRIALS = 8
"""Of fewer nothing is learned."""
OF_COSTS, OF_PARAMETERS = 1.0, 0.3
"""Standard deviations that are expected of the slopes: time goes with costs, and by a third with a parameter."""
SCATTER = 0.05
"""Standard deviation of a measured value about the regression, in logarithms."""


@dataclass(frozen=True)
class MetricLaw:
    """The regression of one metric."""

    space: SearchSpace
    mean: float
    slopes: np.ndarray
    centre: np.ndarray

    @staticmethod
    def of(space: SearchSpace, trials: Sequence[Trial], values: Sequence[float]) -> MetricLaw:
        """Fitted to trials of the space, and their values of the metric, all above 0."""
        rows = np.array([_inputs(space, trial.policy, trial.point) for trial in trials])
        logs = np.log(values)
        centre, mean, n_costs = rows.mean(axis=0), float(logs.mean()), rows.shape[1] - len(space.distributions)
        sds = np.array([OF_COSTS] * n_costs + [OF_PARAMETERS] * len(space.distributions))
        x = (rows - centre) * sds / SCATTER
        weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ ((logs - mean) / SCATTER))
        return MetricLaw(space, mean, weights * sds, centre)

    def predicted(self, trial: Trial) -> MetricValue:
        """What the trial's network should have."""
        away = _inputs(self.space, trial.policy, trial.point) - self.centre
        value = float(np.exp(self.mean + away @ self.slopes))
        return MetricValue(value, SCATTER * value)

    def factor(self, trial: Trial, policy: Policy, point: Point) -> float:
        """By how much the metric of another policy should be larger than that of the trial."""
        away = _inputs(self.space, policy, point) - _inputs(self.space, trial.policy, trial.point)
        return float(np.exp(away @ self.slopes))


def is_of_the_space(trial: Trial) -> bool:
    """Whether it is a complete trial of a policy of the space, measured by itself."""
    complete = trial.state is TrialState.COMPLETE and trial.evaluation is not None and trial.policy is not None
    return complete and trial.distinct and trial.suggestion.sibling is None


def _inputs(space: SearchSpace, policy: Policy | None, point: Point) -> np.ndarray:
    """Logarithms of the exact costs, then where the parameters stand in the unit cube."""
    costs = [] if policy is None else space.cost(policy).values()
    return np.array([*np.log(np.maximum([*costs], 1e-12)), *encode(space, project(space, point))])
