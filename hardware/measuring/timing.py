"""Interleaved timing of several sessions: the part that every target shares (W06).

A shared host drifts by several percent within seconds, so absolute times of two networks that ran one after the
other cannot be compared. Here the sessions take turns ("slots") of about 10 ms in an order that is shuffled in
every round, and each is compared with the reference's slot of the same round.
"""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from moco.errors import MeasurementError
from moco.hardware.measuring.condition import condition
from moco.hardware.measuring.processor import processor
from moco.measurement import LATE, TAILS, Measurement, Samples, TimingPlan
from moco.randomness import generator

Call = Callable[[], object]
Clock = Callable[[], int]  # a monotonic clock in nanoseconds
CLOCKS: dict[str, Clock] = {"processor": time.thread_time_ns, "wall": time.perf_counter_ns}
"""Processor time of the calling thread, or time on the wall."""
MAX_SPREAD = 0.25
"""Quartile range of the paired ratios, relative to their median, above which a measurement is called wide."""
MAX_LOAD = {"processor": 2.0, "wall": 1.0}
"""By clock, the load average for each core above which a measurement is doubted."""
MIN_CPU_SHARE = {"processor": 0.5, "wall": 0.9}
"""By clock, the share of the time that the process must have had its core: others that take it also fill its caches."""
MAX_READINGS = 10
"""Calls that are timed until the clock gives a positive time."""
MAX_SELF_RATIO = 0.02  # how far from 1 the ratio of a file to itself may be before the whole measurement is doubted


def images(plan: TimingPlan, shape: tuple[int, ...]) -> np.ndarray:
    """Normal float32 images (batch, *shape), drawn once from the plan's seed: time does not depend on their content."""
    return generator(plan.seed, "timing images").standard_normal((plan.batch, *shape), dtype=np.float32)


def interleave(calls: Sequence[Call], plan: TimingPlan, clock: Clock = time.perf_counter_ns) -> Samples:
    """Median time of a call in ms, for each call and each of its slots; a time that is not positive is refused.

    Every call is warmed up and its number of repeats in a slot is fixed from that. Then rounds follow until each
    call was timed for `plan.seconds` on average, and for `plan.min_slots` at least; where the plan asks for a standard
    error, until all ratios have it, or `plan.most_seconds` are over.
    """
    return rounds([partial(slot, call, repeats(call, plan, clock), clock) for call in calls], plan, clock)


def rounds(slots: Sequence[Callable[[], float]], plan: TimingPlan, clock: Clock) -> Samples:
    """What each slot gives, one turn of each a round, in an order that is shuffled anew for every round."""
    order = generator(plan.seed, "order")
    samples: list[list[float]] = [[] for _ in slots]
    with _no_garbage_collection():
        start = clock()
        budget_ns = plan.seconds * 1e9 * len(slots)
        most_ns = max(budget_ns, plan.most_seconds * 1e9 * len(slots))
        while (
            len(samples[0]) < plan.min_slots
            or (spent_ns := clock() - start) < budget_ns
            or (plan.standard_error is not None and spent_ns < most_ns and _error(samples) > plan.standard_error)
        ):
            for index in order.permutation(len(slots)):
                samples[index].append(slots[index]())
    return tuple(map(tuple, samples))


def _error(samples: Sequence[Sequence[float]]) -> float:
    """The largest standard error of the sessions' median ratios to the first, by the normal distribution's quartiles.

    The standard error of a median is 1.2533 times that of a mean; the quartile range is 1.349 standard deviations.
    """
    ratios = np.array(samples[1:]) / np.array(samples[0])
    low, high = np.quantile(ratios, [0.25, 0.75], axis=1) if len(ratios) else np.zeros((2, 1))
    return float(np.max(high - low)) / 1.349 * 1.2533 / math.sqrt(len(samples[0]))


