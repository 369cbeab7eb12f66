"""What a target measures of sessions that take turns: their times and, around each slot, what counters have counted.

The energy of a call is what the counters gained in its slot, less what they gain while nothing runs, which has slots
of its own in every round (the session's processor sleeps): so it is compared in the same minute, as the times are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any, Protocol

import numpy as np

from moco.errors import ConfigError, MeasurementError
from moco.hardware.measuring import timing
from moco.hardware.measuring.artifact_file import content_of
from moco.hardware.measuring.batch_memory import check_batch
from moco.hardware.measuring.timing import Clock
from moco.interfaces import Artifact, Counter, Session
from moco.measurement import ENERGY, INIT, LOAD, MODELLED, POWER, TAILS, Measurement, Samples, TimingPlan
from moco.registry import made_by, plugin

MIN_TICKS, TICKS = 10, 25
"""Changes of a counter within a slot: fewer tell nothing, so slots are made long enough for some more."""
CounterChoice = str | Mapping[str, Any]  # a counter's name, or a mapping of its `name` and its options


def counters_of(choices: Sequence[CounterChoice]) -> tuple[Counter, ...]:
    """The counters of these choices, not yet read; a ConfigError where there is none of that name."""
    found = []
    for choice in choices:
        name, options = (choice, {}) if isinstance(choice, str) else (choice["name"], dict(choice))
        options.pop("name", None)
        cls = plugin("counter", name, "target.counters")
        found.append(made_by(cls, "counter", name, "target.counters", cls.Options(**options)))
    return tuple(found)


def part_of(counter: Counter | type[Counter]) -> str:
    """What the counter meters, in a word; empty where it does not say."""
    return str(getattr(counter, "part", ""))


def check_readable(counters: Sequence[Counter]) -> None:
    """Pass counters that can be read here and meter different parts; a ConfigError names one that cannot, or two."""
    for one, other in combinations(counters, 2):
        if part_of(one) and part_of(one) == part_of(other):
            both = f"'{one.name}' and '{other.name}' meter the same, the {part_of(one)}"
            raise ConfigError(f"target.counters: {both}: their energies would be summed; name one of them")
    for counter in counters:
        if reason := counter.available():
            raise ConfigError(f"target.counters: '{counter.name}' cannot be read here: {reason}")


@dataclass(frozen=True)
class Power:
    """What is known of the power that a device draws: counters that read it, and a figure that somebody states."""

    counters: tuple[Counter, ...] = ()
    stated_w: float | None = None  # while it computes; None where nobody states it

    @classmethod
    def of(cls, choices: Sequence[CounterChoice] | None, stated_w: float | None) -> Power:
        """Of a target's options; a ConfigError where there is no counter of that name, or no such power."""
        if stated_w is not None and not 0 < stated_w < math.inf:
            raise ConfigError(f"target.modelled_power_w: expected watts above 0, got {stated_w:g}")
        return cls(counters_of(choices or ()), stated_w)

    @property
    def series(self) -> frozenset[str]:
        """The series that a measurement may hold by it."""
        return frozenset({ENERGY, POWER} if self.counters else ()) | frozenset({MODELLED} if self.stated_w else ())

    def modelled(self, measurement: Measurement) -> Measurement:
        """The measurement with the stated power times its times, where its plan asks for that."""
        if not self.stated_w or MODELLED not in measurement.plan.series:
            return measurement
        joules = tuple(tuple(self.stated_w * ms / 1000 for ms in of) for of in measurement.samples_ms)
        return replace(measurement, counted={**measurement.counted, MODELLED: joules})

    def describe(self) -> dict[str, Any]:
        """What a target's description says of it; nothing of what is not there."""
        counters = {"counters": [counter.describe() for counter in self.counters]} if self.counters else {}
        return {**counters, **({"modelled_power_w": self.stated_w} if self.stated_w else {})}


class Timed(Protocol):
    """What can be timed: a session, or one whose answers stay on its device."""

    artifact: Artifact
    input_shape: tuple[int, ...]

    def run(self, images: np.ndarray) -> object:
        """Answer for these images, and return when the device has finished."""


@dataclass(frozen=True)
class Opening:
    """How a target opens files, to be timed."""

    opened: Callable[[bytes], object]  # what the runtime makes of a file's content
    load: Callable[[Artifact], Session]  # the target's own, from the disk

    def timed(
        self, sessions: Sequence[Timed], inputs: Mapping[tuple[int, ...], np.ndarray], plan: TimingPlan, clock: Clock
    ) -> dict[str, Samples]:
        """What the plan asks for of the time to open each session's file, and of that to its first answer."""
        found = {}
        if LOAD in plan.series:
            openings = [partial(self.opened, content_of(session.artifact)) for session in sessions]
            found[LOAD] = timing.interleave(openings, plan, clock)
        if INIT in plan.series:
            starts = [partial(self._answered, session.artifact, inputs[session.input_shape]) for session in sessions]
            found[INIT] = tuple(tuple(ms / 1000 for ms in of) for of in timing.interleave(starts, plan, clock))
        return found

    def _answered(self, artifact: Artifact, images: np.ndarray) -> None:
        """From the file on disk to the answer for its first images, as a program that starts waits for it."""
        with closing(self.load(artifact)) as session:
            session.run(images)


