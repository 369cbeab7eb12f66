"""No protocol, only a front: any metrics, each minimised or maximised, under any bounds.

Nothing is published about it, so its score only has to name one network of the front: with losses l_i and the reference
point r_i that the front's volume is measured to,

    score = -(mean of l_i / r_i)     (where more is better: of r_i / l_i)     over the metrics that no bound is on

Each metric counts relative to its reference point, so no unit matters (W13). Where all of them are bounded, all count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from moco.constraints import resolve
from moco.errors import ConfigError, nearest
from moco.metrics import COST, ERRORS, TOP1_ERROR, cost_ratio, metric
from moco.objectives.shared.amounts import amount
from moco.objectives.shared.cost import spent
from moco.objectives.shared.protocol import ConstrainedObjective, Scorer, parsed
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue

WAYS = ("minimize", "maximize")


@dataclass(frozen=True)
class FrontOptions:
    """What the user may choose: at least one metric to `minimize` or `maximize`, bounds, and a reference point."""

    objectives: Mapping[str, str] = field(default_factory=lambda: {TOP1_ERROR: "minimize", "latency_ms": "minimize"})
    constraints: Mapping[str, str] = field(default_factory=dict)  # bounds by metric, `OP NUMBER[unit or x]`
    reference_point: Mapping[str, str | float] = field(default_factory=dict)
    """For the hypervolume: by objective, a number in the metric's unit or `NUMBER[unit or x]`."""

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ConfigError("objective.objectives: expected at least one {metric: minimize or maximize}, got none")
        for name, direction in self.objectives.items():
            _check(name, direction)
        for constraint in parsed(self.constraints, "objective.constraints"):
            if constraint.metric == COST:
                raise ConfigError("objective.constraints.cost: a front weighs nothing, so it has no cost to bound")
        for name, given in self.reference_point.items():
            where = f"objective.reference_point.{name}"
            if name not in self.objectives:
                raise ConfigError(f"{where}: no such objective{nearest(name, self.objectives)}")
            amount(name, given, where)


class FrontObjective(ConstrainedObjective[FrontOptions]):
    """The front with its options, without them of top-1 error and latency; see the module's text."""

    Options = FrontOptions

    @property
    def objectives(self) -> Mapping[str, str]:
        """Direction by metric."""
        return self.options.objectives

    @property
    def wish(self) -> str:
        """What is asked besides the bounds, as a person says it."""
        words = {"minimize": "least", "maximize": "most"}
        return " and ".join(f"{words[direction]} {name}" for name, direction in self.objectives.items())

    def problem(self, space: SearchSpace, reference: Mapping[str, MetricValue]) -> Problem:
        """The metrics as they are, with the bounds; a ConfigError tells of a metric without a reference point."""
        return Problem(
            space=space,
            objectives=self.objectives,
            bounds=self._bounds(reference),
            reference=reference,
            scorer=Scorer(self, reference),
            reference_point=self._reference_point(reference),
        )

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """Minus the mean of the unbounded metrics, each relative to its reference point."""
        point = self._reference_point(reference)
        bounded = {constraint.metric for constraint in self.constraints}
        free = [name for name in self.objectives if name not in bounded] or list(self.objectives)
        ratios = [cost_ratio(name, spent(evaluation.metrics, name).value, point[name]) for name in free]
        return -math.fsum(ratios) / len(ratios)

    def _weights(self) -> Mapping[str, float]:
        return dict.fromkeys(self.objectives, 1.0)

    def _reference_point(self, reference: Mapping[str, MetricValue]) -> dict[str, float]:
        return {name: self._reference_value(name, reference) for name in self.objectives}

    def _reference_value(self, name: str, reference: Mapping[str, MetricValue]) -> float:
        given = self.options.reference_point.get(name)
        where = f"objective.reference_point.{name}"
        if given is not None:
            return resolve(amount(name, given, where), reference, where).value
        if name in ERRORS:
            return 1.0
        value = reference[name].value if name in reference else math.nan
        if not 0 < value < math.inf:
            raise ConfigError(f"{where}: is missing, and the reference network has no positive value of {name}")
        return value


def _check(name: str, direction: str) -> None:
    where = f"objective.objectives.{name}"
    if name == COST:
        raise ConfigError(f"{where}: a front weighs nothing, so it has no cost; name the metrics themselves")
    known = metric(name, "objective.objectives")
    if direction not in WAYS:
        raise ConfigError(f"{where}: expected 'minimize' or 'maximize', got {direction!r}{nearest(direction, WAYS)}")
    if direction != known.direction:
        raise ConfigError(f"{where}: {known.description}: write {known.direction}, got {direction}")
