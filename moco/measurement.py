"""Paired timings: raw samples, and ratios to an interleaved reference with bootstrap intervals that hold (W06).

The interval of a ratio is the bootstrap's over two sources of noise. *Within* the measurement the pairs are drawn
again, with replacement. *Between* measurements the same file opened again differs by some 0.5 % for as long as it is
open (its memory lies elsewhere), which no resampling within one measurement can see: each resampled median is
multiplied by a draw of that factor. Figures and dates in docs/measurement.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from moco.errors import MeasurementError
from moco.randomness import generator

RESAMPLES = 2000

TIME, ENERGY, POWER, LOAD, INIT = "time_ms", "energy_j", "power_w", "load_ms", "init_s"
MODELLED = "modelled_j"  # a power that somebody states, times the time of a call: no reading of energy
"""Series that a measurement may hold: of a call its time and energy, and while it runs its power; the unit ends it."""
TAILS = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
"""Series of a slot's calls on the wall clock, each the quantile of that order of the times in the slot (W07)."""
LATE = "late_share"
"""Series of the share of a slot's calls that took longer than the plan's deadline."""
ON_A_PROCESSOR = frozenset({TIME, LOAD, INIT, *TAILS})
"""What can be measured wherever a clock is."""

Samples = tuple[tuple[float, ...], ...]
"""One tuple a session, one number a slot."""


@dataclass(frozen=True)
class TimingPlan:
    """How a set of sessions is timed."""

    batch: int = 1  # images in one call
    seconds: float = 0.2  # spent on each session, warm-up not counted
    slot_ms: float = 10.0  # length of one uninterrupted turn of a session; at least one call is made
    min_slots: int = 15  # of each session, whatever time they take: a slow network still gives enough samples
    warmup_calls: int = 3  # before the first slot, not recorded
    seed: int = 0  # draws the images, orders the sessions within each round, and draws the bootstrap
    confidence: float = 0.95  # of the intervals, two-sided
    reopening_sd: float = 0.005  # standard deviation of a ratio when the files are opened anew, as a fraction of it
    series: tuple[str, ...] = ()  # what is measured besides the times
    standard_error: float | None = None  # of the ratios, until which slots are added; None adds none
    most_seconds: float = 0.0  # spent on each session for that
    tail_calls: int = 100  # in a slot, whose quantiles a series of TAILS holds
    deadline_ms: float | None = None  # of those calls, where late ones are counted

    def __str__(self) -> str:
        """The form in which keys of evaluation stores hold it: as it always was, however the class is written."""
        always = ("batch", "seconds", "slot_ms", "min_slots", "warmup_calls", "seed", "confidence", "reopening_sd")
        asked = () if self.standard_error is None else ("standard_error", "most_seconds")
        asked = (*asked, "series") if self.series else asked
        tails = ("tail_calls",) if not TAILS.keys().isdisjoint(self.series) else ()
        names = (*always, *asked, *tails)
        return f"TimingPlan({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


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
    """Interleaved timings of several sessions."""

    plan: TimingPlan
    samples_ms: Samples
    """Of the reference first; the n-th entry is the median time of a call in its n-th slot.

    The n-th slots of all sessions ran one after the other.
    """
    environment: dict[str, Any] = field(default_factory=dict)  # JSON: load before and after, processor, threads
    warnings: tuple[str, ...] = ()  # why this measurement should be doubted, and why a series is missing
    counted: Mapping[str, Samples] = field(default_factory=dict)
    """The further series, each of the same slots; one that could not be measured is not there."""

    def series(self, name: str) -> Samples | None:
        """The samples of a series; None where it was not or could not be measured."""
        return self.samples_ms if name == TIME else self.counted.get(name)

    def median_ms(self, session: int = 0) -> float:
        """Median time of a call of that session, in ms. Drifts with the machine: compare by `ratio`."""
        return float(np.median(self.samples_ms[session]))

    def spread(self, session: int = 1, reference: int = 0) -> float:
        """Quartile range of the paired ratios of the times, relative to their median."""
        low, middle, high = np.quantile(self._pairs(session, reference, TIME), [0.25, 0.5, 0.75])
        return float((high - low) / middle)

    def ratio(self, session: int = 1, reference: int = 0, series: str = TIME) -> RatioEstimate:
        """A session relative to the reference: median of the paired ratios, percentile bootstrap interval.

        A MeasurementError where there are too few slots for an interval of the plan's confidence, or no such series.
        """
        key = session, reference, series
        if key not in self._ratios:
            self._ratios[key] = self._bootstrapped(*key)
        return self._ratios[key]

    @cached_property
    def _ratios(self) -> dict[tuple[int, int, str], RatioEstimate]:
        """What was asked for before: a bootstrap takes a millisecond, and several want it."""
        return {}

    def _bootstrapped(self, session: int, reference: int, series: str) -> RatioEstimate:
        pairs = self._pairs(session, reference, series)
        _check_enough(len(pairs), self.plan.confidence)
        rng = generator(self.plan.seed, "bootstrap")
        medians = np.median(pairs[rng.integers(len(pairs), size=(RESAMPLES, len(pairs)))], axis=1)
        medians *= 1 + self.plan.reopening_sd * rng.standard_normal(RESAMPLES)
        tail = _expanded_tail(len(pairs), self.plan.confidence)
        low, high = np.quantile(medians, [tail, 1 - tail], method="closest_observation")
        return RatioEstimate(float(np.median(pairs)), float(low), float(high), float(np.std(medians)))

    def _pairs(self, session: int, reference: int, series: str) -> np.ndarray:
        samples = self.series(series)
        if samples is None:
            raise MeasurementError(
                f"{series} could not be measured: {'; '.join(self.warnings) or 'the target gave none'}"
            )
        pairs: np.ndarray = np.divide(samples[session], samples[reference])
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
