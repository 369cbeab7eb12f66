"""The rewards r1 and r2 of S5 with fixed references (S5.04, W22)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.errors import ConfigError
from moco.objectives.two_stage import TwoStageObjective, TwoStageOptions
from moco.trial import Evaluation, MetricValue
from tests.objectives.test_published_rewards import SPACE

REFERENCE = {"top1_error": MetricValue(0.08), "flops": MetricValue(2 * 40_813_184.0), "size_mb": MetricValue(1.1)}


def pruned(accuracy: float, share: float) -> Evaluation:
    """A ResNet-20 with so much of its FLOPs (W09)."""
    return Evaluation({"top1_error": MetricValue(1 - accuracy), "flops": MetricValue(share * 2 * 40_813_184)})


def two_stage(**options: Any) -> TwoStageObjective:
    return TwoStageObjective(TwoStageOptions(**options))


@pytest.mark.parametrize(
    ("options", "accuracy", "share", "reward"),
    [
        # accuracy + 1 - (F - F_low) / (F_high - F_low), by hand
        ({}, 0.92, 1.0, 0.92),
        ({}, 0.90, 0.3, 1.60),
        ({"lowest": 0.2}, 0.90, 0.2, 1.90),
        ({"lowest": 0.2}, 0.90, 0.6, 1.40),
        ({"lowest": 0.2, "highest": 0.6}, 0.90, 1.0, -0.10),
        ({"reward": "r2"}, 0.90, 0.3, 0.90),
    ],
)
def test_the_rewards(options: dict[str, Any], accuracy: float, share: float, reward: float) -> None:
    assert two_stage(**options).score(pruned(accuracy, share), REFERENCE) == pytest.approx(reward)


def test_the_same_policy_scores_the_same_at_episode_1_and_200() -> None:
    problem = two_stage().problem(SPACE, REFERENCE)
    policy = pruned(0.9, 0.5)
    first = problem.score(policy)
    for episode in range(199):  # ever wider extremes, by which the published r1 would move
        problem.score(pruned(0.5, 0.5 + episode / 100))
        problem.score(pruned(0.5, 0.5 / (episode + 1)))
    assert problem.score(policy) == first == pytest.approx(1.4)


@given(one=st.floats(0.01, 2.0), other=st.floats(0.01, 2.0), reward=st.sampled_from(["r1", "r2"]))
def test_at_equal_accuracy_less_spent_never_scores_lower(one: float, other: float, reward: str) -> None:
    small, large = sorted((one, other))
    objective = two_stage(reward=reward)
    assert objective.score(pruned(0.9, small), REFERENCE) >= objective.score(pruned(0.9, large), REFERENCE)


def test_its_problem_has_a_front_and_the_users_bounds() -> None:
    objective = two_stage(constraints={"size_mb": "<= 0.5x", "top1_accuracy": ">= -2 pp"})
    assert objective.metrics == ("top1_error", "flops", "size_mb")
    assert objective.floor is not None
    problem = objective.problem(SPACE, REFERENCE)
    outcome = problem.judge(Evaluation({**pruned(0.91, 0.4).metrics, "size_mb": MetricValue(0.66)}))
    assert outcome.losses == pytest.approx((0.09, 0.4))
    assert outcome.violations[0] == pytest.approx(0.2)
    assert outcome.violations[1] < 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": "r3"}, r"^objective\.reward: expected 'r1' or 'r2', got 'r3'"),
        ({"metric": "flop"}, r"^objective\.metric: unknown metric 'flop'; did you mean 'flops'"),
        ({"lowest": 1.0}, r"^objective\.lowest: expected 0 <= lowest < highest, got 1\.0 and 1\.0"),
        ({"lowest": -0.1}, r"^objective\.lowest: "),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TwoStageOptions(**options)
