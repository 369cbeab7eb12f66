"""A recorded benchmark as searchers see it: a problem with layer groups, and a function that evaluates policies.

The problem is moco's own accuracy-guaranteed protocol: least cost with top-1 error at most ten points above the
reference, which is the unpruned network in int8. Cost is the mean ratio of latency, packed size and BOPs to that
reference. The region that one would deploy from lies between the reference point (ten points more error, cost 1) and
the axes; what a search has reached is the share of the surrogate's own front that its feasible policies dominate there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recorded.rows import FOLDER, Recorded, load
from benchmarks.recorded.space import PruneBits
from benchmarks.recorded.surrogate import Lengths, Surrogate
from moco.analysis.sensitivity.layer_sensitivity import features as features_of
from moco.analysis.sensitivity.layer_sensitivity import read_sensitivity
from moco.metrics import COST
from moco.objectives.accuracy_guaranteed import AccuracyGuaranteedObjective, AccuracyGuaranteedOptions
from moco.pareto import hypervolume
from moco.policy import Policy
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Trial

FLOOR = "-10 pp"
COST_METRICS = ("latency_ms", "packed_size_mb", "bops")


@dataclass(frozen=True)
class Benchmark:
    """A network's recorded evaluations behind moco's interfaces.

    Attributes:
        report: what `python -m benchmarks.surrogate` wrote: held-out errors, lengths, the front and its hypervolume.
        sensitivity: file of a single-layer study whose divergences the layer groups have among their features.
    """

    recorded: Recorded
    report: Mapping[str, Any]
    sensitivity: Path | None = None

    @cached_property
    def space(self) -> SearchSpace:
        """Layer groups, integer parameters, and the codec."""
        return space_of(self.recorded, self.sensitivity)

    @cached_property
    def surrogate(self) -> Surrogate:
        """The model of the rows."""
        lengths = self.report["lengths"]
        return Surrogate(self.space, self.recorded, Lengths(**{**lengths, "scales": tuple(lengths["scales"])}))

    @cached_property
    def reference(self) -> dict[str, MetricValue]:
        """The surrogate's metrics of the unpruned network in int8."""
        return dict(self.evaluate(self.space.canonical(self.space.neutral)).metrics)

    @cached_property
    def problem(self) -> Problem:
        """Two losses, top-1 error and cost, and the floor."""
        return problem_of(self.space, self.reference)

    @property
    def reference_point(self) -> tuple[float, ...]:
        """(top-1 error, cost): the corner of the region that one would deploy from."""
        assert self.problem.reference_point is not None
        return self.problem.loss_point(self.problem.reference_point)

    def evaluate(self, policy: Policy) -> Evaluation:
        """The surrogate's evaluation; without noise, so without standard errors."""
        point = self.space.executed(policy, {})
        values = self.surrogate(np.array([[point[name] for name in self.space.distributions]]))
        return Evaluation({name: MetricValue(float(found[0])) for name, found in values.items()})

    def share(self, trials: Sequence[Trial]) -> float:
        """Hypervolume of the feasible trials in the region, over that of the surrogate's front."""
        losses = [trial.outcome.losses for trial in trials if trial.feasible and trial.outcome is not None]
        return hypervolume(losses, self.reference_point) / float(self.report["hypervolume"])


def benchmark(name: str, sensitivity: bool = False, folder: Path = FOLDER) -> Benchmark:
    """The recorded benchmark of that name: `resnet20`, or `digits`, which no searcher was tuned on."""
    report = json.loads((folder / f"{name}_surrogate.json").read_text(encoding="utf-8"))
    return Benchmark(load(name, folder), report, folder / f"{name}_sensitivity.json" if sensitivity else None)


def space_of(recorded: Recorded, sensitivity: Path | None = None) -> SearchSpace:
    """The space that was recorded; with the file of a single-layer study, its layer groups have the divergences too."""
    features = {} if sensitivity is None else features_of(read_sensitivity(sensitivity))
    channels, height, width = recorded.about["shape"]
    return PruneBits(recorded.about["model"], (channels, height, width), features).space


def problem_of(space: SearchSpace, reference: Mapping[str, MetricValue]) -> Problem:
    """The accuracy-guaranteed protocol for this reference, its reference point at the corner of the region."""
    options = AccuracyGuaranteedOptions(floor=FLOOR, weights=dict.fromkeys(COST_METRICS, 1.0))
    problem = AccuracyGuaranteedObjective(options).problem(space, reference)
    worst = next(bound.value for bound in problem.bounds if bound.metric == "top1_error")
    return replace(problem, reference_point={"top1_error": worst, COST: 1.0})