def measured(
    sessions: Sequence[Timed],
    plan: TimingPlan,
    *,
    clock: str,
    threads: int,
    counters: Sequence[Counter] = (),
    opening: Opening | None = None,
) -> Measurement:
    """Interleaved samples of the sessions, the first being the reference, with all that makes them doubtful.

    The clock is a name of `CLOCKS`, and a session's `run` must not return before its device has finished; it keeps so
    many threads busy. Counters are summed up for the plan's energy and power. Where the plan asks for the time of
    loading, or for that of the first answer, `opening` is timed too, in turn like the calls.

    A MeasurementError tells that there are no sessions, that the plan's batch does not fit into memory, that a session
    or a counter fails, or that the clock gave a time that is not positive.
    """
    if not sessions:
        raise MeasurementError("expected at least one session to time, got none")
    for session in sessions:
        if getattr(session, "in_host_memory", False):  # before the images are drawn
            check_batch(session.artifact, session.input_shape, plan.batch)
    inputs = {shape: timing.images(plan, shape) for shape in {session.input_shape for session in sessions}}
    calls = [partial(session.run, inputs[session.input_shape]) for session in sessions]
    surroundings = timing.Surroundings(threads, clock)
    if counters and not {ENERGY, POWER}.isdisjoint(plan.series):
        samples, counted, lacks = metered(calls, plan, timing.CLOCKS[clock], counters)
    else:
        samples, counted, lacks = timing.interleave(calls, plan, timing.CLOCKS[clock]), {}, ()
    if opening is not None:
        counted = {**counted, **opening.timed(sessions, inputs, plan, timing.CLOCKS[clock])}
    if not TAILS.keys().isdisjoint(plan.series):
        counted = {**counted, **timing.tails(calls, plan)}
    measurement = Measurement(plan, samples, surroundings.environment(), counted=counted)
    opened_as = [(type(session), session.artifact.sha256) for session in sessions]
    return replace(measurement, warnings=(*timing.timing_warnings(measurement, opened_as), *lacks))


@dataclass(frozen=True)
class Window:
    """What the counters gained while some calls ran."""

    joules: float
    seconds: float
    calls: int


def metered(
    calls: Sequence[timing.Call],
    plan: TimingPlan,
    clock: timing.Clock,
    counters: Sequence[Counter],
    wall: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Samples, dict[str, Samples], tuple[str, ...]]:
    """Times of the calls by slot, the plan's further series of those, by seconds of `wall`, and why one is missing."""
    tick_s = max(counter.tick_s for counter in counters)
    plan = replace(plan, slot_ms=max(plan.slot_ms, TICKS * tick_s * 1000))
    windows: list[list[Window]] = [[] for _ in (*calls, sleep)]

    def within(index: int, calls: int, run: Callable[[], float]) -> float:
        joules, start = sum(counter.joules() for counter in counters), wall()
        result = run()
        gained = sum(counter.joules() for counter in counters) - joules
        windows[index].append(Window(gained, wall() - start, calls))
        return result

    def idle() -> float:
        sleep(plan.slot_ms / 1000)
        return plan.slot_ms

    fitting = [timing.repeats(call, plan, clock) for call in calls]
    slots = [partial(within, i, n, partial(timing.slot, calls[i], n, clock)) for i, n in enumerate(fitting)]
    samples = timing.rounds([*slots, partial(within, len(calls), 1, idle)], plan, clock)
    counted, lacks = _counted(windows[:-1], windows[-1], tick_s)
    return samples[:-1], {name: counted[name] for name in plan.series if name in counted}, lacks


def _counted(
    windows: Sequence[Sequence[Window]], idle: Sequence[Window], tick_s: float
) -> tuple[dict[str, Samples], tuple[str, ...]]:
    """Energy and power of each session's slots as far as they can be told, and why not."""
    every = [window for taken in (*windows, idle) for window in taken]
    shortest_s = min(window.seconds for window in every)
    if shortest_s < MIN_TICKS * tick_s:
        enough = f"{MIN_TICKS} ticks of the counter ({1000 * tick_s:g} ms each)"
        return {}, (f"energy: a slot of {1000 * shortest_s:.1f} ms is shorter than {enough}",)
    if min(window.joules for window in every) <= 0:
        return {}, ("energy: the counter stood still during a slot",)
    power = tuple(tuple(one.joules / one.seconds for one in taken) for taken in windows)
    idle_w = float(np.median([one.joules / one.seconds for one in idle]))
    energy = tuple(tuple((one.joules - idle_w * one.seconds) / one.calls for one in taken) for taken in windows)
    below = sum(joules <= 0 for taken in energy for joules in taken)
    if below:
        return {POWER: power}, (f"energy: in {below} slots computing took no more than idling ({idle_w:.3g} W)",)
    return {ENERGY: energy, POWER: power}, ()
