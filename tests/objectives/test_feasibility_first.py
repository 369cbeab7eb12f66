"""Every protocol orders trials by feasibility, then by its score or by how far they miss, in whatever unit (W13)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from moco.experiment.options import options_of
from moco.policy import Policy
from moco.problem import Problem
from moco.registry import BUILT_IN, plugin
from moco.space import SearchSpace
from moco.study import Budget, Study, best, rank
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState

PROTOCOLS: dict[str, dict[str, Any]] = {
    "accuracy-guaranteed": {"floor": "-5 pp", "constraints": {"size_mb": "<= 0.7x"}},
    "resource-constrained": {"constraints": {"size_mb": "<= 0.2x", "latency_ms": "<= 0.4x"}},
    "galen": {"target": 0.6, "constraints": {"top1_error": "<= +20 pp"}},
    "two-stage": {"constraints": {"top1_error": "<= +10 pp", "size_mb": "<= 0.6x"}},
    "hybrid": {"constraints": {"top1_error": "<= +10 pp"}},
    "front": {
        "objectives": {"top1_error": "minimize", "size_mb": "minimize", "throughput_ips": "maximize"},
        "constraints": {"latency_ms": "<= 0.6x"},
    },
}
RESOURCES = ("latency_ms", "energy_j", "throughput_ips", "size_mb", "flops")
SPACE = SearchSpace(
    {
        "a": FloatDistribution(0.1, 1.0),
        "b": FloatDistribution(0.1, 1.0),
        "precision": CategoricalDistribution(["float32", "int8"]),
    }
)


def test_no_protocol_is_left_out() -> None:
    assert set(PROTOCOLS) == set(BUILT_IN["objective"])


def network(a: float, b: float, precision: str, units: float) -> Evaluation:
    """A made-up network; all that it spends is stated in `units`."""
    size = 0.5 * (a + b) * (1.0 if precision == "float32" else 0.3)
    spent = {"latency_ms": 3 * size, "energy_j": 0.2 * size, "size_mb": 40 * a * size, "flops": 1e6 * size}
    numbers = {name: round(value, 6) * units for name, value in spent.items()} | {"throughput_ips": 90 * units / size}
    error = 0.1 + 0.4 * (1 - a) ** 2 + 0.3 * (1 - b) ** 2 + (0.0 if precision == "float32" else 0.01)
    return Evaluation({name: MetricValue(value) for name, value in {"top1_error": error, **numbers}.items()})


def problem(name: str, units: float = 1.0) -> Problem:
    kind = plugin("objective", name)
    reference = network(1.0, 1.0, "float32", units).metrics
    found: Problem = kind(options_of(kind.Options, PROTOCOLS[name], "objective")).problem(SPACE, reference)
    return found


def judged(asked: Problem, number: int, evaluation: Evaluation) -> Trial:
    outcome, score = asked.judge(evaluation), asked.score(evaluation)
    return Trial(number, Suggestion(number, {}), TrialState.COMPLETE, {}, Policy.of({}), evaluation, outcome, score)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_feasible_comes_first_and_what_misses_less_comes_next(name: str) -> None:
    rng, asked = np.random.default_rng(7), problem(name)
    trials = [
        judged(asked, n, network(*rng.uniform(0.1, 1.0, 2), str(rng.choice(["float32", "int8"])), 1.0))
        for n in range(200)
    ]
    ordered = sorted(trials, key=rank, reverse=True)
    feasible = sum(trial.feasible for trial in trials)
    assert 10 <= feasible <= 190, "both kinds must be there"
    assert all(trial.feasible for trial in ordered[:feasible])
    scores = [trial.score for trial in ordered[:feasible]]
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    missed = [sum(max(v, 0.0) for v in t.outcome.violations) for t in ordered[feasible:] if t.outcome is not None]
    assert missed == sorted(missed)
    assert missed[0] > 0
    assert best(trials) is ordered[0]


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("error", [0.0, 0.1, 0.3, 0.9999, 1.0])
def test_what_models_learn_of_the_score_has_no_cliff_and_a_standard_error(name: str, error: float) -> None:
    """At the target and across every bound: a jump there would be learned as a slope, or taken for noise."""
    asked = problem(name, 1.0)
    at = network(0.6, 0.6, "int8", 1.0)

    def scored(scale: float) -> tuple[float, float | None]:
        metrics = {name: MetricValue(m.value * scale, 0.01 * m.value) for name, m in at.metrics.items()}
        moved = replace(at, metrics={**metrics, "top1_error": MetricValue(error, 0.02)})
        return asked.unbounded_score(moved), asked.score_sem(moved)

    found = [scored(scale) for scale in np.linspace(0.2, 3.0, 1401)]
    scores = np.array([score for score, _ in found])
    assert np.abs(np.diff(scores)).max() < 0.05
    assert all(sem is not None and 0 < sem < 5 for _, sem in found)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("searcher", ["nsga2", "tpe", "evolution", "greybox"])
def test_units_a_hundred_times_smaller_leave_the_selected_policies_unchanged(name: str, searcher: str) -> None:
    def searched(units: float) -> list[Trial]:
        asked, kind = problem(name, units), plugin("searcher", searcher)
        study = Study(asked, kind(asked, kind.Options(), 3), lambda policy: network(**policy.settings, units=units))
        return study.run(Budget(30))

    ours, theirs = searched(1.0), searched(100.0)
    assert [trial.point for trial in ours] == [trial.point for trial in theirs]
    chosen, same = best(ours), best(theirs)
    assert chosen is not None
    assert same is not None
    assert chosen.number == same.number
    assert chosen.score is not None
    assert math.isclose(chosen.score, same.score or 0.0, rel_tol=1e-9)
