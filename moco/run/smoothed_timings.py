"""Timings of a search's networks, those of a busy machine replaced by what the calm ones say.

A neighbour on a shared machine slows some networks more than others, and candidates that are timed beside a slowed
reference are off by more than their intervals tell (moco.evaluation.calm). Networks of like policies cost alike, so a
Gaussian process over those that were timed while the machine was calm (moco.searchers.models) says what the others
should have taken. On a calm machine every timing stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moco.evaluation.calm import CALMEST, SLOWER
from moco.metrics import METRICS
from moco.problem import Problem
from moco.readings import READINGS
from moco.searchers.models.policy_models import PolicyModels
from moco.trial import Evaluation, MetricValue, Trial, TrialState

LEAST_CALM = 8
"""With fewer calm trials a disturbed timing says more than its likes do."""


class SmoothedTimings:
    """The timed metrics of a search's networks."""

    def __init__(self, problem: Problem, trials: Sequence[Trial]) -> None:
        """Learn from the complete trials of the space."""
        told = [trial for trial in trials if _is_of_the_space(trial)]
        found = [] if not told or told[0].evaluation is None else told[0].evaluation.metrics
        self._models: dict[str, PolicyModels] = {}
        self._limits_ms: dict[str, float] = {}
        for name in (name for name in found if METRICS[name].timed):
            known = [ms for trial in told if (ms := _reference_ms(trial, name)) is not None]
            limit_ms = SLOWER * float(np.quantile(known, CALMEST, method="lower")) if known else np.inf
            calm = [trial for trial in told if (_reference_ms(trial, name) or 0.0) <= limit_ms]
            if LEAST_CALM <= len(calm) < len(told):
                self._limits_ms[name], self._models[name] = limit_ms, PolicyModels(problem)
                self._models[name].learn(calm)

    def of(self, trial: Trial) -> Evaluation:
        """The trial's evaluation, its disturbed timings as the calm ones bear them out."""
        assert trial.evaluation is not None
        metrics = dict(trial.evaluation.metrics)
        for name, models in self._models.items():
            if _is_of_the_space(trial) and (_reference_ms(trial, name) or 0.0) > self._limits_ms[name]:
                found = models.screened(models.depths.of_points([trial.point]), [name])[name]
                value = found.scale.back(found.mean)
                metrics[name] = MetricValue(float(value[0]), float((found.sd * found.scale.rate(value))[0]))
        return replace(trial.evaluation, metrics=metrics)


def _reference_ms(trial: Trial, name: str) -> float | None:
    """What the reference took beside the trial's network, in the series' own unit; None where no samples were kept."""
    assert trial.evaluation is not None
    samples = trial.evaluation.samples.get(f"{name}.reference_{READINGS[name].unit}")
    return float(np.median(samples)) if samples else None


def _is_of_the_space(trial: Trial) -> bool:
    """Whether it is a complete trial of a policy of the space, timed by itself."""
    complete = trial.state is TrialState.COMPLETE and trial.evaluation is not None and trial.policy is not None
    return complete and trial.distinct and trial.suggestion.sibling is None
