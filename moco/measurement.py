"""Paired timings: raw samples, and ratios to an interleaved reference with bootstrap intervals that hold (W06).

The interval of a ratio is the bootstrap's over two sources of noise. *Within* the measurement the pairs are drawn
again, with replacement. *Between* measurements the same file opened again differs by some 0.5 % for as long as it is
open (its memory lies elsewhere), which no resampling within one measurement can see: each resampled median is
multiplied by a draw of that factor. Figures and dates in docs/measurement.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from moco.errors import MeasurementError
from moco.randomness import generator

RESAMPLES = 2000


@dataclass(frozen=True)
class TimingPlan:
    """How a set of sessions is timed.

    Attributes:
        batch: images in one call.
        seconds: time spent on each session, warm-up not counted.
        slot_ms: length of one uninterrupted turn of a session; at least one call is made.
        min_slots: slots of each session, whatever time they take: a slow network still gives enough samples.
        warmup_calls: calls before the first slot, not recorded.
        seed: draws the images, orders the sessions within each round, and draws the bootstrap.
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
        """Time of a session relative to the reference's: median of the paired ratios, percentile bootstrap interval.

        Raises:
            MeasurementError: too few slots for an interval of the plan's confidence.
        """
        if (session, reference) not in self._ratios:
            self._ratios[session, reference] = self._bootstrapped(session, reference)
        return self._ratios[session, reference]

    @cached_property
    def _ratios(self) -> dict[tuple[int, int], RatioEstimate]:
        """What was asked for before: a bootstrap takes a millisecond, and several want it."""
        return {}

    def _bootstrapped(self, session: int, reference: int) -> RatioEstimate:
        pairs = self._pairs(session, reference)
        _check_enough(len(pairs), self.plan.confidence)
        rng = generator(self.plan.seed, "bootstrap")
        medians = np.median(pairs[rng.integers(len(pairs), size=(RESAMPLES, len(pairs)))], axis=1)
        medians *= 1 + self.plan.reopening_sd * rng.standard_normal(RESAMPLES)
        tail = _expanded_tail(len(pairs), self.plan.confidence)
        low, high = np.quantile(medians, [tail, 1 - tail], method="closest_observation")
        return RatioEstimate(float(np.median(pairs)), float(low), float(high), float(np.std(medians)))

    def _pairs(self, session: int, reference: int) -> np.ndarray:
        """Ratios of the times (slots,), each within one round."""
        pairs: np.ndarray = np.divide(self.samples_ms[session], self.samples_ms[reference])
        return pairs


def _expanded_tail(n: int, confidence: float) -> float:
    """Probability to cut off at either end of the bootstrap of n pairs.

    A plain percentile interval is too narrow for the 15 to 20 pairs that a candidate can afford: at 95 % it held 1 in
    39 of 50 timings of a file against itself. The expanded percentile (Hesterberg 2015, The American Statistician
    69:371-386, section 5.3) cuts off what Student's t and n / (n - 1) leave: Phi(-sqrt(n / (n - 1)) t).
    """
    quantile = float(student_t.ppf((1 + confidence) / 2, n - 1))
    return NormalDist().cdf(-math.sqrt(n / (n - 1)) * quantile)


def _check_enough(slots: int, confidence: float) -> None:
    """Refuse so few slots that not even the smallest and the largest ratio enclose the median: 2 (1/2)^n > 1 - c."""
    if 2 * 0.5**slots > 1 - confidence:
        raise MeasurementError(
            f"expected enough slots for an interval at {confidence:.0%} confidence, got {slots}: raise `min_slots`"
        )
