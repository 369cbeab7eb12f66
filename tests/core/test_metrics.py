from __future__ import annotations

import pytest

from moco.errors import ConfigError
from moco.metrics import METRICS, Direction, cost_ratio, interval, metric, shown


def test_a_metric_is_found_by_its_name() -> None:
    assert metric("latency_ms").unit == "ms"


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"bounds: unknown metric 'latency'; did you mean 'latency_ms'\?"):
        metric("latency", "bounds")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("top1_error", 0.08136, "8.14 %"),
        ("top1_error", 0.0, "0.00 %"),
        ("latency_ms", 1.23456, "1.235 ms"),
        ("throughput_ips", 1234.5678, "1234.568 images/s"),
        ("parameters", 269722, "269,722"),
        ("cost", 0.345, "0.345"),
        ("flop_per_s", 137_427_312_522.0, "137.427 GFLOP/s"),
        ("energy_j", None, "n/a"),
        ("of_the_user", 0.123456, "0.1235"),
    ],
)
def test_numbers_are_shown_with_their_unit(name: str, value: float | None, text: str) -> None:
    assert shown(name, value) == text


def test_cost_ratios_are_below_one_for_the_better_network() -> None:
    assert cost_ratio("latency_ms", 5.0, 10.0) == 0.5
    assert cost_ratio("throughput_ips", 200.0, 100.0) == 0.5


def test_physical_metrics_carry_their_unit_in_their_name() -> None:
    suffixes = {"ms": "_ms", "s": "_s", "MB": "_mb", "J": "_j", "W": "_w", "images/s": "_ips", "FLOP/s": "_per_s"}
    assert [m.name for m in METRICS.values() if m.unit and not m.name.endswith(suffixes[m.unit])] == []


def test_rates_alone_are_better_when_larger() -> None:
    assert [name for name, m in METRICS.items() if m.direction is Direction.MAXIMIZE] == [
        "throughput_ips",
        "flop_per_s",
    ]


def test_the_twelve_of_the_thesis_are_there_in_its_three_groups() -> None:
    """S1.01 to S1.13, under the names that files have them by."""
    twelve = {
        "predictive": ["top1_error", "top5_error"],
        "indirect": ["parameters", "size_mb", "flops"],
        "direct": ["flop_per_s", "throughput_ips", "latency_ms", "load_ms", "init_s", "energy_j", "power_w"],
    }
    assert {
        group: [name for name in names if METRICS[name].group == group] for group, names in twelve.items()
    } == twelve
    assert all(METRICS[name].description for names in twelve.values() for name in names)


def test_an_interval_of_a_share_of_images_stays_within_0_and_1() -> None:
    assert interval("top1_error", 0.003, 0.004)[0] == 0.0
    assert interval("top1_error", 0.999, 0.004)[1] == 1.0
    low, high = interval("latency_ms", 0.003, 0.004)
    assert (low, high) == pytest.approx((0.003 - 1.959964 * 0.004, 0.003 + 1.959964 * 0.004))
