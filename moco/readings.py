"""The one table of what a target measures: from which series it is taken, and how a paired ratio becomes a value.

A new quantity is a row here and in moco/metrics.py. A target that claims its metric gives its series; evaluation,
delivery, records and reports go by the table.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from moco.measurement import ENERGY, INIT, LOAD, MODELLED, POWER, TAILS, TIME, Measurement, RatioEstimate
from moco.metrics import COST, METRICS
from moco.products import measured_for
from moco.trial import MetricValue


@dataclass(frozen=True)
class Reading:
    """A quantity that a target measures of a session beside the reference's.

    Attributes:
        name: of the metric; its unit and direction are those of moco/metrics.py.
        series: of the measurement that it is taken from, one number a slot.
        batch: images in a call.
        rate: images a second rather than the series' own unit: the larger the series, the smaller the value.
        peak: whether the reference's constant is the series' highest number rather than its median.
        needs: what a machine must have to give the series, where not every one does.
        on_request: whether it is of interest only where an objective asks for it: elsewhere it is no part of a store's
            key, so that a target that learns to measure it does not make stored evaluations useless.
    """

    name: str
    series: str
    batch: int = 1
    rate: bool = False
    peak: bool = False
    needs: str = ""
    on_request: bool = False

    @property
    def wanted(self) -> tuple[str, ...]:
        """What a timing plan has to ask for: the series, but for the times, which are always there."""
        return () if self.series == TIME else (self.series,)

    @property
    def of_slow_calls(self) -> bool:
        """Whether it takes many calls to tell: measured where asked for alone."""
        return self.series in TAILS

    @property
    def unit(self) -> str:
        """Unit of the series, as keys of records end: `ms`, `j`, `w`, `s`."""
        return self.series.rpartition("_")[2]

    def constant(self, measurement: Measurement) -> float | None:
        """The reference's value, the scale of every other one; None where the series could not be measured."""
        samples = measurement.series(self.series)
        if samples is None:
            return None
        typical = float(np.max(samples[0]) if self.peak else np.median(samples[0]))
        return measurement.plan.batch * 1000 / typical if self.rate else typical

    def value(self, constant: float, ratio: float) -> float:
        """The value of a session whose series is `ratio` times the reference's."""
        return constant / ratio if self.rate else constant * ratio

    def metric(self, constant: float, ratio: RatioEstimate) -> MetricValue:
        """That value with its standard error."""
        value = self.value(constant, ratio.value)
        return MetricValue(value, value * ratio.sem / ratio.value)

    def ends(self, constant: float, ratio: RatioEstimate) -> tuple[float, float]:
        """The lower and the upper end of the value's interval."""
        low, high = (self.value(constant, end) for end in (ratio.low, ratio.high))
        return (high, low) if self.rate else (low, high)


READINGS: dict[str, Reading] = {
    reading.name: reading
    for reading in (
        Reading("latency_ms", TIME),
        Reading("throughput_ips", TIME, batch=32, rate=True),
        Reading("energy_j", ENERGY, batch=32, needs="power counter"),
        Reading("energy_modelled_j", MODELLED, batch=32, needs="stated power", on_request=True),
        Reading("power_w", POWER, batch=32, peak=True, needs="power counter"),
        Reading("load_ms", LOAD, on_request=True),
        Reading("init_s", INIT, on_request=True),
        Reading("latency_p50_ms", "p50_ms", on_request=True),
        Reading("latency_p95_ms", "p95_ms", on_request=True),
        Reading("latency_p99_ms", "p99_ms", on_request=True),
        Reading("latency_max_ms", "max_ms", peak=True, on_request=True),
    )
}


def measured_by(series: Collection[str]) -> frozenset[str]:
    """The metrics of an evaluation on a target that gives these series; what is scored or counted needs none."""
    untimed = {name for name, metric in METRICS.items() if not metric.timed} - {COST}
    known = untimed | {name for name, reading in READINGS.items() if reading.series in series}
    return frozenset(known | {name for name in METRICS if METRICS[name].product_of and measured_for([name]) <= known})
