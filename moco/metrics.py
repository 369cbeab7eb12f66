"""The one table of metrics: names, units and directions. Fractions are shown in percent, absent values as n/a."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from moco.errors import ConfigError
from moco.suggest import nearest

TWO_SIDED_95 = NormalDist().inv_cdf(0.975)


class Direction(StrEnum):
    """Which way a metric improves."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True)
class Metric:
    """A quantity that moco can state of a network.

    Attributes:
        unit: unit of the stored number; "" for a fraction or a count.
        shown_as: unit of the number as printed; equals `unit` but for fractions, which are printed in percent.
        scale: printed number / stored number.
        timed: True where the number depends on the machine, its threads and the timing plan.
    """

    name: str
    unit: str
    direction: Direction
    description: str
    shown_as: str = ""
    scale: float = 1.0
    timed: bool = False


def _metric(name: str, unit: str, description: str, **more: object) -> Metric:
    return Metric(name, unit, Direction.MINIMIZE, description, **{"shown_as": unit, **more})  # type: ignore[arg-type]


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _metric("top1_error", "", "share of images whose label is not the highest logit", shown_as="%", scale=100.0),
        _metric(
            "top5_error", "", "share of images whose label is not in the 5 highest logits", shown_as="%", scale=100.0
        ),
        _metric(
            "latency_ms", "ms", "time of one image, batch 1: paired ratio times the reference's constant", timed=True
        ),
        Metric("throughput_ips", "images/s", Direction.MAXIMIZE, "images a second, batch 32", "images/s", timed=True),
        _metric("size_mb", "MB", "the ONNX file, bytes / 1e6"),
        _metric("packed_size_mb", "MB", "what the codes need at their bits, bytes / 1e6"),
        _metric("parameters", "", "weights and biases, batch-norm's affine parameters included"),
        _metric("macs", "", "multiply-accumulates of one image"),
        _metric("flops", "", "2 x MACs of one image"),
        _metric("bops", "", "MACs x weight bits x activation bits of one image"),
        _metric("energy_j", "J", "energy of one batch of 32, idle power subtracted", timed=True),
        _metric("power_w", "W", "highest power over seven batches of 32", timed=True),
        _metric("load_ms", "ms", "time to open the file on the runtime", timed=True),
        _metric("init_s", "s", "time to build the network from scratch", timed=True),
        _metric("cost", "", "weighted mean of cost ratios to the reference; the reference's is 1"),
    )
}


def metric(name: str, where: str = "metric") -> Metric:
    """The metric of that name.

    Raises:
        ConfigError: no such metric; the nearest name is given.
    """
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


def shown(name: str, value: float | None) -> str:
    """`value` as a person reads it: with its unit, fractions in percent, None as n/a."""
    if value is None:
        return "n/a"
    known = METRICS.get(name)
    if known is None:
        return f"{value:.4g}"
    number = value * known.scale
    if known.name in {"parameters", "macs", "flops", "bops"}:
        return f"{number:,.0f}"
    digits = 2 if known.shown_as == "%" else 3
    return f"{number:.{digits}f}" + (f" {known.shown_as}" if known.shown_as else "")
