from __future__ import annotations

import numpy as np
import pytest

from moco.errors import MeasurementError
from moco.measurement import Measurement, TimingPlan

EXACT = TimingPlan(reopening_sd=0.0)


def measured(pairs: np.ndarray, plan: TimingPlan = EXACT) -> Measurement:
    return Measurement(plan, ((1.0,) * len(pairs), tuple(pairs)))


def test_too_few_slots_are_refused() -> None:
    with pytest.raises(MeasurementError, match="got 5: raise `min_slots`"):
        measured(np.ones(5)).ratio()


def test_the_interval_is_that_of_the_order_statistics() -> None:
    """The bootstrap of a median has a closed form: at n = 15 the expanded 95 % interval is the 4th to the 12th ratio.

    P(resampled median <= k-th ratio) = P(Binomial(15, k/15) >= 8) passes the expanded 1.3 % between k = 3 (0.4 %) and
    k = 4 (2.9 %), and 98.7 % between k = 11 (97.1 %) and k = 12 (99.6 %).
    """
    ratio = measured(np.linspace(0.8, 1.2, 15)).ratio()
    assert ratio.value == pytest.approx(1.0)
    assert (ratio.low, ratio.high) == pytest.approx((0.8 + 0.4 / 14 * 3, 0.8 + 0.4 / 14 * 11))


def test_the_same_samples_give_the_same_interval() -> None:
    pairs = np.random.default_rng(0).normal(1, 0.02, 20)
    assert measured(pairs).ratio() == measured(pairs).ratio()


def test_pairs_are_formed_within_rounds() -> None:
    reference = tuple(float(2**n) for n in range(8))
    candidate = tuple(time / 2 for time in reference)
    ratio = Measurement(EXACT, (reference, candidate)).ratio()
    assert (ratio.low, ratio.value, ratio.high) == (0.5, 0.5, 0.5)


def test_one_slow_slot_does_not_move_the_ratio() -> None:
    assert measured(np.array([1.0] * 14 + [9.0])).ratio().value == 1.0


def test_opening_files_anew_widens_an_interval_without_noise() -> None:
    ratio = measured(np.full(15, 0.5), TimingPlan(reopening_sd=0.01)).ratio()
    assert ratio.sem == pytest.approx(0.005, rel=0.1)
    # The expanded tails at n = 15 lie 2.22 standard deviations out, where a plain interval's lie at 1.96.
    assert (ratio.low, ratio.high) == pytest.approx((0.5 - 0.0111, 0.5 + 0.0111), abs=1e-3)


@pytest.mark.parametrize("n", [15, 21, 60])
@pytest.mark.parametrize("noise", ["normal", "heavy"])
@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(n: int, noise: str) -> None:
    rng = np.random.default_rng(7)
    draws = rng.standard_normal((500, n)) if noise == "normal" else rng.standard_t(2, (500, n))
    share = np.mean([measured(np.exp(0.02 * pairs)).ratio().holds(1.0) for pairs in draws])
    # Of the median's order statistics 95.0 to 96.5 % by the binomial; the standard error of the share is 1 %.
    assert 0.92 <= share <= 0.99


@pytest.mark.parametrize("n", [15, 60])
@pytest.mark.slow
def test_the_standard_error_is_that_of_the_median(n: int) -> None:
    rng = np.random.default_rng(8)
    estimates = [measured(np.exp(0.02 * pairs)).ratio() for pairs in rng.standard_normal((500, n))]
    spread = np.std([estimate.value for estimate in estimates])
    assert np.mean([estimate.sem for estimate in estimates]) == pytest.approx(spread, rel=0.2)


def test_spread_is_the_middle_half_of_the_ratios() -> None:
    assert measured(np.linspace(0.8, 1.2, 41)).spread() == pytest.approx(0.2)
