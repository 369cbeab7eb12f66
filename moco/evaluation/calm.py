"""Timing beside a reference while the machine is calm.

A virtual machine shares its cores with others, and those may slow one network more than another: seen on a server that
gave 2.6 times the speed in int8 in one minute and 1.9 times in the next, with the reference at 3.1 and 4.0 ms. No ratio
within one measurement shows that, but the reference's own time does. So a timing in which the reference was slow is
taken again when it is fast. Waiting takes no processor time, and holds no device. Figures in docs/measurement.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np

from moco.evaluation.builder import Stopwatch
from moco.interfaces import Session, Target
from moco.measurement import Measurement, TimingPlan

CALMEST = 0.2
"""Quantile of the reference's times so far that counts as calm: a single fast timing is no yardstick."""
LEAST_KNOWN = 6
"""Timings before there is such a quantile; until then each is taken as it is."""
SLOWER = 1.1
"""How much longer the reference may take while the machine is calm: clocks drift by several percent within seconds."""
PAUSES_S = (1, 2, 4, 8, 16, 29)
WAITED_SHARE = 0.25
"""Of the time since the search began, what may have been waited at most."""
PROBE_SLOTS = 3

Undisturbed = Callable[[Stopwatch], AbstractContextManager[object]]
"""A block in which no other process times on the device, and this one does nothing else."""


def calm_of(references: Sequence[float]) -> float:
    """What the reference takes while the machine is calm, of what it took in all timings."""
    return float(np.quantile(references, CALMEST, method="lower"))


class CalmTimings:
    """Times sessions beside a reference, the first of them; waits for a calm machine, and tells where it found none."""

    def __init__(
        self,
        target: Target,
        undisturbed: Undisturbed,
        waited_share: float = WAITED_SHARE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where it is measured, and how much of all time may be waited; `clock` in seconds."""
        self.target, self._undisturbed, self._waited_share = target, undisturbed, waited_share
        self._sleep, self._clock = sleep, clock
        self._began_s, self._waited_s = clock(), 0.0
        self._reference_ms: dict[str, list[float]] = {}

    def measure(self, name: str, sessions: list[Session], plan: TimingPlan, watch: Stopwatch) -> Measurement:
        """The sessions timed by the plan, at the calmer of at most two times; timings of one `name` are comparable."""
        found = self._timed(sessions, plan, watch)
        known = self._reference_ms.setdefault(name, [])
        known.append(found.median_ms())
        if self.slower(name, found) > SLOWER and self._calm_again(name, sessions[0], plan, watch):
            again = self._timed(sessions, plan, watch)
            known.append(again.median_ms())
            found = min(found, again, key=Measurement.median_ms)
        if (slower := self.slower(name, found)) > SLOWER:
            doubt = f"the reference took {slower:.2f} times as long as while the machine was calm: others compete"
            found = replace(found, warnings=(*found.warnings, doubt))
        return found

    def slower(self, name: str, measurement: Measurement) -> float:
        """The reference's time in a measurement, relative to its time while the machine was calm; 1 while unknown."""
        known = self._reference_ms[name]
        return 1.0 if len(known) < LEAST_KNOWN else measurement.median_ms() / calm_of(known)

    def _timed(self, sessions: list[Session], plan: TimingPlan, watch: Stopwatch) -> Measurement:
        with self._undisturbed(watch), watch.stage("measure"):
            return self.target.measure(sessions, plan)

    def _calm_again(self, name: str, reference: Session, plan: TimingPlan, watch: Stopwatch) -> bool:
        """Wait until the reference is as fast as it was; False where it does not become so in time."""
        probe = replace(plan, seconds=0.0, min_slots=PROBE_SLOTS, warmup_calls=1, slot_ms=0.0, series=())
        for pause_s in PAUSES_S:
            if self._waited_s + pause_s > self._waited_share * (self._clock() - self._began_s):
                return False
            with watch.stage("wait"):
                self._sleep(pause_s)
            self._waited_s += pause_s
            if self.slower(name, self._timed([reference], probe, watch)) <= SLOWER:
                return True
        return False
