"""Numbers as people read them."""

from __future__ import annotations

import pytest

from moco.report.formatting import ordered, plotted, points, ratio, seconds, shown, shown_interval, shown_ratio
from moco.run_folder.reading import numbers


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("top1_error", 0.0814, "91.86 %"),
        ("latency_ms", 0.6213, "0.621 ms"),
        ("throughput_ips", 2525.4, "2,525 images/s"),
        ("parameters", 269722, "269,722"),
        ("cost", 0.365, "0.365"),
        ("energy_j", None, "n/a"),
        ("my_metric", 0.123456, "0.1235"),
        ("latency_ms", 0.00042, "0.000420 ms"),
        ("size_mb", 0.0123, "0.0123 MB"),
        ("load_ms", 3.21e-9, "3.21e-09 ms"),
        ("cost", 0.0, "0.000"),
        ("top1_error", 0.0, "100.00 %"),
        ("top1_error", 0.00001, "99.9990 %"),
        ("top1_error", 0.99988, "0.012 %"),
    ],
)
def test_a_value_is_shown_with_its_unit_and_errors_as_accuracies(metric: str, value: float | None, text: str) -> None:
    assert shown(metric, value) == text


def test_the_interval_of_an_error_is_turned_with_it() -> None:
    assert shown_interval("top1_error", 0.07, 0.09) == "[91.00, 93.00]"


def test_small_numbers_keep_their_digits_in_intervals_and_ratios() -> None:
    assert shown_interval("latency_ms", 0.00041, 0.00043) == "[0.000410, 0.000430]"
    assert shown_interval("throughput_ips", 2400.2, 2500.4) == "[2,400, 2,500]"
    assert (shown_ratio(0.0042), shown_ratio(0.47)) == ("0.0042x", "0.47x")


def test_an_accuracy_is_plotted_in_percent_and_a_time_as_it_is() -> None:
    assert (plotted("top1_error", 0.1), plotted("latency_ms", 0.1)) == (90.0, 0.1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0171, "-1.71 pp"), (0.002, "+0.2 pp"), (-0.00001, "-0.001 pp"), ("-2 pp", "-2 pp"), (None, "n/a")],
)
def test_differences_of_accuracy_are_in_points(value: float | str | None, text: str) -> None:
    assert points(value) == text


@pytest.mark.parametrize(("value", "reference"), [(None, 1.0), (1.0, None), (1.0, 0.0)])
def test_a_ratio_that_does_not_exist_is_not_available(value: float | None, reference: float | None) -> None:
    assert shown_ratio(ratio(value, reference)) == "n/a"


@pytest.mark.parametrize(
    ("value", "text"), [(3.14, "3.1 s"), (86.0, "1 min 26 s"), (3600, "1 h"), (5000, "1 h 23 min"), (None, "n/a")]
)
def test_durations(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_absent_metrics_are_left_out() -> None:
    assert numbers({"a": None, "b": 2}) == {"b": 2.0}


def test_what_matters_most_comes_first() -> None:
    assert ordered(["macs", "size_mb", "top1_error", "size_mb"]) == ["top1_error", "size_mb", "macs"]
