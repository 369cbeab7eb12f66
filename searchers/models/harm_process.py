"""A process of the logit of an error: harms that add up (`harm`), and smooth changes about them.

The coordinates z of the harms have standard normal priors, and their most likely values are found by least squares.
There the harms are taken as linear in z (a Laplace approximation by Gauss and Newton: A. Immer, M. Korzepa and
M. Bauer, "Improving predictions of Bayesian neural nets via local linearization", AISTATS 2021), which makes them one
more kernel of a Gaussian process:

    f(x) = m(x) + J(x) (z - z*) + g(x),      cov f(x), f(x') = J(x) J(x')' + sum_k v_k K_k(x, x')

with m and J the harms and their slopes at the most likely z*, and g the remainder, what harms do not explain. Its
variances v are those of largest posterior density, with the harms linear about what is most likely under the variances
that are expected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import least_squares, minimize

from moco.searchers.models.gaussian_process import (
    ITERATIONS,
    LEAST_NOISE,
    OWN_NOISE,
    Candidates,
    Data,
    negative_log_posterior,
)
from moco.searchers.models.harm import Harm

TOLERANCE = 1e-4  # relative, of the squares and of z: where the search for z* ends
EVALUATIONS = 60  # of the squares, in the search for z*, at most


@dataclass(frozen=True)
class HarmProcess:
    """The process given its data.

    Attributes:
        z: most likely coordinates (size,) of the harms.
        slopes: (n, size) of the data.
        variances: (kernels,) of the remainder.
        chol: (n, n) lower factor of the data's covariance.
        weights: (n,) the covariance's inverse times the logits less their prior mean.
    """

    harm: Harm
    z: np.ndarray
    slopes: np.ndarray
    variances: np.ndarray
    chol: np.ndarray
    weights: np.ndarray

    @staticmethod
    def of(
        harm: Harm, inputs: np.ndarray, stack: np.ndarray, variances: np.ndarray, own_noise: float, data: Data
    ) -> HarmProcess:
        """The process with these variances, given logits and the variances of their noise at inputs (n, width).

        `stack` (kernels, n, n) has the covariances of the remainder.
        """
        harm, logits = replace(harm, neutral_logit=float(np.min(data[0]))), data[0]
        remainder = _covariance(stack, variances, own_noise, data[1])
        z = most_likely(harm, inputs, logits, remainder)
        expected, slopes = harm.logits(z, inputs)
        chol = cholesky(slopes @ slopes.T + remainder, lower=True, check_finite=False)
        weights = cho_solve((chol, True), logits - expected + slopes @ z, check_finite=False)
        return HarmProcess(harm, z, slopes, variances, chol, weights)

    def predict(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (m,) of the noise-free logit."""
        expected, slopes = self.harm.logits(self.z, candidates.inputs)
        cross = slopes @ self.slopes.T + np.tensordot(self.variances, candidates.cross, 1)
        prior = np.sum(slopes**2, axis=1) + self.variances @ candidates.prior
        reduced = solve_triangular(self.chol, cross.T, lower=True, check_finite=False)
        variance = np.maximum(prior - np.sum(reduced**2, axis=0), 1e-12)
        return expected - slopes @ self.z + cross @ self.weights, np.sqrt(variance)


def fitted_remainder(
    harm: Harm, inputs: np.ndarray, stack: np.ndarray, priors: np.ndarray, data: Data
) -> tuple[np.ndarray, float]:
    """Variances (kernels,) of largest posterior density of the remainder, and the noise's own.

    Variances `priors` (kernels,) are expected, in squared logits.
    """
    harm, (logits, noise) = replace(harm, neutral_logit=float(np.min(data[0]))), data
    z = most_likely(harm, inputs, logits, _covariance(stack, priors, OWN_NOISE, noise))
    expected, slopes = harm.logits(z, inputs)
    prior = np.log([1.0, *priors, OWN_NOISE])
    kernels = np.array([slopes @ slopes.T, *stack])
    given = (kernels.reshape(len(kernels), -1), logits - expected + slopes @ z, noise, prior)
    bounds = [(prior[0], prior[0]), *((centre - 8.0, centre + 8.0) for centre in prior[1:])]
    found = minimize(
        negative_log_posterior, prior, given, "L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": ITERATIONS}
    )
    variances = np.exp(found.x)
    return variances[1:-1], float(variances[-1])


def most_likely(harm: Harm, inputs: np.ndarray, logits: np.ndarray, remainder: np.ndarray) -> np.ndarray:
    """Coordinates (size,) of largest posterior density, where `remainder` (n, n) is the covariance of all but harms."""
    factor = cholesky(remainder, lower=True, check_finite=False)

    @lru_cache(maxsize=2)  # the slopes are asked for where the misses were
    def expected(z: bytes) -> tuple[np.ndarray, np.ndarray]:
        return harm.logits(np.frombuffer(z), inputs)

    def misses(z: np.ndarray) -> np.ndarray:
        return np.append(solve_triangular(factor, expected(z.tobytes())[0] - logits, lower=True), z)

    def slopes(z: np.ndarray) -> np.ndarray:
        return np.vstack([solve_triangular(factor, expected(z.tobytes())[1], lower=True), np.eye(harm.size)])

    start, ends = np.zeros(harm.size), {"ftol": TOLERANCE, "xtol": TOLERANCE, "max_nfev": EVALUATIONS}
    return np.asarray(least_squares(misses, start, slopes, method="lm", **ends).x)


def _covariance(stack: np.ndarray, variances: np.ndarray, own_noise: float, noise: np.ndarray) -> np.ndarray:
    total = np.tensordot(variances, stack, 1)
    total[np.diag_indices_from(total)] += noise + own_noise + LEAST_NOISE
    return np.asarray(total)
