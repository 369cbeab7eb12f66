from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from moco.errors import MeasurementError
from moco.hardware.counters.power_integral import PowerIntegral

NEVER_S = 3600.0


class Meter:
    """A meter and a clock by hand."""

    def __init__(self, *readings: tuple[float, float | Exception]) -> None:
        self._readings: Iterator[tuple[float, float | Exception]] = iter(readings)
        self._watts: float | Exception = 0.0

    def clock(self) -> float:
        now, self._watts = next(self._readings)
        return now

    def watts(self) -> float:
        if isinstance(self._watts, Exception):
            raise self._watts
        return self._watts


def integral(*readings: tuple[float, float | Exception]) -> PowerIntegral:
    meter = Meter(*readings)
    return PowerIntegral(meter.watts, NEVER_S, meter.clock)


def test_energy_is_the_mean_of_neighbouring_readings_times_the_time_between_them() -> None:
    meter = integral((0.0, 10.0), (2.0, 20.0), (3.0, 0.0))
    assert [meter.joules() for _ in range(3)] == [0.0, 30.0, 40.0]


def test_a_clock_that_goes_backwards_or_stands_still_adds_nothing() -> None:
    meter = integral((5.0, 10.0), (4.0, 10.0), (4.0, 10.0), (5.0, 10.0))
    assert [meter.joules() for _ in range(4)] == [0.0, 0.0, 0.0, 10.0]


def test_a_meter_that_fails_is_told_once_and_its_gap_is_not_filled() -> None:
    meter = integral((0.0, 10.0), (1.0, PermissionError("not\nallowed")), (9.0, 10.0), (10.0, 10.0))
    assert meter.joules() == 0.0
    with pytest.raises(MeasurementError, match="the power meter cannot be read: not allowed"):
        meter.joules()
    assert [meter.joules(), meter.joules()] == [0.0, 10.0]


def test_it_reads_by_itself_while_nobody_asks() -> None:
    """A meter that alternates between 0 and 20 W: two readings alone would see either."""
    ticks = itertools.count()
    meter = PowerIntegral(lambda: 20.0 * (next(ticks) % 2), 0.0005)
    before = meter.joules()
    while next(ticks) < 400:  # counts readings, and itself
        pass
    assert meter.joules() > before
    meter.close()
