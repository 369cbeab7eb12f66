"""The table of readings, the texts that evaluation stores' keys hold, and that nobody else names a reading."""

from __future__ import annotations

import ast

import pytest

from moco.errors import MeasurementError
from moco.export.ranges import RangeOptions
from moco.measurement import ENERGY, POWER, TIME, Measurement, TimingPlan
from moco.metrics import METRICS
from moco.readings import READINGS, measured_by
from tests.import_rules import sources

EXACT = TimingPlan(reopening_sd=0.0)
SHARES = "1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2"
WHOLE = f"percentile=99.99, percentile_images=128, error_images=16, shares=({SHARES}))"
PLANS = {
    "batch=1, seconds=0.2, slot_ms=10.0, min_slots=15, warmup_calls=3, seed=0, confidence=0.95": TimingPlan(),
    "batch=32, seconds=0.6, slot_ms=10.0, min_slots=15, warmup_calls=3, seed=123456789, confidence=0.95": TimingPlan(
        32, 0.6, 10.0, warmup_calls=3, seed=123456789
    ),
    "batch=1, seconds=1, slot_ms=4, min_slots=8, warmup_calls=0, seed=7, confidence=0.9": TimingPlan(
        1, 1, 4, 8, 0, 7, 0.9
    ),
}
KEPT = [
    *((plan, f"TimingPlan({text}, reopening_sd=0.005)") for text, plan in PLANS.items()),
    (RangeOptions(), f"RangeOptions(activations='minmax', weights='max_abs', {WHOLE}"),
    (
        RangeOptions("output_error", "output_error"),
        f"RangeOptions(activations='output_error', weights='output_error', {WHOLE}",
    ),
    (
        RangeOptions("percentile", "max_abs", 99.9, 64, 8, (1.0, 0.5)),
        (
            "RangeOptions(activations='percentile', weights='max_abs', percentile=99.9, percentile_images=64, "
            "error_images=8, shares=(1.0, 0.5))"
        ),
    ),
]
"""As moco 0.1 wrote them into the keys of evaluation stores: another text would lose every stored evaluation."""

PUBLISHED = ("moco.reproduction", "moco.sweep")
HOMES = ("moco.metrics", "moco.readings", "moco.measurement", "moco.objectives", "moco.testing", *PUBLISHED)
"""The tables, and what asks for metrics by name: objectives, contract suites, the words of published systems."""


@pytest.mark.parametrize(("value", "text"), KEPT)
def test_the_texts_of_store_keys_stay(value: object, text: str) -> None:
    assert str(value) == text


def test_a_plan_that_asks_for_more_than_times_has_a_key_of_its_own() -> None:
    assert str(TimingPlan(series=(ENERGY,))) == f"{str(TimingPlan())[:-1]}, series=('energy_j',))"


def test_the_slow_calls_of_a_plan_are_part_of_its_key() -> None:
    key = str(TimingPlan(series=("p99_ms",), tail_calls=500, deadline_ms=5.0))
    assert key == f"{str(TimingPlan())[:-1]}, series=('p99_ms',), tail_calls=500)"


def test_a_standard_error_that_is_asked_for_is_part_of_the_key() -> None:
    key = str(TimingPlan(standard_error=0.005, most_seconds=5.0))
    assert key == f"{str(TimingPlan())[:-1]}, standard_error=0.005, most_seconds=5.0)"


def test_every_reading_is_a_metric_of_the_machine_and_every_such_metric_a_reading() -> None:
    assert set(READINGS) == {name for name, metric in METRICS.items() if metric.timed and not metric.product_of}


def test_a_rate_grows_where_its_series_shrinks_and_its_interval_keeps_its_order() -> None:
    ratio = Measurement(TimingPlan(32), ((4.0,) * 20, (2.0,) * 20)).ratio()
    rate = READINGS["throughput_ips"]

    assert rate.constant(Measurement(TimingPlan(32), ((4.0,) * 20,))) == 8000
    assert rate.value(8000, ratio.value) == 16000
    assert rate.ends(8000, ratio) == (8000 / ratio.high, 8000 / ratio.low)
    assert rate.ends(8000, ratio)[0] < 16000 < rate.ends(8000, ratio)[1]


def test_a_reading_is_taken_from_its_own_series() -> None:
    counted = {
        ENERGY: ((2.0, 4.0, 3.0) * 5, (1.0, 2.0, 1.5) * 5),
        POWER: ((9.0, 20.0, 10.0) * 5, (18.0, 40.0, 20.0) * 5),
    }
    measurement = Measurement(EXACT, ((1.0,) * 15, (1.0,) * 15), counted=counted)

    assert READINGS["energy_j"].constant(measurement) == 3.0
    assert READINGS["power_w"].constant(measurement) == 20.0
    assert [measurement.ratio(series=name).value for name in (TIME, ENERGY, POWER)] == [1.0, 0.5, 2.0]


def test_a_series_that_could_not_be_measured_says_why() -> None:
    measurement = Measurement(EXACT, ((1.0,) * 15, (1.0,) * 15), warnings=("the counter stood still",))

    assert READINGS["energy_j"].constant(measurement) is None
    with pytest.raises(MeasurementError, match="energy_j could not be measured: the counter stood still"):
        measurement.ratio(series=ENERGY)


def test_what_is_scored_and_counted_needs_no_series() -> None:
    assert {"top1_error", "size_mb", "bops"} <= measured_by(())
    assert measured_by({TIME}) - measured_by(()) == {"latency_ms", "throughput_ips", "flop_per_s"}
    assert "cost" not in measured_by({TIME, ENERGY, POWER})


def test_nobody_but_the_tables_and_the_objectives_names_a_reading() -> None:
    found = [
        f"{module}:{node.lineno}: {node.value}"
        for module, text in sources().items()
        if not module.startswith(HOMES)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and node.value in set(READINGS)
    ]

    assert found == []


def test_the_names_are_where_they_belong() -> None:
    assert all(f'"{name}"' in sources()[home] for name in READINGS for home in HOMES[:2])
