from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from moco.errors import MeasurementError
from moco.hardware.measuring.timing import Surroundings, images, interleave, tails, timing_warnings
from moco.measurement import Measurement, TimingPlan
from tests.hardware.scripted import ScriptedClock

PLAN = TimingPlan(seconds=0.1, slot_ms=10.0, min_slots=8, warmup_calls=2, seed=1)


def measurement(samples_ms: tuple[tuple[float, ...], ...], **environment: Any) -> Measurement:
    return Measurement(PLAN, samples_ms, {"cores": 2, **environment})


def test_scripted_times_come_back_exactly() -> None:
    clock = ScriptedClock()
    samples = interleave([clock.call(2.0), clock.call(3.0)], PLAN, clock)
    assert set(samples[0]) == {2.0}
    assert set(samples[1]) == {3.0}


def test_a_slot_has_as_many_calls_as_fit_and_keeps_their_median() -> None:
    clock, durations = ScriptedClock(), []

    def call() -> None:
        durations.append(2.0 if len(durations) < 2 or len(durations) % 5 else 50.0)
        clock.now_ns += round(durations[-1] * 1e6)

    samples = interleave([call], TimingPlan(seconds=0.0, slot_ms=10.0, min_slots=8, warmup_calls=2), clock)
    assert len(durations) == 2 + 8 * 5
    assert samples == ((2.0,) * 8,)


def test_a_call_longer_than_a_slot_is_still_made_once_a_slot() -> None:
    clock = ScriptedClock()
    samples = interleave([clock.call(400.0)], PLAN, clock)
    assert samples == ((400.0,) * PLAN.min_slots,)


def test_time_is_spent_on_each_session_as_planned() -> None:
    clock = ScriptedClock()
    samples = interleave([clock.call(1.0), clock.call(1.0)], PLAN, clock)
    assert len(samples[0]) == len(samples[1]) == 10  # 0.1 s in slots of 10 ms


def test_every_round_has_each_session_once_in_changing_order() -> None:
    clock, turns = ScriptedClock(), []

    def session(name: str) -> Any:
        take = clock.call(10.0)
        return lambda: (turns.append(name), take())

    interleave([session("a"), session("b"), session("c")], PLAN, clock)
    rounds = ["".join(turns[start : start + 3]) for start in range(6, len(turns), 3)]
    assert {"".join(sorted(one)) for one in rounds} == {"abc"}
    assert len(set(rounds)) > 1


def test_the_order_follows_the_seed() -> None:
    def order(seed: int) -> list[int]:
        clock, turns = ScriptedClock(), []
        takes = [clock.call(10.0), clock.call(10.0)]
        calls = [lambda i=i: (turns.append(i), takes[i]()) for i in range(2)]
        interleave(calls, TimingPlan(seconds=0.0, min_slots=20, seed=seed), clock)
        return turns

    assert order(3) == order(3)
    assert order(3) != order(4)


def test_drift_of_the_machine_cancels_in_the_ratio() -> None:
    clock = ScriptedClock()

    def slowing(cost_ms: float) -> Any:
        def take() -> None:
            clock.now_ns += round(cost_ms * 1e6 * (1 + clock.now_ns / 1e9))  # twice as slow after a second

        return take

    plan = TimingPlan(seconds=1.0)
    result = Measurement(plan, interleave([slowing(10.0), slowing(5.0)], plan, clock))
    assert max(result.samples_ms[0]) > 1.5 * min(result.samples_ms[0])
    assert result.ratio().value == pytest.approx(0.5, rel=0.02)


def test_a_clock_that_stands_still_is_an_error() -> None:
    clock = ScriptedClock()
    with pytest.raises(MeasurementError, match="positive time"):
        interleave([clock.call(0.0)], PLAN, clock)


def test_a_clock_that_goes_back_is_an_error() -> None:
    clock = ScriptedClock()
    with pytest.raises(MeasurementError, match="positive time"):
        interleave([clock.call(-1.0)], PLAN, clock)


@pytest.mark.parametrize("reading", [0.0, -1.0])
def test_a_reading_that_is_not_positive_is_taken_again(reading: float) -> None:
    clock = ScriptedClock()
    samples = interleave([clock.call(1.0, 1.0, reading)], PLAN, clock)
    assert set(samples[0]) == {1.0}


def test_garbage_is_not_collected_within_slots_and_again_afterwards() -> None:
    clock, seen = ScriptedClock(), []
    take = clock.call(10.0)
    interleave([lambda: (seen.append(gc.isenabled()), take())], PLAN, clock)
    assert not any(seen[PLAN.warmup_calls :])
    assert gc.isenabled()


def test_images_are_the_same_for_every_session_of_a_plan() -> None:
    first, second = images(PLAN, (3, 8, 8)), images(PLAN, (3, 8, 8))
    assert first.shape == (PLAN.batch, 3, 8, 8)
    assert first.dtype == np.float32
    assert np.array_equal(first, second)


