"""The one table of metrics: names, units and directions. Fractions are shown in percent, absent values as n/a."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Any

from moco.errors import ConfigError, nearest

TWO_SIDED_95 = NormalDist().inv_cdf(0.975)

TOP1_ERROR, TOP5_ERROR = ERRORS = ("top1_error", "top5_error")
"""Shares of images, shown as the accuracy, 1 - error. The first is what a floor bounds and a certificate proves."""
SMALLEST_IN_FULL = 1e-6
"""Numbers below are shown as powers of ten."""
LATENCY = "latency_ms"  # of a single image, from end to end
PACKED_SIZE, FILE_SIZE = "packed_size_mb", "size_mb"
FALL_WITH_BITS = (PACKED_SIZE, "bops")  # what is counted of a network and falls with the bits of its weights
COST = "cost"  # what an objective makes of others


class Direction(StrEnum):
    """Which way a metric improves."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Group(StrEnum):
    """What a metric tells, as the thesis sorts its twelve (S1.13)."""

    PREDICTIVE = "predictive"  # how well it predicts
    INDIRECT = "indirect"  # counted of the network, on no device
    DIRECT = "direct"  # read from the device
    COMBINED = "combined"  # made of others by an objective


@dataclass(frozen=True)
class Metric:
    """A quantity that moco can state of a network."""

    name: str
    unit: str  # of the stored number; "" for a fraction or a count
    direction: Direction
    description: str
    shown_as: str = ""  # unit of the number as printed: `unit`, but % for fractions
    scale: float = 1.0  # printed number / stored number
    timed: bool = False  # whether the number depends on the machine, its threads and the timing plan
    label: str = ""  # what a report calls it; its name in words where empty
    group: Group = Group.INDIRECT
    on_request: bool = False  # whether a search has it only where its objective asks for it
    product_of: tuple[str, ...] = ()  # metrics whose values it multiplies; it is measured where all of them are


def _metric(name: str, unit: str, description: str, **more: Any) -> Metric:
    return Metric(name, unit, description=description, **{"direction": Direction.MINIMIZE, "shown_as": unit, **more})


def _error(name: str, description: str, label: str) -> Metric:
    return _metric(name, "", description, shown_as="%", scale=100.0, label=label, group=Group.PREDICTIVE)


def _timed(name: str, unit: str, description: str, label: str, **more: Any) -> Metric:
    return _metric(name, unit, description, timed=True, label=label, group=Group.DIRECT, **more)


def _tail(name: str, which: str, label: str) -> Metric:
    what = f"{which} of a slot's calls, batch 1, on the wall clock"
    return _timed(name, "ms", what, label, on_request=True)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _error(TOP1_ERROR, "share of images whose label is not the highest logit", label="top-1"),
        _error(TOP5_ERROR, "share of images whose label is not in the 5 highest logits", label="top-5"),
        _timed(LATENCY, "ms", "time of one image, batch 1: paired ratio times the reference's constant", "latency"),
        _timed("throughput_ips", "images/s", "images a second, batch 32", "throughput", direction=Direction.MAXIMIZE),
        _metric("size_mb", "MB", "the ONNX file, bytes / 1e6", label="size"),
        _metric("packed_size_mb", "MB", "codes at their bits and their scales, bytes / 1e6", label="packed size"),
        _metric("parameters", "", "weights and biases, batch-norm's affine parameters included"),
        _metric("macs", "", "multiply-accumulates of one image", label="MACs"),
        _metric("flops", "", "2 x MACs of one image", label="FLOPs"),
        _metric("bops", "", "MACs x weight bits x activation bits of one image", label="BOPs"),
        _timed("energy_j", "J", "energy of one batch of 32, idle power subtracted", "energy"),
        _timed(
            "energy_modelled_j",
            "J",
            "stated power x time of one batch of 32: nothing is read",
            "modelled energy",
            on_request=True,
        ),
        _timed("power_w", "W", "power at batches of 32: paired ratio times the reference's highest", "power"),
        _timed("load_ms", "ms", "time to open the file on the runtime: paired ratio, as latency", "load time"),
        _timed("init_s", "s", "time from the file on disk to its first image's answer", "first answer"),
        _metric(COST, "", "weighted mean of cost ratios to the reference; the reference's is 1", group=Group.COMBINED),
        _timed(
            "flop_per_s",
            "FLOP/s",
            "FLOPs of an image x images a second, batch 32",
            "FLOP/s",
            direction=Direction.MAXIMIZE,
            shown_as="GFLOP/s",
            scale=1e-9,
            product_of=("flops", "throughput_ips"),
            on_request=True,
        ),
        _tail("latency_p50_ms", "longest of the faster half", "latency, median"),
        _tail("latency_p95_ms", "longest of the fastest 95 %", "latency, 95 %"),
        _tail("latency_p99_ms", "longest of the fastest 99 %", "latency, 99 %"),
        _tail("latency_max_ms", "longest", "latency, slowest"),
    )
}

