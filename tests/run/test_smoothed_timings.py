"""Timings that a neighbour disturbed are replaced by what calm ones say; on a calm machine all stay as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from moco.problem import Problem
from moco.run.smoothed_timings import SmoothedTimings
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState

NAMES = ("first.keep", "second.keep")
SPACE = SearchSpace({name: IntDistribution(4, 16) for name in NAMES}, neutral=dict.fromkeys(NAMES, 16))
PROBLEM = Problem(SPACE, {"top1_error": "minimize", "latency_ms": "minimize"})
BUSY, REFERENCE_BUSY = 1.35, 1.3
"""A busy machine takes the reference's time by 1.3, the ratio of a candidate to it by 1.35 more."""
Takes = Callable[[int, int], float]


def true_ms(first: int, second: int) -> float:
    """Linear in the widths."""
    return 0.3 + 0.05 * first + 0.03 * second


def stepped_ms(first: int, second: int) -> float:
    """The device computes in blocks of four channels."""
    return true_ms(*(4 * -(-width // 4) for width in (first, second)))


def timed(number: int, first: int, second: int, ms: float, is_busy: bool) -> Trial:
    point, state = {"first.keep": first, "second.keep": second}, TrialState.COMPLETE
    metrics = {"top1_error": MetricValue(0.1, 0.01), "latency_ms": MetricValue(ms, 0.01 * ms)}
    samples = {"latency_ms.reference_ms": (3.0 * (REFERENCE_BUSY if is_busy else 1.0),) * 15}
    evaluation = Evaluation(metrics, samples)
    outcome = PROBLEM.judge(evaluation)
    return Trial(number, Suggestion(number, point), state, point, SPACE.canonical(point), evaluation, outcome, -ms)


def searched(busy_share: float, seed: int, takes_ms: Takes = true_ms, count: int = 24) -> list[Trial]:
    rng = np.random.default_rng(seed)
    points, is_busy = rng.integers(4, 17, size=(count, 2)), rng.random(count) < busy_share
    ms = [takes_ms(int(a), int(b)) for a, b in points] * np.where(is_busy, BUSY, 1.0)
    return [timed(n, int(a), int(b), float(ms[n]), bool(is_busy[n])) for n, (a, b) in enumerate(points)]


def ratios(trials: list[Trial], timings: SmoothedTimings) -> np.ndarray:
    """To the true times."""
    smoothed = [timings.of(trial).metrics["latency_ms"].value for trial in trials]
    return np.array(smoothed) / [true_ms(*map(int, trial.point.values())) for trial in trials]


@pytest.mark.parametrize("busy_share", [0.3, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_disturbed_timings_come_near_the_truth(seed: int, busy_share: float) -> None:
    trials = searched(busy_share, seed)

    off = ratios(trials, SmoothedTimings(PROBLEM, trials)) - 1
    assert np.abs(off).max() < 0.15
    assert np.sqrt(np.mean(off**2)) < 0.04


@pytest.mark.parametrize("takes_ms", [true_ms, stepped_ms])
def test_on_a_calm_machine_they_stay_as_they_are(takes_ms: Takes) -> None:
    trials = searched(0.0, 0, takes_ms)
    timings = SmoothedTimings(PROBLEM, trials)

    assert [timings.of(trial) for trial in trials] == [trial.evaluation for trial in trials]


@pytest.mark.parametrize("seed", range(3))
def test_calm_timings_among_others_stay_as_they_are(seed: int) -> None:
    trials = searched(0.3, seed, stepped_ms)
    timings = SmoothedTimings(PROBLEM, trials)
    changed = {trial.number for trial in trials if timings.of(trial) != trial.evaluation}

    references = {t.number: t.evaluation.samples["latency_ms.reference_ms"][0] for t in trials if t.evaluation}
    assert changed == {number for number, ms in references.items() if ms > 3.0} != set()


def test_what_is_not_timed_stays() -> None:
    trials = searched(0.3, 0)
    timings = SmoothedTimings(PROBLEM, trials)

    assert {timings.of(trial).metrics["top1_error"] for trial in trials} == {MetricValue(0.1, 0.01)}


def test_few_calm_trials_say_nothing_of_the_others() -> None:
    trials = searched(0.5, 0, count=9)
    timings = SmoothedTimings(PROBLEM, trials)

    assert [timings.of(trial) for trial in trials] == [trial.evaluation for trial in trials]


def test_failed_trials_are_passed_over() -> None:
    failed = Trial(0, Suggestion(0, {}), TrialState.FAILED, {}, None, None, None, None)
    trials = searched(0.3, 0)

    assert ratios(trials, SmoothedTimings(PROBLEM, [failed, *trials])).max() < 1.15
