"""Paired timings: raw samples, and ratios to an interleaved reference with intervals that hold (W06).

The interval of a ratio has two parts. *Within* the measurement: the order-statistics interval of the median of the
paired ratios, exact for any distribution of independent pairs. A percentile bootstrap of the median was tried first
and is too narrow for the 15 to 20 pairs that a candidate can afford: it held 1 in 39 of 50 timings of a file against
itself at batch 32, the order statistics in 47. *Between* measurements: the same file opened again differs by some
0.5 % for as long as it is open (its memory lies elsewhere), which no resampling within one measurement can see. Both
are added in quadrature. Figures and dates in docs/measurement.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb, hypot
from statistics import NormalDist
from typing import Any

import numpy as np

from moco.errors import MeasurementError


@dataclass(frozen=True)
class TimingPlan:
    """How a set of sessions is timed.

    Attributes:
        batch: images in one call.
        seconds: time spent on each session, warm-up not counted.
        slot_ms: length of one uninterrupted turn of a session; at least one call is made.
        min_slots: slots of each session, whatever time they take: a slow network still gives enough samples.
        warmup_calls: calls before the first slot, not recorded.
        seed: draws the images and orders the sessions within each round.
        confidence: of the intervals, two-sided.
        reopening_sd: standard deviation of a ratio when the files are opened anew, as a fraction of the ratio.
    """

    batch: int = 1
    seconds: float = 0.2
    slot_ms: float = 10.0
    min_slots: int = 15
    warmup_calls: int = 3
    seed: int = 0
    confidence: float = 0.95
    reopening_sd: float = 0.005


@dataclass(frozen=True)
class RatioEstimate:
    """Median of paired ratios with its interval and standard error."""

    value: float
    low: float
    high: float
    sem: float

    def holds(self, ratio: float) -> bool:
        """Whether the interval contains that ratio."""
        return self.low <= ratio <= self.high


@dataclass(frozen=True)
class Measurement:
    """Interleaved timings of several sessions.

    Attributes:
        samples_ms: one tuple a session, the first being the reference; the n-th entry is the median time of a call
            in its n-th slot. The n-th slots of all sessions ran one after the other.
        environment: load of the machine before and after, processor, threads. JSON.
        warnings: why this measurement should be doubted; empty where nothing was noticed.
    """

    plan: TimingPlan
    samples_ms: tuple[tuple[float, ...], ...]
    environment: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def median_ms(self, session: int = 0) -> float:
        """Median time of a call of that session, in ms. Drifts with the machine: compare by `ratio`."""
        return float(np.median(self.samples_ms[session]))

    def spread(self, session: int = 1, reference: int = 0) -> float:
        """Quartile range of the paired ratios relative to their median."""
        low, middle, high = np.quantile(self._pairs(session, reference), [0.25, 0.5, 0.75])
        return float((high - low) / middle)

    def ratio(self, session: int = 1, reference: int = 0) -> RatioEstimate:
        """Time of a session relative to the reference's; `sem` is the interval's half width in normal terms.

        Raises:
            MeasurementError: too few slots for an interval of the plan's confidence.
        """
        pairs = np.sort(self._pairs(session, reference))
        rank = interval_rank(len(pairs), self.plan.confidence)
        value = float(np.median(pairs))
        quantile = NormalDist().inv_cdf((1 + self.plan.confidence) / 2)
        between = quantile * self.plan.reopening_sd * value
        below = hypot(value - float(pairs[rank - 1]), between)
        above = hypot(float(pairs[-rank]) - value, between)
        return RatioEstimate(value, value - below, value + above, (below + above) / (2 * quantile))

    def _pairs(self, session: int, reference: int) -> np.ndarray:
        """Ratios of the times (slots,), each within one round."""
        pairs: np.ndarray = np.divide(self.samples_ms[session], self.samples_ms[reference])
        return pairs


def interval_rank(n: int, confidence: float) -> int:
    """The k for which the k-th smallest and the k-th largest of n samples enclose the median with that confidence.

    Each sample lies below the median with probability 1/2, so the number of those is binomial; k is the largest
    with P(fewer than k below) <= (1 - confidence) / 2.

    Raises:
        MeasurementError: not even the smallest and the largest of so few samples enclose it.
    """
    allowed = (1 - confidence) / 2
    rank, tail = 0, comb(n, 0) / 2**n
    while tail <= allowed:
        rank += 1
        tail += comb(n, rank) / 2**n
    if rank == 0:
        raise MeasurementError(
            f"expected enough slots for an interval at {confidence:.0%} confidence, got {n}: raise `min_slots`"
        )
    return rank
