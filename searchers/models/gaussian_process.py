"""Gaussian processes whose covariance is a sum of fixed kernels: only the kernels' variances and the noise are fitted.

C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006: prediction is algorithm 2.1, the
gradient of the evidence equation 5.9. With no length to be fitted, the kernels' matrices are computed once for all
quantities that are modelled over the same inputs, and a fit begins at the same place each time: the same data give the
same model.

| symbol | meaning |
|---|---|
| inputs | (n, d), shared by all quantities |
| values | (n,) of one quantity, brought to mean 0 and standard deviation 1 within |
| variances | (kernels,) of the standardised values |
| stack | (kernels, n, m): the matrix of every kernel |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

LEAST_NOISE = 1e-4
"""Least variance of the noise, of the standardised values: without any, policies that are nearly alike make the fit
hang."""
OWN_NOISE = 0.01  # variance of the noise that is expected before any data, of the standardised values or of logits
WIDTH = 2.0  # standard deviation of the prior of every log variance: a factor of 7 either way
ITERATIONS = 40  # of the fit; what matters has settled by then
Data = tuple[np.ndarray, np.ndarray]  # values (n,) and the known variances (n,) of their noise


@dataclass(frozen=True)
class Kernel:
    """A covariance of about unit size."""

    matrix: Callable[[np.ndarray, np.ndarray], np.ndarray]  # covariances (n, m) of inputs (n, d) and (m, d)
    diagonal: Callable[[np.ndarray], np.ndarray]  # variances (n,) of inputs (n, d)
    prior: float = 1.0  # the variance that is expected of it before any data; 0 where it is not used
    remainder_prior: float = 0.0  # likewise of what harms of layers do not explain (harm_process), in squared logits


@dataclass(frozen=True)
class Candidates:
    """Inputs (m, d) to predict at, their kernels' matrices with the data (kernels, m, n) and alone (kernels, m)."""

    inputs: np.ndarray
    cross: np.ndarray
    prior: np.ndarray

    def under(self, used: np.ndarray) -> Candidates:
        """The same under some of the kernels."""
        return Candidates(self.inputs, self.cross[used], self.prior[used])


class SharedInputs:
    """Inputs (n, d) with the kernels' matrices over them, for all quantities that are modelled.

    They are computed for all inputs at once: in parts, a product's last digit would depend on where they were parted,
    and a restart would not go on exactly as it was.
    """

    def __init__(self, kernels: Sequence[Kernel], inputs: np.ndarray) -> None:
        self.inputs, self._kernels = inputs, kernels
        self.stack = np.array([kernel.matrix(inputs, inputs) for kernel in kernels])

    def candidates(self, inputs: np.ndarray) -> Candidates:
        """Inputs (m, d) to predict at."""
        cross = np.array([kernel.matrix(inputs, self.inputs) for kernel in self._kernels])
        return Candidates(inputs, cross, np.array([kernel.diagonal(inputs) for kernel in self._kernels]))


@dataclass(frozen=True)
class GaussianProcess:
    """A process given its data: `chol` is the lower factor of their covariance, `weights` solve it for the values."""

    variances: np.ndarray
    chol: np.ndarray
    weights: np.ndarray
    mean: float
    scale: float

    @staticmethod
    def of(stack: np.ndarray, variances: np.ndarray, own_noise: float, data: Data) -> GaussianProcess:
        """The process with these variances, given the data."""
        values, noise = data
        y, mean, scale = standardised(values)
        total = np.tensordot(variances, stack, 1)
        total[np.diag_indices_from(total)] += noise / scale**2 + own_noise + LEAST_NOISE
        chol, _ = cho_factor(total, lower=True, check_finite=False)
        return GaussianProcess(variances, np.tril(chol), cho_solve((chol, True), y, check_finite=False), mean, scale)

    def predict(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (m,) of the noise-free function."""
        cross = np.tensordot(self.variances, candidates.cross, 1)
        reduced = solve_triangular(self.chol, cross.T, lower=True, check_finite=False)
        variance = np.maximum(self.variances @ candidates.prior - np.sum(reduced**2, axis=0), 1e-12)
        return self.mean + self.scale * (cross @ self.weights), self.scale * np.sqrt(variance)


def standardised(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Values (n,) with mean 0 and deviation 1, that mean and that deviation; constant ones are only centred."""
    mean, scale = float(np.mean(values)), float(np.std(values))
    scale = scale if scale > 1e-12 * max(1.0, abs(mean)) else 1.0
    return (values - mean) / scale, mean, scale


def fitted(stack: np.ndarray, priors: np.ndarray, data: Data) -> tuple[np.ndarray, float]:
    """Variances (kernels,) of largest posterior density and the noise's own, of the standardised values.

    Variances `priors` (kernels,) are expected; the noise that is fitted is added to the known one.
    """
    values, noise = data
    y, _, scale = standardised(values)
    prior = np.log([*priors, OWN_NOISE])
    given = (stack.reshape(len(stack), -1), y, noise / scale**2, prior)
    bounds, options = [(centre - 8.0, centre + 8.0) for centre in prior], {"maxiter": ITERATIONS}
    found = minimize(negative_log_posterior, prior, given, "L-BFGS-B", jac=True, bounds=bounds, options=options)
    variances = np.exp(found.x)
    return variances[:-1], float(variances[-1])


def negative_log_posterior(
    log_variances: np.ndarray, stack: np.ndarray, y: np.ndarray, known: np.ndarray, prior: np.ndarray
) -> tuple[float, np.ndarray]:
    """Minus the log of evidence times prior, but for a constant, and its gradient.

    The log variances (kernels + 1,) have normal priors with means `prior`, and the noise's comes last. The stack has
    each kernel's matrix in a row, (kernels, n n); y are standardised values (n,), or logits less their prior mean
    (harm_process), `known` the variances of their noise.
    """
    variances, identity = np.exp(log_variances), np.eye(len(y))
    total = (variances[:-1] @ stack).reshape(identity.shape) + np.diag(known + variances[-1] + LEAST_NOISE)
    factor = cho_factor(total, lower=True, check_finite=False)
    inverse = cho_solve(factor, identity, check_finite=False)
    weights = inverse @ y
    off = log_variances - prior
    value = 0.5 * y @ weights + np.sum(np.log(np.diag(factor[0]))) + 0.5 * np.sum((off / WIDTH) ** 2)
    slope = inverse - np.outer(weights, weights)
    traces = np.append(stack @ slope.ravel(), np.trace(slope))
    return float(value), 0.5 * variances * traces + off / WIDTH**2
