"""The cost of a compressed network: the weighted mean of its cost ratios to the reference, so the reference costs 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from moco.errors import ConfigError, nearest
from moco.metrics import COST, ERRORS, cost_ratio, metric
from moco.trial import MetricValue

NOT_COSTS = frozenset({*ERRORS, COST})


@dataclass(frozen=True)
class WeightedCost:
    """The derived metric `cost` = sum of w * frac(r): new/ref where less is better, ref/new where more is (S1.22)."""

    weights: Mapping[str, float]  # share by metric; they sum to 1
    reference: Mapping[str, float]  # value of the uncompressed network by metric, in the stored unit

    def __call__(self, metrics: Mapping[str, MetricValue]) -> MetricValue:
        """The cost with its standard error; relative errors of the metrics are taken as independent.

        The reference's own errors are left out: timed metrics are paired ratios times the reference's constant, so
        all of their noise is in the candidate's number.
        """
        total, variance, noisy = 0.0, 0.0, False
        for name, weight in self.weights.items():
            measured = spent(metrics, name)
            part = weight * cost_ratio(name, measured.value, self.reference[name])
            total += part
            if measured.sem is not None:
                noisy = True
                variance += (part * measured.sem / measured.value) ** 2
        return MetricValue(total, math.sqrt(variance) if noisy else None)


def weighted_cost(weights: Mapping[str, float], reference: Mapping[str, MetricValue], where: str) -> WeightedCost:
    """The cost relative to this reference; a ConfigError where that has no positive value of a weighted metric."""
    values = {}
    for name in weights:
        if name not in reference:
            raise ConfigError(f"{where}.{name}: the reference was measured without '{name}'{nearest(name, reference)}")
        values[name] = reference[name].value
        if not 0 < values[name] < math.inf:
            raise ConfigError(f"{where}.{name}: expected a positive number of the reference, got {values[name]}")
    return WeightedCost(normalised(weights, where), values)


def normalised(weights: Mapping[str, float], where: str) -> dict[str, float]:
    """The weights scaled to sum 1, without those that are 0; a ConfigError refuses what is no weight of a cost."""
    for name, weight in weights.items():
        metric(name, where)
        if name in NOT_COSTS:
            raise ConfigError(f"{where}.{name}: a weight belongs to what a network spends; accuracy is bounded instead")
        if not 0 <= weight < math.inf:
            raise ConfigError(f"{where}.{name}: expected a weight >= 0, got {weight}")
    total = math.fsum(weights.values())
    if total <= 0:
        raise ConfigError(f"{where}: expected at least one weight above 0, got {dict(weights)}")
    return {name: weight / total for name, weight in weights.items() if weight > 0}


def spent(metrics: Mapping[str, MetricValue], name: str) -> MetricValue:
    """The metric, above 0 unless it is an error; else a ValueError, so that the trial fails, as where it is missing."""
    if name not in metrics:
        raise ValueError(f"the evaluation gives no '{name}'{nearest(name, metrics)}")
    if not (0 if name in ERRORS else math.ulp(0.0)) <= metrics[name].value < math.inf:
        raise ValueError(f"the evaluation gives {name} = {metrics[name].value}, expected a positive number")
    return metrics[name]
