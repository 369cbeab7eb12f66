"""The score along each metric: bends of published scores, exactly at their targets."""

from __future__ import annotations

import numpy as np
import pytest

from moco.interfaces import Objective
from moco.objectives.accuracy_guaranteed import AccuracyGuaranteedObjective, AccuracyGuaranteedOptions
from moco.objectives.galen import GalenObjective, GalenOptions
from moco.objectives.hybrid import HybridObjective, HybridOptions
from moco.searchers.models.score_curves import ScoreCurve, bent, score_curves
from moco.trial import Evaluation, MetricValue, Point
from tests.searchers.layered import layered_space, measured

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


def test_what_cannot_be_scored_has_no_gain_and_hurts_nothing_else() -> None:
    """Accuracy is refused beyond 1: the curve over the others stands."""
    curve = ScoreCurve(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0, np.nan]), is_bent=False)
    assert curve(np.array([0.5, 1.5])) == pytest.approx([0.5, 1.5])
    assert np.isnan(curve(np.array([2.5]))).all()
