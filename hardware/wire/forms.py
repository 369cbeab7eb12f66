"""Values of the contract of targets as JSON, and back: what travels between a client and the agent on a device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from moco.errors import MeasurementError
from moco.interfaces import Capabilities, Finding, LayerTime, QuantizePlacement
from moco.measurement import Measurement, Samples, TimingPlan

FORMAT = 1
"""Of all that is said; a client refuses an agent that speaks another."""


def plan_json(plan: TimingPlan) -> dict[str, Any]:
    """The plan as JSON, every default spelled out."""
    return {**asdict(plan), "series": list(plan.series)}


def plan_of(data: Mapping[str, Any]) -> TimingPlan:
    """The plan of that JSON; a TypeError or KeyError where it is none."""
    return TimingPlan(**{**data, "series": tuple(data["series"])})


def measurement_json(measurement: Measurement) -> dict[str, Any]:
    """The measurement as JSON, raw samples and all; its plan is known to who asked."""
    return {
        "samples_ms": _listed(measurement.samples_ms),
        "environment": measurement.environment,
        "warnings": list(measurement.warnings),
        "counted": {name: _listed(samples) for name, samples in measurement.counted.items()},
    }


def measurement_of(data: Any, plan: TimingPlan, sessions: int) -> Measurement:
    """The measurement of that JSON; a MeasurementError where it is not one of so many sessions."""
    try:
        return Measurement(
            plan,
            _samples(data["samples_ms"], sessions, positive=True),
            dict(data["environment"]),
            tuple(map(str, data["warnings"])),
            {str(name): _samples(given, sessions) for name, given in data["counted"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MeasurementError(
            f"expected the agent to answer with a measurement of {sessions} sessions: {error}"
        ) from None


def capabilities_json(can: Capabilities) -> dict[str, Any]:
    """The capabilities as JSON; sets are sorted."""
    placement = {name: sorted(v) if isinstance(v, frozenset) else v for name, v in asdict(can.placement).items()}
    return {
        "precisions": list(can.precisions),
        "channel_multiples": dict(can.channel_multiples),
        "layer_kinds": {precision: sorted(kinds) for precision, kinds in can.layer_kinds.items()},
        "metrics": sorted(can.metrics),
        "placement": placement,
        "pooled_strides": can.pooled_strides,
    }


def capabilities_of(data: Mapping[str, Any]) -> Capabilities:
    """The capabilities of that JSON; a KeyError, TypeError or ValueError where it is none."""
    given = data["placement"].items()
    placement: dict[str, Any] = {name: frozenset(v) if isinstance(v, list) else v for name, v in given}
    return Capabilities(
        precisions=tuple(data["precisions"]),
        channel_multiples={str(name): int(multiple) for name, multiple in data["channel_multiples"].items()},
        layer_kinds={str(name): frozenset(kinds) for name, kinds in data["layer_kinds"].items()},
        metrics=frozenset(data["metrics"]),
        placement=QuantizePlacement(**placement),
        pooled_strides=bool(data.get("pooled_strides", False)),
    )


def findings_of(data: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """The findings of that JSON; a TypeError where one is none."""
    return tuple(Finding(**finding) for finding in data)


def layers_json(layers: Sequence[LayerTime] | None) -> list[dict[str, Any]] | None:
    """The layers as JSON; None where a runtime has none to give."""
    return None if layers is None else [asdict(layer) for layer in layers]


def layers_of(data: Any) -> tuple[LayerTime, ...] | None:
    """The layers of that JSON, None of null; a MeasurementError where they are none."""
    if data is None:
        return None
    try:
        return tuple(LayerTime(str(each["name"]), str(each["kind"]), _time(each["time_ms"])) for each in data)
    except (KeyError, TypeError, ValueError) as error:
        raise MeasurementError(f"expected the agent to answer with the times of layers: {error}") from None


def _time(given: Any) -> float:
    if not (math.isfinite(time_ms := float(given)) and time_ms >= 0):
        raise ValueError(f"got a time of {given}")
    return time_ms


def _listed(samples: Samples) -> list[list[float]]:
    return [list(one) for one in samples]


def _samples(given: Any, sessions: int, *, positive: bool = False) -> Samples:
    samples = tuple(tuple(map(float, one)) for one in given)
    if len(samples) != sessions or len({len(one) for one in samples}) != 1:
        raise ValueError(f"got samples of {[len(one) for one in samples]}")
    if not all(math.isfinite(number) and (number > 0 or not positive) for one in samples for number in one):
        raise ValueError("got a sample that is no time")
    return samples
