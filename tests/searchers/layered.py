"""A small space with layer groups and exact costs, and a function of it: what the grey-box search is made for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from optuna.distributions import BaseDistribution, IntDistribution

from moco.metrics import Direction
from moco.objectives.shared.cost import WeightedCost
from moco.policy import Policy
from moco.problem import Problem
from moco.space import LayerGroup, SearchSpace
from moco.trial import Evaluation, MetricValue, Point

LAYERS = 4
SENSITIVITY = (3.0, 0.4, 1.0, 0.2)


@dataclass(frozen=True)
class Layers:
    """Channels and bits of each layer, as they are; costs are exact."""

    def policy(self, point: Point) -> Policy:
        return Policy.of(dict(point))

    def point(self, policy: Policy) -> Point:
        return policy.settings

    def cost(self, policy: Policy) -> Mapping[str, float]:
        keep, bits = numbers(policy.settings)
        return {"macs": float(sum(keep)), "bops": float(sum(k * b * b for k, b in zip(keep, bits, strict=True)))}

    def n_policies(self) -> int | None:
        return None


def numbers(point: Point) -> tuple[list[int], list[int]]:
    """Channels and bits by layer."""
    return [point[f"l{i}.keep"] for i in range(LAYERS)], [point[f"l{i}.bits"] for i in range(LAYERS)]


def layered_space() -> SearchSpace:
    """Four layers of 4 to 16 channels and 2 to 8 bits."""
    distributions: dict[str, BaseDistribution] = {}
    for i in range(LAYERS):
        distributions |= {f"l{i}.keep": IntDistribution(4, 16, step=2), f"l{i}.bits": IntDistribution(2, 8)}
    groups = tuple(LayerGroup(f"l{i}", (f"l{i}.keep", f"l{i}.bits")) for i in range(LAYERS))
    neutral = {name: d.high for name, d in distributions.items() if isinstance(d, IntDistribution)}
    return SearchSpace(distributions, groups, neutral, Layers())


def measured(point: Point) -> Evaluation:
    """Top-1 error grows with what is removed, by the layers' sensitivities; latency is a staircase of 8 channels."""
    keep, bits = numbers(point)
    harm = sum(s * ((1 - k / 16) ** 2 + 4.0 ** (2 - b)) for s, k, b in zip(SENSITIVITY, keep, bits, strict=True))
    error = 1 / (1 + math.exp(3 - harm))
    latency = 1.0 + sum(math.ceil(k / 8) for k in keep)
    exact = Layers().cost(Policy.of(dict(point)))
    return Evaluation(
        {
            "top1_error": MetricValue(error, 0.002),
            "latency_ms": MetricValue(latency, 0.01 * latency),
            **{name: MetricValue(value) for name, value in exact.items()},
        }
    )


def layered_problem() -> Problem:
    """Least error and least cost, the mean ratio of latency and BOPs, with error below 0.15."""
    space = layered_space()
    reference = {name: value.value for name, value in measured(space.neutral).metrics.items()}
    return Problem(
        space,
        {"top1_error": Direction.MINIMIZE, "cost": Direction.MINIMIZE},
        {"top1_error": "<= 0.15"},
        derived={"cost": WeightedCost({"latency_ms": 0.5, "bops": 0.5}, reference)},
        scorer=None,
        reference_point={"top1_error": 1.0, "cost": 1.0},
    )
