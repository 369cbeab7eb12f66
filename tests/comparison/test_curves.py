"""Anytime curves of runs made by hand, golden values, and bands against a second implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moco.comparison.curves import (
    band,
    first_beyond_starts,
    first_feasible,
    hypervolume_curve,
    pooled_reference_point,
    score_curve,
)
from moco.randomness import generator
from moco.run_folder.result import TrialsAndSeconds
from tests.comparison.made_runs import failed, trial

RUN = [
    trial(0, (0.2, 0.9), feasible=False),
    trial(1, (0.8, 0.6)),
    failed(2),
    trial(3, (0.5, 0.7), stored=True),
    trial(4, (0.9, 0.9)),
    trial(5, (0.5, 0.2)),
]
"""An infeasible trial, a front of two, a failed one, a dominated one, and one that beats all."""


def test_the_best_feasible_score_after_each_trial() -> None:
    curve = score_curve(RUN)
    assert curve.values.tolist() == pytest.approx([-math.inf, -1.4, -1.4, -1.2, -1.2, -0.7])
    assert curve.before == -math.inf


def test_the_hypervolume_after_each_trial_by_hand() -> None:
    """Reference (1, 1): 0.2 x 0.4; with (0.5, 0.7) added 0.3 x 0.3; then 0.5 x 0.8 alone."""
    curve = hypervolume_curve(RUN, (1.0, 1.0))
    assert curve.values.tolist() == pytest.approx([0, 0.08, 0.08, 0.17, 0.17, 0.4])
    assert curve.before == 0.0


def test_the_clock_is_the_charged_one() -> None:
    assert score_curve(RUN).seconds.tolist() == pytest.approx([1.1, 2.2, 4.2, 5.3, 6.4, 7.5])


def test_a_curve_is_a_step_function_that_keeps_its_last_value() -> None:
    curve = score_curve(RUN)
    assert curve.after_trials(np.array([0, 1, 2, 6, 99])).tolist() == pytest.approx(
        [-math.inf, -math.inf, -1.4, -0.7, -0.7]
    )
    found = curve.at_seconds(np.array([0.0, 2.19, 2.2, 5.0, 100.0]))
    assert found.tolist() == pytest.approx([-math.inf, -math.inf, -1.4, -1.4, -0.7])


def test_given_starts_are_known_before_the_first_trial() -> None:
    run = [trial(0, (0.8, 0.6), start="policy best", given=True), trial(1, (0.9, 0.9)), trial(2, (0.5, 0.2))]
    score, volume = score_curve(run), hypervolume_curve(run, (1.0, 1.0))
    assert (score.before, score.values.tolist()) == (-1.4, pytest.approx([-1.4, -0.7]))
    assert (volume.before, volume.values.tolist()) == (pytest.approx(0.08), pytest.approx([0.08, 0.4]))
    assert score.seconds.tolist() == pytest.approx([1.1, 2.2])
    assert first_feasible(run) == TrialsAndSeconds(trials=0, seconds=0.0)


def test_when_the_first_feasible_trial_was_over() -> None:
    found = first_feasible(RUN)
    assert found is not None
    assert (found.trials, found.seconds) == (2, pytest.approx(2.2))
    assert first_feasible(RUN[:1]) is None


def test_when_the_searcher_first_beat_the_start() -> None:
    starts = [trial(0, (0.5, 0.5), start="reference"), trial(1, (0.1, 0.1), feasible=False, start="ladder 1")]
    assert first_beyond_starts([*starts, trial(2, (0.5, 0.5)), trial(3, (0.2, 0.2), feasible=False)]) is None
    found = first_beyond_starts([*starts, trial(2, (0.9, 0.5)), trial(3, (0.4, 0.5)), trial(4, (0.1, 0.1))])
    assert found is not None
    assert found.trials == 4


def test_the_pooled_reference_point_lies_beyond_all_feasible_losses() -> None:
    point = pooled_reference_point([RUN, [trial(0, (0.1, 0.3))]])
    assert point == pytest.approx((0.9 + 0.1 * 0.8, 0.9 + 0.1 * 0.7))
    assert pooled_reference_point([RUN[:1]]) is None
    (alone,) = {pooled_reference_point([[trial(0, (2.0, 0.0))]])}
    assert alone == pytest.approx((2.2, 0.1))


def test_a_band_is_the_percentile_bootstrap_of_the_median() -> None:
    values = generator(0, "values").normal(size=(7, 3))
    median, low, high = band(values, seed=5)
    rows = generator(5, "bootstrap").integers(7, size=(1000, 7))
    medians = np.sort([np.median(values[row], axis=0) for row in rows], axis=0)
    assert median.tolist() == pytest.approx(np.median(values, axis=0).tolist())
    assert low.tolist() == medians[24].tolist()
    assert high.tolist() == medians[974].tolist()


def test_a_band_of_many_points_is_that_of_each_point() -> None:
    """Points are taken some at a time, always with the same resamples."""
    values = generator(1, "values").normal(size=(5, 150))
    whole = band(values, seed=0)
    for place in (0, 63, 64, 149):
        one = band(values[:, place : place + 1], seed=0)
        assert [line[place] for line in whole] == [line[0] for line in one]


def test_runs_that_found_nothing_lower_the_band_and_break_nothing() -> None:
    values = np.array([[-math.inf, 1.0], [-math.inf, 2.0], [-math.inf, -math.inf], [0.5, 3.0]])
    median, low, high = band(values, seed=0)
    assert median.tolist() == [-math.inf, 1.5]
    assert low.tolist() == [-math.inf, -math.inf]
    assert high[1] == 3.0
    assert not np.isnan([*low, *high]).any()


def test_the_band_covers_the_true_median_about_as_often_as_it_says() -> None:
    """Of 15 normal runs: 95 % nominally; the percentile bootstrap of a median is known to be somewhat off."""
    rng, hits = generator(3, "coverage"), 0
    for seed in range(200):
        _, low, high = band(rng.normal(size=(15, 1)), seed)
        hits += bool(low[0] <= 0 <= high[0])
    assert hits >= 180
