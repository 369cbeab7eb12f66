from __future__ import annotations

import pytest

from moco.constraints import Bound, Constraint, parse, resolve
from moco.errors import ConfigError
from moco.trial import MetricValue

REFERENCE = {"top1_error": MetricValue(0.08), "latency_ms": MetricValue(10.0), "size_mb": MetricValue(2.0)}


@pytest.mark.parametrize(
    ("metric", "text", "expected"),
    [
        ("latency_ms", "<= 25 ms", Constraint("latency_ms", "<=", 25.0)),
        ("latency_ms", "<=25ms", Constraint("latency_ms", "<=", 25.0)),
        ("latency_ms", "  <= 25  ", Constraint("latency_ms", "<=", 25.0)),
        ("latency_ms", "<= 0.8x", Constraint("latency_ms", "<=", 0.8, "x")),
        ("latency_ms", "<= .8 x", Constraint("latency_ms", "<=", 0.8, "x")),
        ("size_mb", "<= 2.5e-1 MB", Constraint("size_mb", "<=", 0.25)),
        ("throughput_ips", ">= 100 images/s", Constraint("throughput_ips", ">=", 100.0)),
        ("energy_j", "<= 3 J", Constraint("energy_j", "<=", 3.0)),
        ("parameters", "<= 1e6", Constraint("parameters", "<=", 1e6)),
        ("top1_error", "<= 9 %", Constraint("top1_error", "<=", pytest.approx(0.09))),
        ("top1_error", "<= 0.09", Constraint("top1_error", "<=", 0.09)),
        ("top1_error", "<= +2 pp", Constraint("top1_error", "<=", 0.02, "pp")),
        ("top1_error", "<= -1pp", Constraint("top1_error", "<=", -0.01, "pp")),
        ("top1_accuracy", ">= 91 %", Constraint("top1_error", "<=", pytest.approx(0.09))),
        ("top1_accuracy", ">= 0.91", Constraint("top1_error", "<=", pytest.approx(0.09))),
        ("top1_accuracy", ">= -2 pp", Constraint("top1_error", "<=", 0.02, "pp")),
        ("top5_accuracy", "<= 99 %", Constraint("top5_error", ">=", pytest.approx(0.01))),
        ("of_the_user", "<= 3 apples", Constraint("of_the_user", "<=", 3.0)),
        ("of_the_user", "<= -3", Constraint("of_the_user", "<=", -3.0)),
        ("of_the_user", "<= +5 pp", Constraint("of_the_user", "<=", 0.05, "pp")),
    ],
)
def test_valid_constraints(metric: str, text: str, expected: Constraint) -> None:
    assert parse(metric, text) == expected


@pytest.mark.parametrize(
    ("metric", "text", "message"),
    [
        ("latency_ms", "25 ms", r"constraints\.latency_ms: expected 'OP NUMBER\[unit or x\]'.*got '25 ms'"),
        ("latency_ms", "< 25", "expected 'OP NUMBER"),
        ("latency_ms", "== 25", "expected 'OP NUMBER"),
        ("latency_ms", "<= fast", "expected 'OP NUMBER"),
        ("latency_ms", "<= nan", "expected 'OP NUMBER"),
        ("latency_ms", "<= 1 2", "expected 'OP NUMBER"),
        ("latency_ms", "", "expected 'OP NUMBER.*got ''"),
        ("latency_ms", 25, "expected 'OP NUMBER.*got 25"),
        ("latency_ms", None, "expected 'OP NUMBER.*got None"),
        ("latency_ms", "<= 25 MB", "unit 'MB' does not fit; 'latency_ms' is given in 'ms'"),
        ("latency_ms", "<= 25 %", "unit '%' does not fit"),
        ("latency_ms", "<= +2 pp", "unit 'pp' does not fit"),
        ("parameters", "<= 25 M", "unit 'M' does not fit; 'parameters' is given in 'a plain number'"),
        ("top1_accuracy", ">= 91", r"constraints\.top1_accuracy: an accuracy lies in 0\.\.1 or 0\.\.100 %, got 91"),
        ("top1_accuracy", ">= 101 %", "an accuracy lies in"),
        ("top1_accuracy", ">= 0.9x", "give an accuracy in '%' or 'pp', got 'x'"),
    ],
)
def test_invalid_constraints_say_what_was_expected(metric: str, text: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(metric, text)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 90, -0.5])
def test_a_confidence_is_a_probability(confidence: float) -> None:
    with pytest.raises(ConfigError, match=r"floor\.top1_error: a confidence lies between 0 and 1"):
        parse("top1_error", "<= 0.1", "floor", confidence=confidence)


