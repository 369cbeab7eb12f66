"""What `moco profile` finds: every metric of a network beside the reference's, and the same on several runtimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moco.interfaces import LayerTime
from moco.measurement import Measurement, RatioEstimate, Samples
from moco.metrics import METRICS, cost_ratio
from moco.readings import READINGS
from moco.trial import Evaluation, MetricValue

FORMAT = 2
"""Since 2 a metric that was not measured is null, and there may be tails, layers and several runtimes."""


@dataclass(frozen=True)
class Tails:
    """The slow end of a network's latency beside the reference's: each call timed on the wall clock (W07)."""

    calls: int  # of each network, in slots that took turns
    deadline_ms: float | None  # what a call may take; None counts no misses
    missed: tuple[float, float] | None  # share of calls that took longer, the reference's first
    samples: Mapping[str, Samples] = field(default_factory=dict)  # by series, one number a slot

    def to_json(self) -> dict[str, Any]:
        """All of it, the raw numbers of the slots too."""
        missed = None if self.missed is None else dict(zip(("reference", "network"), self.missed, strict=True))
        samples = {
            name: dict(zip(("reference", "network"), map(list, of), strict=True)) for name, of in self.samples.items()
        }
        return {"calls": self.calls, "deadline_ms": self.deadline_ms, "missed": missed, "samples": samples}


@dataclass(frozen=True)
class Profile:
    """Metrics of a network beside the reference's, and what they were measured by."""

    name: str
    target: Mapping[str, Any]  # as it describes itself
    metrics: Mapping[str, MetricValue]
    reference: Mapping[str, MetricValue]
    evaluation: Evaluation
    reference_evaluation: Evaluation
    unmeasured: Mapping[str, str] = field(default_factory=dict)  # why, by metric that the target was asked for
    tails: Tails | None = None
    layers: tuple[LayerTime, ...] | None = None  # of one image; None where not asked for, or the runtime tells none

    @property
    def runtime(self) -> str:
        """The target's name."""
        return str(self.target.get("runtime", "target"))

    @property
    def layers_ms(self) -> float | None:
        """The sum over operators, to be read beside the latency from end to end (S2.13)."""
        return None if self.layers is None else sum(layer.time_ms for layer in self.layers)

    def ratio(self, metric: str) -> float | None:
        """The cost ratio to the reference; None where one of the two was not measured, or is no cost."""
        value, reference = self.metrics.get(metric), self.reference.get(metric)
        if value is None or reference is None or value.value <= 0 or reference.value <= 0:
            return None
        return cost_ratio(metric, value.value, reference.value)

    def to_json(self) -> dict[str, Any]:
        """All of it: metrics in their stored units, cost ratios, and the raw samples of both networks."""
        raw = {"network": self.evaluation.to_json(), "reference": self.reference_evaluation.to_json()}
        layers = None if self.layers is None else [vars(layer) for layer in self.layers]
        return {
            "format": FORMAT,
            "name": self.name,
            "target": dict(self.target),
            "metrics": {name: self._metric(name) for name in METRICS},
            "reference": {name: _value(self.reference.get(name)) for name in METRICS},
            "unmeasured": dict(self.unmeasured),
            "tails": None if self.tails is None else self.tails.to_json(),
            "layers": layers,
            "layers_ms": self.layers_ms,
            "evaluations": raw,
        }

    def _metric(self, name: str) -> dict[str, Any] | None:
        found = _value(self.metrics.get(name))
        return found and {**found, "unit": METRICS[name].unit, "ratio": self.ratio(name)}


@dataclass(frozen=True)
class RuntimeComparison:
    """One network on several runtimes of this machine, timed in turn; the first runtime is what others relate to."""

    profiles: tuple[Profile, ...]  # one a runtime
    measurements: Mapping[str, Measurement]
    """By reading of the times; its sessions are each runtime's file of the network, in the order of the profiles."""
    notes: tuple[str, ...] = ()  # what else is to be said of the runtimes

    def ratio(self, metric: str, place: int) -> RatioEstimate:
        """The cost ratio of a runtime to the first one, in time: below 1 is faster."""
        return self.measurements[metric].ratio(session=place, series=READINGS[metric].series)

    def value(self, metric: str, place: int) -> float:
        """The metric on a runtime: the first one's number of this measurement, by the paired ratio."""
        reading, measurement = READINGS[metric], self.measurements[metric]
        constant = reading.constant(measurement)
        assert constant is not None  # times are always there
        return constant if place == 0 else reading.value(constant, self.ratio(metric, place).value)

    def to_json(self) -> dict[str, Any]:
        """The profiles, and by metric and runtime value, paired ratio with its interval, and raw samples."""
        compared = {
            name: [self._compared(name, place) for place in range(len(self.profiles))] for name in self.measurements
        }
        return {
            "format": FORMAT,
            "profiles": [profile.to_json() for profile in self.profiles],
            "side_by_side": compared,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the measurements should be doubted."""
        return tuple(dict.fromkeys(text for found in self.measurements.values() for text in found.warnings))

    def _compared(self, name: str, place: int) -> dict[str, Any]:
        samples: Sequence[float] = (self.measurements[name].series(READINGS[name].series) or ())[place]
        ratio = None if place == 0 else vars(self.ratio(name, place))
        row = {"runtime": self.profiles[place].runtime, "value": self.value(name, place), "ratio": ratio}
        return {**row, "samples_ms": list(samples)}


def _value(found: MetricValue | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.value, "sem": found.sem}
