"""Coefficients by hand and by scipy, their intervals by simulation, and when there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from moco.comparison.correlation.coefficients import Coefficient, pearson, spearman
from moco.randomness import generator


def columns(*given: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """x = 1, 2, 3, … and the given y."""
    return np.arange(1.0, len(given) + 1), np.array(given)


def test_a_small_example_by_hand() -> None:
    """Of x = 1 … 5 and y = 2, 1, 4, 3, 5: sums of products 8, of squares 10 and 10, so r = 0.8; d² = 4, r_s = 0.8."""
    x, y = columns(2, 1, 4, 3, 5)
    linear, ranked = pearson(x, y), spearman(x, y)
    assert (linear.value, ranked.value) == pytest.approx((0.8, 0.8))
    # atanh 0.8 = 1.098612; 1.959964/√2 = 1.385904; √(1.32/2) · 1.959964 = 1.592283
    assert (linear.low, linear.high) == pytest.approx((math.tanh(-0.287292), math.tanh(2.484516)), abs=1e-6)
    assert (ranked.low, ranked.high) == pytest.approx((math.tanh(-0.493671), math.tanh(2.690895)), abs=1e-6)
    assert linear.trials == ranked.trials == 5


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_scipy_finds_with_ties_too(seed: int) -> None:
    draws = generator(seed, "columns")
    x = draws.integers(0, 6, 30).astype(float)
    y = x + draws.normal(0, 2, 30)
    linear = pearsonr(x, y)
    interval = linear.confidence_interval(0.95)
    found = pearson(x, y)
    assert (found.value, found.low, found.high) == pytest.approx((linear.statistic, interval.low, interval.high))
    assert spearman(x, y).value == pytest.approx(spearmanr(x, y).statistic)


@pytest.mark.parametrize(("of", "truth"), [(pearson, 0.6), (spearman, 6 / math.pi * math.asin(0.3))])
def test_intervals_cover_the_truth_as_often_as_they_say(of: Callable[..., Coefficient], truth: float) -> None:
    """Normal pairs with r = 0.6, whose r_s is 6/π asin(r/2); 2000 samples of 25, standard error of the share 0.5 %."""
    draws, covered, count = generator(7, "coverage"), 0, 2000
    for _ in range(count):
        x, noise = draws.normal(size=(2, 25))
        found = of(x, 0.6 * x + 0.8 * noise)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert covered / count == pytest.approx(0.95, abs=0.015)


def test_a_missing_value_leaves_its_pair_out() -> None:
    x, y = columns(2, 1, 4, 3, 5, 99)
    x[5] = np.nan
    assert pearson(x, y) == pearson(*columns(2, 1, 4, 3, 5))


@pytest.mark.parametrize("of", [pearson, spearman])
def test_where_there_is_none_the_reason_is_told(of: Callable[..., Coefficient]) -> None:
    few = of(*columns(1, 3, 2))
    assert (few.value, few.trials, few.reason) == (None, 3, "4 networks with both are needed, found 3")
    same = of(*columns(0.1, 0.1, 0.1, 0.1), ("latency_ms", "size_mb"))
    assert (same.value, same.low, same.reason) == (None, None, "size_mb constant")


def test_a_linear_function_is_exact_and_a_perfect_order_has_no_interval() -> None:
    x, y = columns(2, 4, 6, 8, 10)
    assert (pearson(x, -y).value, pearson(x, -y).low, pearson(x, -y).high) == (-1, -1, -1)
    ordered = spearman(x, y**3)
    assert (ordered.value, ordered.low, ordered.high) == (1, None, None)
    assert "perfect order" in (ordered.reason or "")
