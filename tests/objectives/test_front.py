"""A plain front of any metrics: directions, bounds, the reference point and the score that names one network."""

from __future__ import annotations

from typing import Any

import pytest

from moco.errors import ConfigError
from moco.objectives.front import FrontObjective, FrontOptions
from moco.objectives.shared.measurable import measurable
from moco.trial import Evaluation, MetricValue
from tests.objectives.test_published_rewards import R50, SPACE, evaluation

R50_CP = evaluation(9.64, 26.7, 80.2, 0.29, 66.7)
THREE = {"top1_error": "minimize", "throughput_ips": "maximize", "size_mb": "minimize"}


def front(**options: Any) -> FrontObjective:
    return FrontObjective(FrontOptions(**options))


def test_the_losses_are_the_metrics_as_they_are() -> None:
    problem = front(objectives=THREE).problem(SPACE, R50.metrics)
    assert problem.judge(R50_CP).losses == pytest.approx((0.0964, -80.2, 66.7))
    assert problem.reference_point is not None
    assert problem.loss_point(problem.reference_point) == (1.0, -66.4, 102.0)


def test_the_reference_point_may_be_given_in_any_way_a_bound_may() -> None:
    point = {"top1_error": "20 %", "throughput_ips": "0.5x", "size_mb": 90.0}
    problem = front(objectives=THREE, reference_point=point).problem(SPACE, R50.metrics)
    assert problem.reference_point == pytest.approx({"top1_error": 0.2, "throughput_ips": 33.2, "size_mb": 90.0})


@pytest.mark.parametrize(
    ("options", "score"),
    [
        ({}, -(0.0964 + 66.4 / 80.2 + 66.7 / 102) / 3),
        ({"constraints": {"top1_accuracy": ">= 80 %"}}, -(66.4 / 80.2 + 66.7 / 102) / 2),
        ({"reference_point": {"top1_error": 0.2}}, -(0.0964 / 0.2 + 66.4 / 80.2 + 66.7 / 102) / 3),
    ],
)
def test_the_score_is_the_mean_of_what_is_free_relative_to_the_reference_point(
    options: dict[str, Any], score: float
) -> None:
    assert front(objectives=THREE, **options).score(R50_CP, R50.metrics) == pytest.approx(score)


def test_where_all_are_bounded_all_count() -> None:
    bounds = {"top1_error": "<= 50 %", "size_mb": "<= 1x"}
    objective = front(objectives={"top1_error": "minimize", "size_mb": "minimize"}, constraints=bounds)
    assert objective.score(R50_CP, R50.metrics) == pytest.approx(-(0.0964 + 66.7 / 102) / 2)


def test_one_metric_alone_is_latency_only_as_in_s2() -> None:
    problem = front(objectives={"latency_ms": "minimize"}).problem(SPACE, R50.metrics)
    assert problem.judge(R50_CP).losses == (26.7,)
    assert problem.score(R50_CP) == pytest.approx(-26.7 / 33.8)


def test_an_error_of_zero_is_a_fine_error() -> None:
    assert front().score(evaluation(0.0, 33.8, 1, 1, 1), R50.metrics) == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objectives": {}}, r"^objective\.objectives: expected at least one"),
        (
            {"objectives": {"latncy_ms": "minimize"}},
            r"^objective\.objectives: unknown metric 'latncy_ms'; did you mean",
        ),
        (
            {"objectives": {"size_mb": "minimise"}},
            r"^objective\.objectives\.size_mb: expected .* got 'minimise'; did you mean 'minimize'",
        ),
        ({"objectives": {"size_mb": "maximize"}}, r"^objective\.objectives\.size_mb: .*write minimize, got maximize"),
        ({"objectives": {"throughput_ips": "minimize"}}, r"throughput_ips: .*write maximize, got minimize"),
        ({"objectives": {"cost": "minimize"}}, r"^objective\.objectives\.cost: a front weighs nothing"),
        ({"constraints": {"cost": "<= 0.5"}}, r"^objective\.constraints\.cost: a front weighs nothing"),
        ({"reference_point": {"latency": 3.0}}, r"^objective\.reference_point\.latency: no such objective; did you"),
        ({"reference_point": {"latency_ms": "3 MB"}}, r"^objective\.reference_point\.latency_ms: unit 'MB' does not"),
        ({"reference_point": {"latency_ms": -3}}, r"^objective\.reference_point\.latency_ms: expected .* above 0"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FrontOptions(**options)


def test_a_metric_that_cannot_be_measured_is_named_where_it_was_asked_for() -> None:
    objective = front(objectives={"top1_error": "minimize", "energy_j": "minimize"})
    with pytest.raises(ConfigError, match=r"^objective\.objectives\.energy_j: this machine cannot .*; remove it$"):
        measurable(objective, {"top1_error", "latency_ms"})


def test_a_reference_that_has_no_such_metric_is_refused_unless_a_point_is_given() -> None:
    reference = {"top1_error": MetricValue(0.1)}
    with pytest.raises(ConfigError, match=r"^objective\.reference_point\.latency_ms: is missing"):
        front().problem(SPACE, reference)
    assert front(reference_point={"latency_ms": 5.0}).problem(SPACE, reference).reference_point is not None


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_metric_that_is_no_positive_number_fails_the_trial(value: float) -> None:
    with pytest.raises(ValueError, match="latency_ms = "):
        front().score(Evaluation({**R50.metrics, "latency_ms": MetricValue(value)}), R50.metrics)
