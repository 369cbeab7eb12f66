"""What networks cost in time by all trials of a search, and not by the one timing of each.

A timing on a shared machine is off by more than its own interval tells: a neighbour slows some candidates and not
others. Networks of like policies cost alike, so a Gaussian process over all trials (moco.searchers.models) tells how
far single timings scatter, and gives each network the part that the others bear out. On a calm machine it leaves the
timings as they are, to within their scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moco.metrics import METRICS
from moco.problem import Problem
from moco.searchers.models.policy_models import PolicyModels
from moco.trial import Evaluation, MetricValue, Trial, TrialState

LEAST_TRIALS = 8
"""With fewer trials a timing says more than its likes do."""


class SmoothedTimings:
    """The timed metrics of a search's networks."""

    def __init__(self, problem: Problem, trials: Sequence[Trial]) -> None:
        """Learn from the complete trials; each network that was timed counts once for each of its timings."""
        told = [trial for trial in trials if _is_of_the_space(trial)]
        found = [] if not told or told[0].evaluation is None else told[0].evaluation.metrics
        self._names = [name for name in found if METRICS[name].timed]
        self._models = PolicyModels(problem)
        self._knows = len(told) >= LEAST_TRIALS and bool(self._names)
        if self._knows:
            self._models.learn(told)

    def of(self, trial: Trial) -> Evaluation:
        """The trial's evaluation with its timed metrics as all trials bear them out."""
        assert trial.evaluation is not None
        if not self._knows or not _is_of_the_space(trial):
            return trial.evaluation
        inputs = self._models.depths.of_points([trial.point])
        metrics = dict(trial.evaluation.metrics)
        for name, prediction in self._models.screened(inputs, self._names).items():
            value = prediction.scale.back(prediction.mean)
            sem = prediction.sd * prediction.scale.rate(value)
            metrics[name] = MetricValue(float(value[0]), float(np.asarray(sem)[0]))
        return replace(trial.evaluation, metrics=metrics)


def _is_of_the_space(trial: Trial) -> bool:
    """Whether it is a complete trial of a policy of the space, timed by itself."""
    complete = trial.state is TrialState.COMPLETE and trial.evaluation is not None and trial.policy is not None
    return complete and trial.distinct and trial.suggestion.sibling is None
