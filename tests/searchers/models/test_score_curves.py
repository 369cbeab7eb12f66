"""The score along each metric: bends of published scores, exactly at their targets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from moco.interfaces import Objective
from moco.objectives.accuracy_guaranteed import AccuracyGuaranteedObjective, AccuracyGuaranteedOptions
from moco.objectives.galen import GalenObjective, GalenOptions
from moco.objectives.hybrid import HybridObjective, HybridOptions
from moco.searchers.models.score_curves import ScoreCurve, bent, score_curves
from moco.trial import Evaluation, MetricValue, Point
from tests.searchers.layered import layered_problem, layered_space, measured

SPACE = layered_space()
REFERENCE = measured(SPACE.neutral).metrics
TOLD: list[Point] = [
    SPACE.neutral,
    {name: distribution.low for name, distribution in SPACE.distributions.items()},
]


def curves(objective: Objective) -> tuple[Evaluation, dict[str, ScoreCurve]]:
    """From two trials, the second being taken for the best."""
    told = [measured(point) for point in TOLD]
    problem = objective.problem(SPACE, REFERENCE)
    return told[1], score_curves(problem, told[1], [one.metrics for one in told])


@pytest.mark.parametrize(
    ("objective", "cost"),
    [
        (GalenObjective(GalenOptions(metric="bops", target=0.06, bounded=False)), "bops"),
        (GalenObjective(GalenOptions(metric="bops", target=0.06, bounded=False, one_sided=True)), "bops"),
        (HybridObjective(HybridOptions(metric="macs", target="0.4x")), "macs"),
    ],
    ids=["two sides", "one side", "hybrid"],
)
def test_the_sum_of_the_curves_is_the_protocols_own_score(objective: Objective, cost: str) -> None:
    """At costs from a hundredth of the reference's to all, around the target above all, and at any error."""
    best, found = curves(objective)
    assert list(found) == ["top1_error", cost]
    assert bent(found, [cost])
    assert not bent(found, ["top1_error"])
    whole, at_best = REFERENCE[cost].value, objective.score(best, REFERENCE)
    for share in (*np.linspace(0.01, 1.0, 34), 0.0599, 0.06, 0.0601, 0.399, 0.4, 0.401):
        for error in (0.0, 0.3, 0.97):
            metrics = {**best.metrics, "top1_error": MetricValue(error), cost: MetricValue(share * whole)}
            gain = sum(float(curve(np.array([metrics[name].value]))[0]) for name, curve in found.items())
            expected = objective.score(Evaluation(metrics), REFERENCE) - at_best
            assert gain == pytest.approx(expected, abs=3e-3)


def test_a_score_that_is_linear_is_not_bent_and_does_not_fall_at_bounds() -> None:
    objective = AccuracyGuaranteedObjective(AccuracyGuaranteedOptions(floor="-1 pp", weights={"bops": 1.0}))
    _, found = curves(objective)
    assert list(found) == ["bops"]
    assert not bent(found, ["bops"])
    halves = found["bops"](REFERENCE["bops"].value * np.array([0.5, 1.0]))
    assert halves[0] - halves[1] == pytest.approx(0.5)


def test_slopes_of_the_score_are_those_of_what_it_weighs() -> None:
    """The score is minus the cost, the loss without a bound: half of each ratio to the reference."""
    best = measured(SPACE.neutral)
    found = score_curves(layered_problem(), best, [measured(point).metrics for point in TOLD])
    assert found.keys() == {"latency_ms", "bops"}
    for name, curve in found.items():
        at = best.metrics[name].value * np.array([0.5, 1.0, 2.0])
        assert curve(at) == pytest.approx([0.25, 0.0, -0.5])


def test_a_score_of_ones_own_that_falls_at_a_bound_goes_on_as_it_came() -> None:
    """The bound lies between two knots; what meets it would look lost if the curve led down to them."""
    problem = replace(layered_problem(), scorer=lambda one: 1.0 - one.metrics["top1_error"].value)
    fallen = replace(problem, scorer=lambda one: problem.score(one) if problem.judge(one).feasible else -50.0)
    best = Evaluation({**REFERENCE, "top1_error": MetricValue(0.149)})
    curve = score_curves(fallen, best, [measured(point).metrics for point in TOLD])["top1_error"]
    assert curve(np.array([0.1495, 0.1499, 0.05])) == pytest.approx([-0.0005, -0.0009, 0.099])
    assert not curve.is_bent


def test_where_there_is_no_score_the_curve_goes_on_as_it_came() -> None:
    """A scorer of one's own refuses what is slow."""

    def of_latency(one: Evaluation) -> float:
        if one.metrics["latency_ms"].value > 5.0:
            raise ValueError("too slow to be scored")
        return -one.metrics["latency_ms"].value

    problem = replace(layered_problem(), bounds=(), scorer=of_latency)
    best = Evaluation({**REFERENCE, "latency_ms": MetricValue(4.0)})
    curve = score_curves(problem, best, [measured(point).metrics for point in TOLD])["latency_ms"]
    assert curve(np.array([3.0, 8.0])) == pytest.approx([1.0, -4.0])


def test_a_knot_that_is_the_best_trials_value_but_for_rounding_makes_no_bend() -> None:
    """Costs that were told are 1 and 9 times a third; in their middle, but for the last digit, is the best."""
    problem = replace(layered_problem(), bounds=(), scorer=lambda one: -one.metrics["latency_ms"].value)
    best = Evaluation({**REFERENCE, "latency_ms": MetricValue(0.99999999999999), "other": MetricValue(math.nan)})
    told = [{**best.metrics, "latency_ms": MetricValue(value)} for value in (1 / 3, 3.0)]
    found = score_curves(problem, best, told)
    assert list(found) == ["latency_ms"]
    assert not found["latency_ms"].is_bent
    assert found["latency_ms"](np.array([2.0])) == pytest.approx([-1.0])
