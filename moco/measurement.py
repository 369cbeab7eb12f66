"""Paired timings: raw samples, ratios to an interleaved reference, and their bootstrap intervals (W06)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moco.randomness import generator


@dataclass(frozen=True)
class TimingPlan:
    """How a set of sessions is timed.

    Attributes:
        batch: images in one call.
        seconds: time spent on each session, warm-up not counted.
        slot_ms: length of one uninterrupted turn of a session; at least one call is made.
        min_slots: slots of each session, whatever time they take: a slow network still gives enough samples.
        warmup_calls: calls before the first slot, not recorded.
        seed: orders the sessions within each round and draws the bootstrap.
        confidence: of the intervals, two-sided.
    """

    batch: int = 1
    seconds: float = 0.2
    slot_ms: float = 10.0
    min_slots: int = 15
    warmup_calls: int = 3
    seed: int = 0
    confidence: float = 0.95


@dataclass(frozen=True)
class RatioEstimate:
    """Median of paired ratios with its bootstrap interval and standard error."""

    value: float
    low: float
    high: float
    sem: float


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

    def _pairs(self, session: int, reference: int) -> np.ndarray:
        """Ratios of the times (slots,), each within one round."""
        pairs: np.ndarray = np.divide(self.samples_ms[session], self.samples_ms[reference])
        return pairs

    def ratio(self, session: int = 1, reference: int = 0, resamples: int = 1000) -> RatioEstimate:
        """Time of a session relative to the reference's, slot by slot."""
        pairs = self._pairs(session, reference)
        rng = generator(self.plan.seed, "bootstrap")
        medians = np.median(rng.choice(pairs, size=(resamples, len(pairs))), axis=1)
        tail = (1 - self.plan.confidence) / 2
        low, high = np.quantile(medians, [tail, 1 - tail])
        return RatioEstimate(float(np.median(pairs)), float(low), float(high), float(np.std(medians)))