@pytest.mark.parametrize(
    ("metric", "text", "value"),
    [
        ("latency_ms", "<= 0.8x", 8.0),
        ("latency_ms", "<= 7 ms", 7.0),
        ("top1_error", "<= +2 pp", 0.10),
        ("top1_error", "<= 1.5x", 0.12),
        ("top1_accuracy", ">= -2 pp", 0.10),
        ("top1_accuracy", ">= 91 %", 0.09),
    ],
)
def test_bounds_are_relative_to_the_reference(metric: str, text: str, value: float) -> None:
    assert resolve(parse(metric, text), REFERENCE).value == pytest.approx(value)


def test_a_relative_bound_needs_the_reference() -> None:
    with pytest.raises(
        ConfigError, match="relative to the reference, which has no such metric; did you mean 'size_mb'"
    ):
        resolve(parse("size_mbb", "<= 0.8x"), REFERENCE)


@pytest.mark.parametrize(
    ("bound", "measured", "violation"),
    [
        (Bound("latency_ms", "<=", 8.0), 10.0, 0.25),
        (Bound("latency_ms", "<=", 8.0), 6.0, -0.25),
        (Bound("throughput_ips", ">=", 100.0), 80.0, 0.2),
        (Bound("throughput_ips", ">=", 100.0), 150.0, -0.5),
        (Bound("loss", "<=", 0.0), 0.3, 0.3),
        (Bound("loss", "<=", -2.0), -1.0, 0.5),
        (Bound("loss", ">=", -2.0), -3.0, 0.5),
    ],
)
def test_violations_are_relative_to_the_bound(bound: Bound, measured: float, violation: float) -> None:
    assert bound.violation(MetricValue(measured)) == pytest.approx(violation)


@pytest.mark.parametrize("wrong", range(1, 1000, 37))
def test_a_bound_that_is_met_exactly_is_feasible(wrong: int) -> None:
    """Of 1,000 images: the accuracy that is asked for is the one that is reached, whatever the rounding of 1 - x."""
    bound = resolve(parse("top1_accuracy", f">= {100 - wrong / 10} %"), {})
    assert bound.violation(MetricValue(wrong / 1000)) == 0.0
    assert bound.violation(MetricValue((wrong + 1) / 1000)) > 0.0


def test_confidence_takes_the_pessimistic_bound() -> None:
    """z of 0.9 is 1.2816: 0.09 + 1.2816 * 0.01 = 0.102816."""
    upper = Bound("top1_error", "<=", 0.10, confidence=0.9)
    lower = Bound("throughput_ips", ">=", 100.0, confidence=0.9)
    assert upper.violation(MetricValue(0.09, sem=0.01)) == pytest.approx(0.02816, abs=1e-4)
    assert lower.violation(MetricValue(110.0, sem=10.0)) == pytest.approx(0.02816, abs=1e-4)


@pytest.mark.parametrize("bound", [Bound("e", "<=", 0.10, confidence=0.9), Bound("e", "<=", 0.10)])
def test_an_exact_value_needs_no_margin(bound: Bound) -> None:
    assert bound.violation(MetricValue(0.10)) == 0.0


def test_without_confidence_the_estimate_decides() -> None:
    assert Bound("e", "<=", 0.10).violation(MetricValue(0.10, sem=0.05)) == 0.0
