"""Timings beside a reference wait for a calm machine, without the device, within limits, or say that it was busy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from moco.evaluation.builder import Stopwatch
from moco.evaluation.calm import LEAST_KNOWN, WAITED_SHARE, CalmTimings
from moco.interfaces import Session, Target
from moco.measurement import Measurement, TimingPlan

PLAN = TimingPlan(seconds=0.1)
CALM_MS, BUSY_MS = 3.0, 4.0


class Machine:
    """A target with a clock of its own: the reference takes 4 ms in the seconds of `busy`, elsewhere 3 ms."""

    def __init__(self, busy: tuple[float, float]) -> None:
        self.busy, self.now_s, self.measured = busy, 0.0, 0
        self.watch = Stopwatch()
        self.timings = CalmTimings(cast(Target, self), self.undisturbed, sleep=self.sleep, clock=lambda: self.now_s)
        self.holds_device = False

    @contextmanager
    def undisturbed(self, watch: Stopwatch) -> Iterator[None]:
        self.holds_device = True
        yield
        self.holds_device = False

    def sleep(self, seconds: float) -> None:
        assert not self.holds_device
        self.now_s += seconds

    def measure(self, sessions: Sequence[Session], plan: TimingPlan) -> Measurement:
        assert self.holds_device
        self.measured += 1
        ms = BUSY_MS if self.busy[0] <= self.now_s < self.busy[1] else CALM_MS
        self.now_s += plan.seconds
        return Measurement(plan, tuple((ms,) * 8 for _ in sessions))

    def timed(self, name: str = "latency_ms") -> Measurement:
        return self.timings.measure(name, cast(Any, ["reference", "candidate"]), PLAN, self.watch)

    def known(self) -> Machine:
        """After as many timings as it takes to know when it is calm."""
        for _ in range(LEAST_KNOWN):
            self.timed()
        return self


def test_a_calm_machine_is_measured_once() -> None:
    machine = Machine(busy=(0, 0))

    found = [machine.timed() for _ in range(5)]

    assert machine.measured == 5
    assert not any(measurement.warnings for measurement in found)


def test_a_busy_spell_is_waited_for() -> None:
    machine = Machine(busy=(100, 105)).known()
    machine.now_s = 100

    found = machine.timed()

    assert found.median_ms() == CALM_MS
    assert not found.warnings
    assert 105 <= machine.now_s < 110


def test_what_stays_busy_is_measured_as_it_is_and_doubted() -> None:
    machine = Machine(busy=(100, 1e9)).known()
    machine.now_s = 100

    found = machine.timed()

    assert found.median_ms() == BUSY_MS
    assert "1.33 times" in found.warnings[0]


def test_waiting_takes_at_most_its_share_of_the_search() -> None:
    machine = Machine(busy=(1, 1e9)).known()
    machine.now_s = 1
    for _ in range(20):
        machine.timed()

    assert machine.now_s <= (1 + 40 * PLAN.seconds) / (1 - WAITED_SHARE) + 1


def test_a_machine_that_became_slower_for_good_is_calm_again_after_some_timings() -> None:
    machine = Machine(busy=(100, 1e9)).known()
    machine.now_s = 100

    found = [machine.timed() for _ in range(5 * LEAST_KNOWN)]

    assert not found[-1].warnings


def test_each_metric_has_times_of_its_own() -> None:
    machine = Machine(busy=(100, 1e9)).known()
    machine.now_s = 100

    assert not machine.timed("throughput_ips").warnings


def test_few_timings_are_no_yardstick() -> None:
    machine = Machine(busy=(0.15, 1e9))

    assert not any(machine.timed().warnings for _ in range(LEAST_KNOWN - 1))
    assert machine.timed().warnings


def test_probes_time_the_reference_alone() -> None:
    machine = Machine(busy=(100, 101)).known()
    seen: list[int] = []
    measure = machine.measure

    def watched(sessions: Sequence[Session], plan: TimingPlan) -> Measurement:
        seen.append(len(sessions))
        return measure(sessions, plan)

    machine.measure = watched  # type: ignore[method-assign]
    machine.now_s = 100
    machine.timed()

    assert seen == [2, 1, 2]