def tails(calls: Sequence[Call], plan: TimingPlan, clock: Clock = time.perf_counter_ns) -> dict[str, Samples]:
    """Of each series of `TAILS` in the plan: the quantile of its order of the times on the wall of a slot's calls.

    Where the plan has a deadline, the share of late calls too. The first call of a slot is not counted: another network
    has just left the caches.
    """
    wanted = {name: order for name, order in TAILS.items() if name in plan.series}
    found = [dict[str, list[float]]() for _ in calls]

    def run(index: int) -> float:
        calls[index]()
        times = [_timed_ms(calls[index], clock) for _ in range(plan.tail_calls)]
        for name, order in wanted.items():
            found[index].setdefault(name, []).append(float(np.quantile(times, order, method="inverted_cdf")))
        if plan.deadline_ms is not None:
            found[index].setdefault(LATE, []).append(float(np.mean(np.array(times) > plan.deadline_ms)))
        return statistics.median(times)

    rounds([partial(run, index) for index in range(len(calls))], replace(plan, seconds=0.0), clock)
    return {name: tuple(tuple(of[name]) for of in found) for name in found[0]}


def repeats(call: Call, plan: TimingPlan, clock: Clock) -> int:
    """Calls that fit a slot, at least one; the fastest of the warm-up calls decides."""
    fastest_ms = min(_timed_ms(call, clock) for _ in range(max(1, plan.warmup_calls)))
    return max(1, round(plan.slot_ms / fastest_ms))


def slot(call: Call, calls: int, clock: Clock) -> float:
    """Median time in ms of that many calls in a row."""
    return statistics.median(_timed_ms(call, clock) for _ in range(calls))


def _timed_ms(call: Call, clock: Clock) -> float:
    """Time in ms of one call. The processor clock of some virtual machines stands still now and then: called again."""
    for _ in range(MAX_READINGS):
        start = clock()
        call()
        elapsed_ms = (clock() - start) / 1e6
        if elapsed_ms > 0:
            return elapsed_ms
    raise MeasurementError(
        f"expected a positive time of a call, the clock gave none in {MAX_READINGS} calls, the last {elapsed_ms:g} ms"
    )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keeps Python's collector from running inside a slot."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Surroundings:
    """What else the machine did while a measurement ran: made before it, read by `environment` after it."""

    def __init__(self, threads: int, clock: str = "wall") -> None:
        """Start to watch a measurement that keeps that many threads busy and is timed by that clock."""
        self._threads, self._clock = threads, clock
        self._load, self._condition = _load_average(), condition()
        self._cpu_s, self._wall_s = time.process_time(), time.perf_counter()

    def environment(self) -> dict[str, Any]:
        """Load and the processor's condition before and after, share of the time that this process computed. JSON."""
        wall_s = time.perf_counter() - self._wall_s
        cpu_share = (time.process_time() - self._cpu_s) / (wall_s * self._threads)
        return {
            "processor": processor().name,
            "cores": processor().cores,
            "threads": self._threads,
            "clock": self._clock,
            "load_before": self._load,
            "load_after": _load_average(),
            "condition_before": self._condition.to_json(),
            "condition_after": (after := condition()).to_json(),
            "slowed_to": self._condition.slowed_to(after),
            "cpu_share": round(cpu_share, 3),
            "seconds": round(wall_s, 3),
        }


def _load_average() -> list[float] | None:
    """Load average of 1, 5 and 15 minutes; None where the system has none."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None


def timing_warnings(measurement: Measurement, opened: Sequence[object]) -> tuple[str, ...]:
    """Why the measurement should be doubted, in words; `opened` says which file each session has open, and on what."""
    environment, found = measurement.environment, []
    load = environment.get("load_before")
    clock = environment.get("clock", "wall")
    if load and load[0] > environment["cores"] * MAX_LOAD[clock]:
        found.append(f"load average {load[0]:g} on {environment['cores']} cores before timing")
    if environment.get("cpu_share", 1.0) < MIN_CPU_SHARE[clock]:
        found.append(f"the process had a core {environment['cpu_share']:.0%} of the time only: others compete")
    if slowed_to := environment.get("slowed_to"):
        found.append(f"the processor's clock fell to {slowed_to:.0%} of what it was: let it cool down")
    for session in range(1, len(opened)):
        spread = measurement.spread(session)
        if spread > MAX_SPREAD:
            found.append(f"session {session}: the middle half of its ratios spans {spread:.0%} of their median")
        ratio = measurement.ratio(session).value
        if opened[session] == opened[0] and abs(ratio - 1) > MAX_SELF_RATIO:
            found.append(f"session {session} is the reference's own file, yet its time ratio is {ratio:.3f}")
    return tuple(found)
