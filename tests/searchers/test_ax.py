from __future__ import annotations

from dataclasses import replace

import pytest
from optuna.distributions import FloatDistribution

from moco.problem import Problem
from moco.testing.loop import build, finished, run, told
from moco.trial import Evaluation, MetricValue, Point, Suggestion, Trial

PROBLEM = Problem({"x": FloatDistribution(0.0, 1.0)}, {"loss": "minimize"}, {"loss": "<= 0.3"})  # type: ignore[arg-type]
N = 8
"""More than Ax's start-up."""


def loss(point: Point) -> dict[str, float]:
    return {"loss": (point["x"] - 0.7) ** 2}


def measured(trial: Trial, sem: float | None) -> Trial:
    """The trial, measured with that standard error."""
    assert trial.evaluation is not None
    evaluation = Evaluation({"loss": MetricValue(trial.evaluation.metrics["loss"].value, sem)})
    return replace(trial, evaluation=evaluation, outcome=PROBLEM.judge(evaluation))


@pytest.mark.slow
def test_standard_errors_are_told_only_where_every_trial_has_one() -> None:
    """Ax refuses a mixture; one trial without an error must not leave the search to uniform draws."""
    spread = [Suggestion(n, {"x": (n + 0.5) / N}) for n in range(N)]
    trials = [finished(PROBLEM, loss, suggestion, n) for n, suggestion in enumerate(spread)]
    without = told(build("ax", PROBLEM), [measured(trial, None) for trial in trials])
    mixed = told(build("ax", PROBLEM), [measured(trial, None if n == 5 else 0.2) for n, trial in enumerate(trials)])
    known = told(build("ax", PROBLEM), [measured(trial, 0.2) for trial in trials])

    proposed = without.ask()
    assert proposed.point["x"] == pytest.approx(0.7, abs=0.1)
    assert mixed.ask() == proposed
    assert known.ask() != proposed


@pytest.mark.slow
def test_it_finds_the_least_loss_within_the_bound() -> None:
    trials = run(build("ax", PROBLEM), PROBLEM, loss, N + 2)
    assert min(abs(trial.point["x"] - 0.7) for trial in trials) < 0.03
