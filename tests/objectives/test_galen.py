"""Galen's reward as printed (S3.30) and one-sided (W11), on rows of the thesis' table (S1, R50 channel pruning)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.errors import ConfigError
from moco.objectives.galen import GalenObjective, GalenOptions
from moco.trial import Evaluation, MetricValue
from tests.objectives.test_published_rewards import R50, SPACE, evaluation

R50_CP = evaluation(9.64, 26.7, 80.2, 0.29, 66.7)  # 26.7 of 33.8 ms: a ratio of 0.78994


def galen(**options: Any) -> GalenObjective:
    return GalenObjective(GalenOptions(**options))


def timed(ratio: float, top1_percent: float = 10.0) -> Evaluation:
    return evaluation(top1_percent, 33.8 * ratio, 80, 0.3, 60)


@pytest.mark.parametrize(
    ("options", "compressed", "reward"),
    [
        # p - 3 |T_P / (c T) - 1|, by hand
        ({"target": 0.8}, R50_CP, 0.9036 - 3 * 0.012574),
        ({"target": 0.7}, R50_CP, 0.9036 - 3 * 0.128487),
        ({"target": 0.8, "one_sided": True}, R50_CP, 0.9036),
        ({"target": 0.7, "one_sided": True}, R50_CP, 0.9036 - 3 * 0.128487),
        # On target nothing is charged; the reference is 4 times off the paper's headline of c = 0.2.
        ({}, timed(0.2), 0.9),
        ({}, R50, 0.9481 - 3 * 4),
        # Twice as fast as asked costs as much as half as slow again: the weakness W11.
        ({}, timed(0.1), 0.9 - 3 * 0.5),
        ({}, timed(0.3), 0.9 - 3 * 0.5),
        # Galen's own code has beta = -5 (requirements 3.2).
        ({"beta": -5.0}, timed(0.3), 0.9 - 5 * 0.5),
        # Throughput counts by its inverse: 80.2 of 66.4 images/s.
        ({"metric": "throughput_ips", "target": 0.8}, R50_CP, 0.9036 - 3 * (66.4 / 80.2 / 0.8 - 1)),
    ],
)
def test_the_reward_is_the_printed_one(options: dict[str, Any], compressed: Evaluation, reward: float) -> None:
    assert galen(**options).score(compressed, R50.metrics) == pytest.approx(reward, abs=2e-6)


ratios = st.floats(0.01, 3.0)


@given(one=ratios, other=ratios, target=st.floats(0.05, 1.0))
def test_one_sided_at_equal_accuracy_lower_latency_never_scores_lower(one: float, other: float, target: float) -> None:
    fast, slow = sorted((one, other))
    objective = galen(target=target, one_sided=True)
    assert objective.score(timed(fast), R50.metrics) >= objective.score(timed(slow), R50.metrics)


def test_as_printed_a_faster_network_may_score_lower() -> None:
    assert galen().score(timed(0.1), R50.metrics) < galen().score(timed(0.2), R50.metrics)


@given(one=st.floats(0, 100), other=st.floats(0, 100), one_sided=st.booleans())
def test_at_equal_latency_more_accuracy_never_scores_lower(one: float, other: float, one_sided: bool) -> None:
    better, worse = sorted((one, other))
    objective = galen(one_sided=one_sided)
    assert objective.score(timed(0.5, better), R50.metrics) >= objective.score(timed(0.5, worse), R50.metrics)


@pytest.mark.parametrize(("ratio", "feasible"), [(0.199, True), (0.2, True), (0.201, False)])
def test_the_target_is_a_bound_of_the_problem(ratio: float, feasible: bool) -> None:
    outcome = galen().problem(SPACE, R50.metrics).judge(timed(ratio))
    assert outcome.feasible is feasible
    assert outcome.losses == pytest.approx((0.1, ratio))
    assert outcome.violations[0] == pytest.approx(ratio / 0.2 - 1, abs=1e-9)


def test_the_target_binds_what_is_computed_exactly() -> None:
    """A bound on the derived cost would leave the agents' actions unbounded (W12)."""
    problem = galen(metric="macs").problem(SPACE, {**R50.metrics, "macs": MetricValue(4e9)})
    (bound,) = problem.bounds
    assert (bound.metric, bound.op, bound.value) == ("macs", "<=", pytest.approx(0.2 * 4e9))


def test_more_throughput_is_less_cost() -> None:
    problem = galen(metric="throughput_ips").problem(SPACE, {**R50.metrics, "throughput_ips": MetricValue(30.0)})
    (bound,) = problem.bounds
    assert (bound.metric, bound.op, bound.value) == ("throughput_ips", ">=", pytest.approx(150.0))


def test_unbounded_the_reward_alone_decides_as_in_the_paper() -> None:
    problem = galen(bounded=False, constraints={"top1_accuracy": ">= 80 %"}).problem(SPACE, R50.metrics)
    assert [bound.metric for bound in problem.bounds] == ["top1_error"]
    assert problem.judge(timed(0.9)).feasible


def test_a_bound_on_accuracy_is_the_certificates_floor() -> None:
    floor = galen(constraints={"top1_accuracy": ">= -2 pp"}).floor
    assert floor is not None
    assert floor.number == pytest.approx(0.02)
    assert galen().floor is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0.0}, r"^objective\.target: expected a cost ratio in \(0, 1\], got 0"),
        ({"target": 20}, r"^objective\.target: expected a cost ratio"),
        ({"beta": 3.0}, r"^objective\.beta: expected a number <= 0, got 3"),
        ({"metric": "latency"}, r"^objective\.metric: unknown metric 'latency'; did you mean 'latency_ms'"),
        ({"metric": "top1_error"}, r"^objective\.metric\.top1_error: a weight belongs to what a network spends"),
        ({"constraints": {"size": "<= 1x"}}, r"^objective\.constraints: unknown metric 'size'"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GalenOptions(**options)


@pytest.mark.parametrize("metrics", [{}, {"top1_error": MetricValue(0.1)}, {"top1_error": MetricValue(1.5)}])
def test_an_evaluation_without_its_metrics_fails_the_trial(metrics: dict[str, MetricValue]) -> None:
    with pytest.raises(ValueError, match=r"latency_ms|top1_error"):
        galen().score(Evaluation(metrics), R50.metrics)
    with pytest.raises(ValueError, match="top1_error"):
        galen().score(Evaluation({**R50.metrics, "top1_error": MetricValue(float("nan"))}), R50.metrics)
