"""Timings of one search bear each other out: a neighbour that slows some of them does not decide what is cheap."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from moco.problem import Problem
from moco.run.smoothed_timings import LEAST_TRIALS, SmoothedTimings
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState

NAMES = ("first.keep", "second.keep")
SPACE = SearchSpace({name: IntDistribution(4, 16) for name in NAMES}, neutral=dict.fromkeys(NAMES, 16))
PROBLEM = Problem(SPACE, {"top1_error": "minimize", "latency_ms": "minimize"})
BUSY = 1.35


def true_ms(first: int, second: int) -> float:
    return 0.3 + 0.05 * first + 0.03 * second


def timed(number: int, first: int, second: int, factor: float, state: TrialState = TrialState.COMPLETE) -> Trial:
    point, ms = {"first.keep": first, "second.keep": second}, true_ms(first, second) * factor
    evaluation = Evaluation({"top1_error": MetricValue(0.1, 0.01), "latency_ms": MetricValue(ms, 0.01 * ms)})
    outcome = PROBLEM.judge(evaluation)
    return Trial(number, Suggestion(number, point), state, point, SPACE.canonical(point), evaluation, outcome, -ms)


def searched(count: int, busy_share: float, seed: int) -> list[Trial]:
    rng = np.random.default_rng(seed)
    points = rng.integers(4, 17, size=(count, 2))
    factors = np.where(rng.random(count) < busy_share, BUSY, 1.0)
    return [timed(n, int(a), int(b), float(f)) for n, ((a, b), f) in enumerate(zip(points, factors, strict=True))]


def off(trials: list[Trial], values: list[float]) -> np.ndarray:
    """How far log times are off the true ones, but for what is common to all."""
    true = [true_ms(*trial.point.values()) for trial in trials]
    logs = np.log(values) - np.log(true)
    return np.asarray(logs - np.median(logs))


@pytest.mark.parametrize("seed", range(4))
def test_on_a_busy_machine_they_are_nearer_to_the_truth(seed: int) -> None:
    trials = searched(24, 0.3, seed)
    timings = SmoothedTimings(PROBLEM, trials)

    single = [trial.evaluation.metrics["latency_ms"].value for trial in trials if trial.evaluation]
    smoothed = [timings.of(trial).metrics["latency_ms"].value for trial in trials]

    assert np.sqrt(np.mean(off(trials, smoothed) ** 2)) < 0.75 * np.sqrt(np.mean(off(trials, single) ** 2))


@pytest.mark.parametrize("seed", range(4))
def test_on_a_calm_machine_they_stay_as_they_are(seed: int) -> None:
    trials = searched(24, 0.0, seed)
    timings = SmoothedTimings(PROBLEM, trials)

    for trial in trials:
        assert timings.of(trial).metrics["latency_ms"].value == pytest.approx(true_ms(*trial.point.values()), rel=0.02)


def test_what_is_not_timed_stays() -> None:
    trials = searched(24, 0.3, 0)

    assert SmoothedTimings(PROBLEM, trials).of(trials[0]).metrics["top1_error"] == MetricValue(0.1, 0.01)


def test_few_trials_are_left_as_they_were_timed() -> None:
    trials = searched(LEAST_TRIALS - 1, 0.5, 0)

    assert SmoothedTimings(PROBLEM, trials).of(trials[0]) is trials[0].evaluation


def test_failed_trials_are_passed_over() -> None:
    failed = Trial(0, Suggestion(0, {}), TrialState.FAILED, {}, None, None, None, None)
    trials = [failed, *searched(12, 0.0, 0)]

    assert SmoothedTimings(PROBLEM, trials).of(trials[1]).metrics["latency_ms"].value > 0
