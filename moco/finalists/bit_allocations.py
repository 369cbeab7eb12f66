"""Bits for the weights of a network whose weights are known: no training is needed to write it in fewer.

A group's error by rounding falls by four with each bit, and its bytes grow with each by the weights it has. Where all
groups are alike sensitive, bytes buy least error where a group with four times the weights has a bit less: the
Lagrangian of bit allocation (A. Gersho and R. M. Gray, "Vector Quantization and Signal Compression", 1992, section
8.3). ResNet-56 loses nothing with its last stage, three quarters of its weights, in 4 bits and the rest in 8; with all
in 4 it loses half a point (docs/compression.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from optuna.distributions import CategoricalDistribution, IntDistribution

from moco.compression.precision import INT8, MIXED
from moco.metrics import FALL_WITH_BITS, FILE_SIZE, PACKED_SIZE
from moco.policy import Policy
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Point, Trial

WEIGHT_BITS, PRECISION = "weight_bits", "precision"
"""What parameters are called after their group's name (moco.compression.methods.quantization)."""
LEAST_BITS = 4
"""With fewer a network is trained in codes, else it loses too much."""


@dataclass(frozen=True)
class Allocation:
    """A policy with its weights in other bits."""

    policy: Policy
    point: Point

    @property
    def fewest_bits(self) -> int:
        """Of the weights of any group."""
        return min(int(value) for name, value in self.point.items() if _is(WEIGHT_BITS, name))


def in_fewer_bits(space: SearchSpace, policy: Policy, point: Point) -> list[Allocation]:
    """The policy with its weights in other bits, each smaller than the one before, all smaller than the policy itself.

    Groups in int8 are taken as mixed where they may be. None where nothing at the point has bits to choose.
    """
    point = {**point, **{name: MIXED for name in point if _is(PRECISION, name) and _may_be_mixed(space, point, name)}}
    bits = {name: d for name, d in space.distributions.items() if name in point and _is(WEIGHT_BITS, name)}
    ranges = {name: d for name, d in bits.items() if isinstance(d, IntDistribution) and d.low < d.high}
    counted = {name: mb for name, d in ranges.items() if (mb := _a_bit_mb(space, point, name, d)) > 0}
    if not counted:
        return []
    found = [Allocation(policy, point)]
    least = max(min(ranges[name].low for name in counted), LEAST_BITS)
    for of_largest in range(max(ranges[name].high for name in counted), least - 1, -1):
        at = {**point, **_allocated(of_largest, counted, ranges)}
        made = replace(space.canonical(at), weights=policy.weights)
        if space.cost(made)[PACKED_SIZE] < space.cost(found[-1].policy)[PACKED_SIZE]:
            found.append(Allocation(made, at))
    return found[1:]


def as_written(space: SearchSpace, trial: Trial, found: Allocation, *, packed: bool) -> Trial:
    """The trial with the costs that its network would have in these bits, as far as they are known before.

    Where codes are `packed`, its file is smaller by what its weights are. All else is the trial's own, its policy too:
    by that its times are judged.
    """
    assert trial.evaluation is not None
    assert trial.policy is not None
    metrics, costs = trial.evaluation.metrics, space.cost(found.policy)
    changed = {name: MetricValue(float(cost)) for name, cost in costs.items() if name in metrics}
    if packed and FILE_SIZE in metrics:
        saved_mb = space.cost(trial.policy)[PACKED_SIZE] - costs[PACKED_SIZE]
        changed[FILE_SIZE] = MetricValue(max(metrics[FILE_SIZE].value - saved_mb, costs[PACKED_SIZE]))
    return replace(trial, evaluation=replace(trial.evaluation, metrics={**metrics, **changed}))


def rewards_small_weights(problem: Problem, evaluation: Evaluation, *, packed: bool) -> bool:
    """Whether a network of this evaluation would score better with weights in fewer bits.

    Where codes are `packed`, the file is smaller too. What has no score, by a scorer that fails, is not rewarded.
    """
    names = [name for name in (*FALL_WITH_BITS, *((FILE_SIZE,) if packed else ())) if name in evaluation.metrics]
    smaller = {name: MetricValue(evaluation.metrics[name].value / 2) for name in names}
    halved = replace(evaluation, metrics={**evaluation.metrics, **smaller})
    try:
        return problem.unbounded_score(halved) > problem.unbounded_score(evaluation)
    except ValueError:
        return False


def _allocated(of_largest: int, a_bit_mb: Mapping[str, float], ranges: Mapping[str, IntDistribution]) -> dict[str, int]:
    """Bits by parameter: those of the largest group, and one more for each factor of four in the weights."""
    most_mb = max(a_bit_mb.values())
    wanted = {name: round(of_largest + math.log(most_mb / mb, 4)) for name, mb in a_bit_mb.items()}
    return {name: min(max(bits, ranges[name].low), ranges[name].high) for name, bits in wanted.items()}


def _is(kind: str, name: str) -> bool:
    return name.rpartition(".")[2] == kind


def _may_be_mixed(space: SearchSpace, point: Point, name: str) -> bool:
    distribution = space.distributions.get(name)
    choices = distribution.choices if isinstance(distribution, CategoricalDistribution) else ()
    return point[name] == INT8 and MIXED in choices


def _a_bit_mb(space: SearchSpace, point: Point, name: str, bits: IntDistribution) -> float:
    """What a bit of the group's weights takes, in MB."""
    low, high = (space.cost(space.canonical({**point, name: end}))[PACKED_SIZE] for end in (bits.low, bits.high))
    return (high - low) / (bits.high - bits.low)