def test_a_quiet_machine_raises_no_doubt() -> None:
    assert (
        timing_warnings(measurement(((2.0,) * 8, (1.0,) * 8), load_before=[1.0, 1.0, 1.0], cpu_share=0.99), ["a", "b"])
        == ()
    )


def test_a_load_above_the_cores_is_told() -> None:
    assert (
        "load average 3.5 on 2 cores" in timing_warnings(measurement(((2.0,) * 8,), load_before=[3.5, 1, 1]), ["a"])[0]
    )


def test_competition_for_the_core_is_told() -> None:
    assert "60% of the time" in timing_warnings(measurement(((2.0,) * 8,), cpu_share=0.6), ["a"])[0]


def test_the_processor_clock_bears_more_company() -> None:
    company = {"cpu_share": 0.6, "load_before": [3.5, 1, 1]}
    assert timing_warnings(measurement(((2.0,) * 8,), clock="processor", **company), ["a"]) == ()
    assert len(timing_warnings(measurement(((2.0,) * 8,), clock="wall", **company), ["a"])) == 2


def test_wide_ratios_are_told() -> None:
    assert "session 1: the middle half" in timing_warnings(measurement(((1.0,) * 8, (1.0, 2.0) * 4)), ["a", "b"])[0]


def test_a_file_that_differs_from_itself_is_told() -> None:
    found = timing_warnings(measurement(((1.0,) * 8, (1.1,) * 8)), ["a", "a"])
    assert found == ("session 1 is the reference's own file, yet its time ratio is 1.100",)


def test_surroundings_name_the_machine_and_the_share_of_the_core() -> None:
    environment = Surroundings(threads=1).environment()
    assert environment["threads"] == 1
    assert environment["cores"] >= 1
    assert environment["cpu_share"] >= 0


def slow_ends(deadline_ms: float | None, *durations_ms: float) -> dict[str, tuple[tuple[float, ...], ...]]:
    """Of a call that takes these times in turn, beside one that always takes 7 ms, ten counted calls a slot."""
    clock = ScriptedClock()
    asked = ("p50_ms", "p95_ms", "max_ms")
    plan = TimingPlan(min_slots=8, series=asked, tail_calls=10, deadline_ms=deadline_ms)
    return tails([clock.call(7.0), clock.call(*durations_ms)], plan, clock)


def test_slow_ends_are_quantiles_of_a_slots_calls_without_its_first() -> None:
    found = slow_ends(None, 100.0, *range(1, 11))  # ten calls are counted, the eleventh is the first of the next slot
    assert found == {
        "p50_ms": ((7.0,) * 8, (5.0,) * 8),
        "p95_ms": ((7.0,) * 8, (10.0,) * 8),
        "max_ms": ((7.0,) * 8, (10.0,) * 8),
    }


def test_calls_over_the_deadline_are_counted_and_those_on_it_are_not() -> None:
    assert slow_ends(7.0, 100.0, *range(1, 11))["late_share"] == ((0.0,) * 8, (0.3,) * 8)
    assert "late_share" not in slow_ends(None, 1.0)


def test_a_clock_that_fell_meanwhile_is_doubted() -> None:
    assert "clock fell to 60%" in timing_warnings(measurement(((2.0,) * 8,), slowed_to=0.6), ["a"])[0]


def test_slots_are_added_until_the_ratio_is_known_well_enough() -> None:
    clock = ScriptedClock()
    asked = TimingPlan(seconds=0.0, slot_ms=0.0, min_slots=8, standard_error=0.01, most_seconds=60.0)
    steady = interleave([clock.call(1.0), clock.call(2.0)], asked, clock)
    unsteady = interleave([clock.call(1.0), clock.call(1.8, 2.0, 2.2)], asked, clock)
    assert len(steady[0]) == 8
    assert len(unsteady[0]) == pytest.approx((0.4 / 1.349 * 1.2533 / 0.01) ** 2, abs=3)
    low, high = np.quantile(np.divide(unsteady[1], unsteady[0]), [0.25, 0.75])
    assert (high - low) / 1.349 * 1.2533 / np.sqrt(len(unsteady[0])) <= 0.01


def test_a_ratio_that_never_is_known_well_enough_ends_at_the_cap() -> None:
    clock = ScriptedClock()
    asked = TimingPlan(seconds=0.0, slot_ms=0.0, min_slots=8, standard_error=1e-9, most_seconds=0.5)
    samples = interleave([clock.call(1.0), clock.call(1.0, 3.0)], asked, clock)
    assert sum(map(sum, samples)) == pytest.approx(1000.0, rel=0.01)  # half a second for each of the two


def test_one_file_on_two_runtimes_may_take_different_times() -> None:
    found = measurement(((1.0,) * 8, (1.5,) * 8))
    assert timing_warnings(found, [("one", "a"), ("other", "a")]) == ()
    assert timing_warnings(found, [("one", "a"), ("one", "a")]) != ()