COLUMNS = (TOP1_ERROR, COST, "latency_ms", "throughput_ips", "size_mb", "energy_j", "power_w")
"""The metrics that every table and picture of a search shows, what matters most first; others are for whole tables."""

COSTS = tuple(name for name in COLUMNS if name != TOP1_ERROR)
IN_VERDICT = ("latency_ms", "throughput_ips", "size_mb", "energy_j")
"""Those whose ratio to the reference the verdict's sentence gives; where none was measured, it gives the next."""
COUNTED_IN_VERDICT = ("parameters", "macs", "bops")


def metric(name: str, where: str = "metric") -> Metric:
    """The metric of that name; a ConfigError gives the nearest name where there is none."""
    try:
        return METRICS[name]
    except KeyError:
        raise ConfigError(f"{where}: unknown metric '{name}'{nearest(name, METRICS)}") from None


def cost_ratio(name: str, value: float, reference: float) -> float:
    """Cost of `value` relative to the reference: new/ref where less is better, ref/new where more is (S1.22)."""
    return reference / value if metric(name).direction is Direction.MAXIMIZE else value / reference


def interval(name: str, value: float, sem: float) -> tuple[float, float]:
    """Two-sided 95 % interval by the normal distribution; that of a share of images ends at 0 and 1."""
    low, high = value - TWO_SIDED_95 * sem, value + TWO_SIDED_95 * sem
    known = METRICS.get(name)
    return (max(low, 0.0), min(high, 1.0)) if known is not None and known.shown_as == "%" else (low, high)


def decimal(number: float, digits: int) -> str:
    """The number with so many decimals, or with more where it would not keep as many significant digits."""
    if 0 < abs(number) < SMALLEST_IN_FULL:
        return f"{number:.{digits}g}"
    return f"{number:.{_places(number, digits)}f}"


def percent(share: float) -> str:
    """A share of images in percent: with more than two decimals where it would seem to be all of them, or none."""
    number = 100 * share
    return f"{number:.{_places(min(abs(number), abs(100 - number)), 2)}f} %"


def _places(size: float, digits: int) -> int:
    """Decimals by which a number of that size keeps so many significant digits, at least as many."""
    size = round(abs(size), 9) if math.isfinite(size) else 0.0
    return digits if size < SMALLEST_IN_FULL else max(digits, digits - 1 - math.floor(math.log10(size)))


def shown(name: str, value: float | None) -> str:
    """`value` as a person reads it: with its unit, fractions in percent, None as n/a."""
    if value is None:
        return "n/a"
    known = METRICS.get(name)
    if known is None:
        return f"{value:.4g}"
    if known.shown_as == "%":
        return percent(value)
    number = value * known.scale
    if not known.shown_as and known.name != COST:  # a count
        return f"{number:,.0f}"
    return decimal(number, 3) + (f" {known.shown_as}" if known.shown_as else "")


def real_number(given: Any) -> float:
    """A real number of Python's, numpy's or torch's; a TypeError refuses text and truth values, which `float` takes."""
    dtype = str(getattr(given, "dtype", "float"))
    if isinstance(given, str | bytes | bytearray | bool) or not ("float" in dtype or "int" in dtype):
        raise TypeError
    return float(given)
