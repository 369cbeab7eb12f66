"""Energy and power around interleaved slots, on a scripted clock and a scripted counter: exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moco.errors import ConfigError, MeasurementError
from moco.hardware.counters.rapl import RaplCounter, RaplOptions
from moco.hardware.measuring.metering import check_readable, counters_of, metered
from moco.hardware.measuring.probe_model import conv_stack
from moco.hardware.measuring.probe_model import write as written
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.measurement import ENERGY, MODELLED, POWER, TIME, Samples, TimingPlan
from moco.registry import plugin
from moco.testing import checks
from tests.hardware.powercap import RANGE_UJ, advance, zone
from tests.hardware.scripted import ScriptedClock

PLAN = TimingPlan(seconds=0.0, slot_ms=20.0, min_slots=8, series=(ENERGY, POWER))
IDLE_W = 5.0


class ScriptedCounter:
    """Takes `IDLE_W`, and what calls add to it."""

    name = "scripted"

    def __init__(self, tick_s: float = 0.001, ticking: bool = True) -> None:
        self.clock, self.tick_s, self.ticking, self.added = ScriptedClock(), tick_s, ticking, 0.0

    def available(self) -> str:
        return ""

    def joules(self) -> float:
        return self.ticking * (IDLE_W * self.clock.now_ns / 1e9 + self.added)

    def describe(self) -> dict[str, Any]:
        return {"counter": self.name}

    def call(self, milliseconds: float, joules: float) -> Callable[[], None]:
        def take() -> None:
            self.clock.now_ns += round(milliseconds * 1e6)
            self.added += joules

        return take


def run(
    counter: ScriptedCounter, calls: Sequence[Callable[[], None]], plan: TimingPlan = PLAN
) -> tuple[Samples, dict[str, Samples], tuple[str, ...]]:
    def sleep(seconds: float) -> None:
        counter.clock.now_ns += round(seconds * 1e9)

    return metered(calls, plan, counter.clock, [counter], wall=lambda: counter.clock() / 1e9, sleep=sleep)


def test_energy_of_a_call_is_what_the_counter_gained_less_idling() -> None:
    counter = ScriptedCounter()
    times, counted, lacks = run(counter, [counter.call(4.0, 0.2), counter.call(2.0, 0.05)])

    assert lacks == ()
    assert [set(samples) for samples in times] == [{4.0}, {2.0}]
    assert counted[ENERGY][0] == pytest.approx([0.2] * 8)
    assert counted[ENERGY][1] == pytest.approx([0.05] * 8)
    assert counted[POWER][0] == pytest.approx([IDLE_W + 0.2 / 0.004] * 8)


def test_slots_are_long_enough_for_the_counters_ticks() -> None:
    counter = ScriptedCounter(tick_s=0.1)
    _, counted, lacks = run(counter, [counter.call(4.0, 0.2)])

    assert counter.clock.now_ns > 8 * 2 * 15 * 0.1 * 1e9
    assert (set(counted), lacks) == ({ENERGY, POWER}, ())


def test_a_slot_with_too_few_ticks_gives_no_number_but_a_warning() -> None:
    counter = ScriptedCounter()
    first, later, made = counter.call(40.0, 0.2), counter.call(4.0, 0.2), iter(range(1000))
    _, counted, lacks = run(counter, [lambda: first() if next(made) < PLAN.warmup_calls else later()])

    assert counted == {}
    assert lacks == ("energy: a slot of 4.0 ms is shorter than 10 ticks of the counter (1 ms each)",)


def test_a_counter_that_stands_still_gives_no_number_but_a_warning() -> None:
    counter = ScriptedCounter(ticking=False)
    _, counted, lacks = run(counter, [counter.call(4.0, 0.2)])
    assert (counted, lacks) == ({}, ("energy: the counter stood still during a slot",))


def test_computing_that_takes_no_more_than_idling_has_a_power_and_no_energy() -> None:
    counter = ScriptedCounter()
    _, counted, [warning] = run(counter, [counter.call(4.0, -0.001)])
    assert set(counted) == {POWER}
    assert warning == "energy: in 8 slots computing took no more than idling (5 W)"


def test_only_the_series_that_the_plan_wants_are_kept() -> None:
    counter = ScriptedCounter()
    _, counted, _ = run(counter, [counter.call(4.0, 0.2)], TimingPlan(seconds=0.0, min_slots=8, series=(POWER,)))
    assert set(counted) == {POWER}


def test_packages_and_their_memory_are_summed_and_parts_within_a_package_are_not(tmp_path: Path) -> None:
    package = zone(tmp_path / "intel-rapl:0", "package-0", 10)
    memory, core = zone(package / "intel-rapl:0:0", "dram", 20), zone(package / "intel-rapl:0:1", "core", 30)
    (tmp_path / "intel-rapl:0:0").symlink_to(memory)
    whole = zone(tmp_path / "intel-rapl:1", "psys", 40)
    counter = RaplCounter(RaplOptions(str(tmp_path)))

    assert (counter.available(), counter.joules()) == ("", 0.0)
    for folder, energy_uj in ((package, 1_000_010), (memory, 500_020), (core, 9_000_000), (whole, 9_000_000)):
        advance(folder, energy_uj)
    assert counter.joules() == 1.5
    assert counter.describe() == {"counter": "rapl", "zones": ["package-0", "dram"]}


def test_it_holds_to_its_contract_on_a_tree_of_files_and_on_an_empty_one(tmp_path: Path) -> None:
    zone(tmp_path / "there" / "intel-rapl:0", "package-0", 10)
    for root in ("there", "absent"):
        for check in checks("counter", "rapl", {"root": str(tmp_path / root)}):
            check()


def test_a_counter_that_starts_anew_goes_on(tmp_path: Path) -> None:
    package = zone(tmp_path / "intel-rapl:0", "package-0", RANGE_UJ - 1_000_000)
    counter = RaplCounter(RaplOptions(str(tmp_path)))
    counter.joules()
    advance(package, 2_000_000)
    assert counter.joules() == 3.0


def test_a_counter_that_vanishes_is_named(tmp_path: Path) -> None:
    package = zone(tmp_path / "intel-rapl:0", "package-0")
    counter = RaplCounter(RaplOptions(str(tmp_path)))
    counter.joules()
    (package / "energy_uj").unlink()
    with pytest.raises(MeasurementError, match="a RAPL counter cannot be read"):
        counter.joules()


def target_with(root: Path) -> ONNXRuntimeTarget:
    return ONNXRuntimeTarget(ONNXRuntimeTarget.Options(counters=({"name": "rapl", "root": str(root)},)))


def test_a_target_that_names_a_counter_which_is_not_there_is_refused_as_it_connects(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"target\.counters: 'rapl' cannot be read here: no RAPL counter"):
        target_with(tmp_path).connect()


def test_a_target_with_a_counter_claims_energy_and_tells_its_zones(tmp_path: Path) -> None:
    zone(tmp_path / "intel-rapl:0", "package-0")
    target = target_with(tmp_path)
    target.connect()
    assert {"energy_j", "power_w"} <= target.capabilities.metrics
    assert target.describe()["counters"] == [{"counter": "rapl", "zones": ["package-0"]}]
    assert "counters" not in ONNXRuntimeTarget().describe()


def test_counters_are_found_by_name() -> None:
    [counter] = counters_of(["rapl"])
    assert isinstance(counter, RaplCounter)
    with pytest.raises(ConfigError, match="did you mean 'rapl'"):
        counters_of(["rappl"])


def test_two_counters_of_one_part_are_refused(tmp_path: Path) -> None:
    zone(tmp_path / "intel-rapl:0", "package-0")
    rapl = {"name": "rapl", "root": str(tmp_path)}
    check_readable(counters_of([rapl]))
    with pytest.raises(ConfigError, match="'rapl' and 'rapl' meter the same, the processor"):
        check_readable(counters_of([rapl, rapl]))
    with pytest.raises(ConfigError, match="'ina3221' and 'tegrastats' meter the same, the board"):
        check_readable(counters_of(["ina3221", "tegrastats"]))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torch"])
def test_a_stated_power_times_the_time_of_each_slot_is_the_modelled_energy(runtime: str, tmp_path: Path) -> None:
    cls = plugin("target", runtime, "test")
    assert "energy_modelled_j" not in cls().capabilities.metrics
    target = cls(cls.Options(modelled_power_w=6.5))
    assert "energy_modelled_j" in target.capabilities.metrics
    assert target.describe()["modelled_power_w"] == 6.5
    with closing(target.load(written(conv_stack(layers=2, width=8), tmp_path / "probe.onnx"))) as session:
        measured = target.measure([session, session], TimingPlan(seconds=0.0, min_slots=8, series=(MODELLED,)))
    times, joules = measured.series(TIME), measured.series(MODELLED)
    assert times is not None
    assert joules is not None
    assert joules == tuple(tuple(6.5 * ms / 1000 for ms in of) for of in times)
