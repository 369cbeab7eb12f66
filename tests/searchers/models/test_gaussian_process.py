"""Predictions and gradients are checked against scikit-learn's process and against differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.optimize import check_grad
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel
from sklearn.gaussian_process.kernels import Matern as TheirMatern

from moco.searchers.models.gaussian_process import (
    LEAST_NOISE,
    GaussianProcess,
    Kernel,
    SharedInputs,
    fitted,
    negative_log_posterior,
    standardised,
)
from moco.searchers.models.kernels import constant, linear, matern, mean, spline

ALL = ((0,), (1,), (2,))
KERNELS = {
    "constant": constant(),
    "linear": linear((0, 1, 2)),
    "spline": spline((0, 1, 2)),
    "mean": mean((0, 1)),
    "matern": matern(ALL, 0.7),
}


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(0).random((12, 3))


@pytest.fixture
def values(inputs: np.ndarray) -> np.ndarray:
    return np.sin(3 * inputs[:, 0]) + inputs[:, 1] ** 2


def test_it_predicts_what_scikit_learn_predicts(inputs: np.ndarray, values: np.ndarray) -> None:
    shared = SharedInputs((matern(ALL, 0.7),), inputs)
    noise = np.full(len(values), 0.02)
    process = GaussianProcess.of(shared.stack, np.array([1.5]), 0.0, (values, noise))
    y, mean, scale = standardised(values)
    kernel = ConstantKernel(1.5, "fixed") * TheirMatern(0.7, "fixed", nu=2.5)
    theirs = GaussianProcessRegressor(kernel, alpha=0.02 / scale**2 + LEAST_NOISE, optimizer=None).fit(inputs, y)
    others = np.random.default_rng(1).random((7, 3))
    found, expected = process.predict(shared.candidates(others)), theirs.predict(others, return_std=True)
    np.testing.assert_allclose(found[0], mean + scale * expected[0], rtol=1e-9)
    np.testing.assert_allclose(found[1], scale * expected[1], rtol=1e-7)


def test_the_gradient_is_that_of_the_density(inputs: np.ndarray, values: np.ndarray) -> None:
    stack = np.array([kernel.matrix(inputs, inputs).ravel() for kernel in KERNELS.values()])
    prior = np.zeros(len(KERNELS) + 1)
    rest = (stack, standardised(values)[0], np.full(len(values), 0.01), prior)
    at = np.random.default_rng(2).normal(size=len(prior))
    off = check_grad(
        lambda x: negative_log_posterior(x, *rest)[0], lambda x: negative_log_posterior(x, *rest)[1], at, epsilon=1e-6
    )
    assert off < 1e-4 * np.linalg.norm(negative_log_posterior(at, *rest)[1])


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
def test_every_kernel_is_a_covariance(kernel: Kernel, inputs: np.ndarray) -> None:
    matrix = kernel.matrix(inputs, inputs)
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), kernel.diagonal(inputs))
    assert np.linalg.eigvalsh(matrix).min() > -1e-9


def test_the_spline_is_the_integrated_wiener_process() -> None:
    """Its covariance is 3 times the integral of (x - u)+ (z - u)+ over u."""
    u = np.linspace(0, 1, 200_001)
    expected = 3 * trapezoid(np.maximum(0.3 - u, 0) * np.maximum(0.8 - u, 0), u)
    found = spline((0,)).matrix(np.array([[0.3]]), np.array([[0.8]]))[0, 0]
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_fit_finds_which_kernel_made_the_values() -> None:
    inputs = np.random.default_rng(3).random((60, 3))
    kernels = (constant(), linear((2,)), matern(((0,),), 0.3))
    stack = np.array([kernel.matrix(inputs, inputs) for kernel in kernels])
    values = 2 * inputs[:, 2] + np.random.default_rng(4).normal(0, 0.05, 60)
    variances, noise = fitted(stack, np.ones(3), (values, np.zeros(60)))
    assert variances[1] > 20 * variances[2]
    assert noise * np.var(values) == pytest.approx(0.05**2, rel=0.5)


def test_constant_values_are_survived(inputs: np.ndarray) -> None:
    shared = SharedInputs(list(KERNELS.values()), inputs)
    data = np.full(len(inputs), 7.0), np.zeros(len(inputs))
    variances, own = fitted(shared.stack, np.ones(len(KERNELS)), data)
    mean, sd = GaussianProcess.of(shared.stack, variances, own, data).predict(shared.candidates(inputs))
    np.testing.assert_allclose(mean, 7.0)
    assert np.isfinite(sd).all()
