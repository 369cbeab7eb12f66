from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from moco.pareto import hypervolume, non_dominated
from moco.searchers.models.acquisition import directions, expected_improvement

RNG = np.random.default_rng


def gained(front: np.ndarray, point: np.ndarray, r: np.ndarray) -> float:
    """The difference of two hypervolumes."""
    return hypervolume(np.vstack([front, point]), r) - hypervolume(front, r)


@pytest.mark.parametrize("losses", [1, 2])
def test_a_known_point_gains_the_difference_of_hypervolumes(losses: int) -> None:
    rng = RNG(0)
    points = rng.random((12, losses))
    front, r = points[non_dominated(points)], np.full(losses, 0.9)
    candidates = rng.random((50, losses)) * 1.1
    found = expected_improvement(candidates[None], np.ones((1, 50), dtype=bool), front, r, directions(losses, rng))
    np.testing.assert_allclose(found, [gained(front, point, r) for point in candidates], atol=1e-12)


def test_three_losses_gain_about_that() -> None:
    rng = RNG(0)
    points = rng.random((20, 3))
    front, r = points[non_dominated(points)], np.ones(3)
    candidates = rng.random((30, 3)) * 0.6
    met = np.ones((1, 30), dtype=bool)
    found = np.mean(
        [expected_improvement(candidates[None], met, front, r, directions(3, RNG(seed))) for seed in range(40)], axis=0
    )
    np.testing.assert_allclose(found, [gained(front, point, r) for point in candidates], rtol=0.25, atol=0.004)


def test_three_losses_of_unlike_units_gain_alike() -> None:
    """Errors, milliseconds and FLOPs: what is nearest to enlarging the front does not depend on the units (W13)."""
    rng = RNG(1)
    points, candidates = rng.random((20, 3)), rng.random((30, 3)) * 0.7
    along, met = directions(3, rng), np.ones((1, 30), dtype=bool)

    def found(units: np.ndarray) -> np.ndarray:
        front = points[non_dominated(points)] * units
        return expected_improvement(candidates[None] * units, met, front, units, along) / np.prod(units)

    np.testing.assert_allclose(found(np.array([1.0, 50.0, 1e9])), found(np.ones(3)), rtol=1e-9)


def test_units_do_not_matter_either_where_no_point_lies_below_the_reference() -> None:
    front, along = np.array([[0.2, 20.0, 2e9]]), directions(3, RNG(0))
    candidates, r = np.array([[[0.5, 25.0, 9e8], [0.5, 25.0, 1e8]]]), np.array([1.0, 50.0, 1e9])
    units = np.array([1.0, 1.0, 1e9])
    met = np.ones((1, 2), dtype=bool)
    far = expected_improvement(candidates, met, front, r, along)
    near = expected_improvement(candidates / units, met, front / units, r / units, along) * 1e9
    np.testing.assert_allclose(far, near, rtol=1e-9)
    assert far[1] > 5 * far[0]


def test_the_mean_of_one_normal_loss_is_the_closed_form() -> None:
    """EI = sd (z Phi(z) + phi(z)) with z = (best - mean) / sd (Jones, Schonlau and Welch, 1998, equation 15)."""
    draws = 0.5 + 0.2 * norm.ppf((np.arange(4000) + 0.5) / 4000)
    found = expected_improvement(
        draws[:, None, None], np.ones((4000, 1), bool), np.array([[0.4]]), np.ones(1), directions(1, RNG(0))
    )
    z = (0.4 - 0.5) / 0.2
    assert found[0] == pytest.approx(0.2 * (z * norm.cdf(z) + norm.pdf(z)), rel=1e-3)


def test_draws_that_miss_a_constraint_gain_nothing() -> None:
    samples, met = np.zeros((4, 1, 2)), np.array([[True], [False], [False], [False]])
    found = expected_improvement(samples, met, np.empty((0, 2)), np.ones(2), directions(2, RNG(0)))
    assert found[0] == pytest.approx(0.25)


def test_an_empty_front_gains_the_whole_volume() -> None:
    met = np.ones((1, 1), dtype=bool)
    assert (
        expected_improvement(np.full((1, 1, 2), 0.5), met, np.empty((0, 2)), np.ones(2), directions(2, RNG(0)))[0]
        == 0.25
    )
    octant = expected_improvement(np.full((1, 1, 3), 0.5), met, np.empty((0, 3)), np.ones(3), directions(3, RNG(0)))[0]
    assert math.isclose(octant, 0.125, rel_tol=0.3)
