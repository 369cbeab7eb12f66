"""The bits of a trained network: fewer where there are more weights, each allocation smaller than the last."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from moco.finalists.bit_allocations import as_written, in_fewer_bits, rewards_small_weights
from moco.policy import Policy
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Point, Suggestion, Trial, TrialState

WEIGHTS = {"small": 1_000, "middle": 4_000, "large": 16_000}
"""Four times as many each: by the law one bit less each."""


class Sizes:
    """Implements moco.space.Codec: the point is the policy."""

    def policy(self, point: Point) -> Policy:
        return Policy.of(dict(point))

    def point(self, policy: Policy) -> Point:
        return policy.settings

    def cost(self, policy: Policy) -> Mapping[str, float]:
        bits = policy.settings
        return {"packed_size_mb": sum(n * bits[f"{name}.weight_bits"] for name, n in WEIGHTS.items()) / 8e6}

    def n_policies(self) -> int | None:
        return None


def space_of(low: int, high: int) -> SearchSpace:
    bits = {f"{name}.weight_bits": IntDistribution(low, high) for name in WEIGHTS}
    return SearchSpace({**bits, "large.keep": FloatDistribution(0.1, 1.0)}, codec=Sizes())


def allocated(low: int, high: int, *now: int) -> list[tuple[int, ...]]:
    space = space_of(low, high)
    point = {**dict(zip((f"{name}.weight_bits" for name in WEIGHTS), now, strict=True)), "large.keep": 0.5}
    policy = Policy(space.canonical(point).text, "0" * 64)
    found = in_fewer_bits(space, policy, point)
    assert all(one.policy.weights == policy.weights for one in found)
    assert all(one.policy.settings == one.point for one in found)
    assert all(one.point["large.keep"] == 0.5 for one in found)
    return [tuple(one.point[f"{name}.weight_bits"] for name in WEIGHTS) for one in found]


def test_four_times_the_weights_have_a_bit_less() -> None:
    assert allocated(2, 8, 8, 8, 8) == [(8, 8, 7), (8, 7, 6), (7, 6, 5), (6, 5, 4)]


def test_bits_stay_within_their_range() -> None:
    assert allocated(4, 6, 6, 6, 6) == [(6, 6, 5), (6, 5, 4)]


def test_all_are_smaller_than_what_there_is() -> None:
    assert allocated(4, 8, 5, 5, 5) == [(6, 5, 4)]
    assert allocated(4, 8, 4, 4, 4) == []


@pytest.mark.parametrize("space", [SearchSpace({"keep": FloatDistribution(0, 1)}), space_of(8, 8)])
def test_without_bits_to_choose_there_is_none(space: SearchSpace) -> None:
    point = {name: d.high for name, d in space.distributions.items()}  # type: ignore[attr-defined]
    assert in_fewer_bits(space, space.canonical(point), point) == []


PROBLEMS = {
    "size": Problem(space_of(4, 8), {"top1_error": "minimize", "size_mb": "minimize"}),
    "latency": Problem(space_of(4, 8), {"top1_error": "minimize", "latency_ms": "minimize"}),
}


@pytest.mark.parametrize(
    ("rewarded", "packed", "expected"), [("size", True, True), ("size", False, False), ("latency", True, False)]
)
def test_fewer_bits_are_of_use_where_the_objective_rewards_small_weights(
    rewarded: str, packed: bool, expected: bool
) -> None:
    names = ("top1_error", "size_mb", "latency_ms", "packed_size_mb")
    evaluation = Evaluation({name: MetricValue(1.0) for name in names})

    assert rewards_small_weights(PROBLEMS[rewarded], evaluation, packed=packed) is expected


@pytest.mark.parametrize(("packed", "size_mb"), [(True, 0.1 - 16_000 / 8e6), (False, 0.1)])
def test_before_it_is_written_a_network_in_fewer_bits_differs_by_its_exact_costs(packed: bool, size_mb: float) -> None:
    space = space_of(7, 8)
    point = {**{f"{name}.weight_bits": 8 for name in WEIGHTS}, "large.keep": 0.5}
    policy = space.canonical(point)
    told = {"top1_error": 0.08, "latency_ms": 2.0, "size_mb": 0.1, "packed_size_mb": 0.021}
    evaluation = Evaluation({name: MetricValue(value) for name, value in told.items()})
    trial = Trial(3, Suggestion(3, point), TrialState.COMPLETE, point, policy, evaluation)
    smallest = in_fewer_bits(space, policy, point)[-1]

    written = as_written(space, trial, smallest, packed=packed)

    assert (written.policy, written.point, written.number) == (policy, point, 3)
    assert written.evaluation is not None
    metrics = {name: metric.value for name, metric in written.evaluation.metrics.items()}
    fewer = {"packed_size_mb": 0.021 - 16_000 / 8e6, "size_mb": size_mb}  # the largest in 7 bits
    assert metrics == pytest.approx({**told, **fewer})
