"""Timings of a search's networks, those of a busy machine replaced by what the calm ones say.

A neighbour on a shared machine slows some networks more than others, and candidates that are timed beside a slowed
reference are off by more than their intervals tell (moco.evaluation.calm). A regression (`moco.run.metric_law`) is
fitted to those that were timed while the machine was calm, and says what the others should have taken. On a calm
machine every timing stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moco.evaluation.calm import SLOWER, calm_of
from moco.metrics import METRICS
from moco.problem import Problem
from moco.readings import READINGS
from moco.run.metric_law import LEAST_TRIALS, MetricLaw, is_of_the_space
from moco.trial import Evaluation, Trial


class SmoothedTimings:
    """The timed metrics of a search's networks."""

    def __init__(self, problem: Problem, trials: Sequence[Trial]) -> None:
        """Learn from the complete trials of the space."""
        told = [trial for trial in trials if is_of_the_space(trial)]
        found = [] if not told or told[0].evaluation is None else told[0].evaluation.metrics
        self._laws: dict[str, MetricLaw] = {}
        self._limits_ms: dict[str, float] = {}  # what the reference took at most on a calm machine
        for name in (name for name in found if METRICS[name].timed):
            known = [ms for trial in told if (ms := _reference_ms(trial, name)) is not None]
            limit_ms = SLOWER * calm_of(known) if known else np.inf
            calm = [trial for trial in told if (_reference_ms(trial, name) or 0.0) <= limit_ms]
            if LEAST_TRIALS <= len(calm) < len(told):
                values = [trial.evaluation.metrics[name].value for trial in calm if trial.evaluation is not None]
                self._laws[name], self._limits_ms[name] = MetricLaw.of(problem.space, calm, values), limit_ms

    def of(self, trial: Trial) -> Evaluation:
        """The trial's evaluation; where a timing was disturbed, one with what calm ones say in its place."""
        assert trial.evaluation is not None
        changed = {
            name: law.predicted(trial)
            for name, law in self._laws.items()
            if is_of_the_space(trial) and (_reference_ms(trial, name) or 0.0) > self._limits_ms[name]
        }
        return (
            replace(trial.evaluation, metrics={**trial.evaluation.metrics, **changed}) if changed else trial.evaluation
        )


def _reference_ms(trial: Trial, name: str) -> float | None:
    """What the reference took beside the trial's network, in the series' own unit; None where no samples were kept."""
    assert trial.evaluation is not None
    samples = trial.evaluation.samples.get(f"{name}.reference_{READINGS[name].unit}")
    return float(np.median(samples)) if samples else None
