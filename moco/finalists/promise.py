"""What error a compressed network will have after so many steps of training, learned from those that were trained.

Untrained accuracy says little: after half of its blocks are gone a network answers by chance, and a few epochs later
as well as before. Two laws that hold widely take its place. The error that a training tends to grows as a power of the
capacity that was taken (Hestness et al. 2017, Rosenfeld et al. 2020), and the rest of the way there, in logarithms of
the error, shrinks as a power of the steps:

    limit(p) = e_ref * prod_i ratio_i(p) ** w_i        ratio_i: reference to network, of macs, parameters, and bits
    error(p, n) = limit * (untrained / limit) ** ((1 + n / n_0) ** -a)

In logarithms, since the same steps then tell of networks that err on 1 % and on 10 %: docs/finalists.md has what both
forms were off by, on digits and on CIFAR-10.

The exponents, n_0 and a are few, positive, and known roughly, so they have priors; what was trained in this search
moves them. They are fitted by least squares to all scores (the maximum a posteriori), their uncertainty is that of the
linearised model (Laplace). How far a network that was trained itself is off the law is carried to its further steps, as
far as its score can be trusted, and less the more of its way was left (in the manner of freeze-thaw, Swersky et al.
2014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from moco.compression.costs import CAPACITY_EXPONENTS

PRIOR_MEANS = np.log([*CAPACITY_EXPONENTS, 120.0, 1.1])
"""Of the logarithms of the exponents of macs, parameters and bits (0.17, 0.28, 0.15), of n_0 in steps and of a.

They fit 22 trainings of docs/finalists.md to 0.3 points (root mean square), ResNet-56 without 5 to 14 of its branches,
600 to 4,000 steps each: branches with few parameters are missed less than others of as many macs.
Where both fall by the same factor, published errors grow as its power of 0.17 to 0.29: ResNet-110 to ResNet-20 on
CIFAR-10 (6.4 % to 8.8 %, He et al. 2015), MobileNetV2 1.0 to 0.5 (28.0 % to 34.6 %, Sandler et al. 2018) and ResNet-50
to ResNet-18 on ImageNet; those were trained anew, ten times as long as a finalist is. Weights of 4 bits cost ResNet-56
a tenth of its error (docs/compression.md). Small networks on digits are quicker (n_0 of 20) and miss less (powers of
0.07 and 0.05), each some two deviations off: a search's own scores have to move them there.
"""
PRIOR_SDS = np.array([0.5, 0.7, 0.8, 0.8, 0.3])
MODEL_SD = 0.035
"""How far networks lie off the law, as a share of their error."""
WAY_SD = 0.5
"""How far a score is off it that was taken on the way, as a share of what further steps would still take.

Of ten trainings of like networks the scores after 300 to 500 steps told nothing of those after 3,500.
"""
FOREVER = 10**9
"""Steps after which a training is at its limit."""
LEAST_ERROR = 1e-4


@dataclass(frozen=True)
class Untrained:
    """A compressed network before its training: what it gives, and what was taken from it."""

    error: float  # top-1 on the search split, of the network as the search has scored it
    ratios: tuple[float, float, float]  # reference to network: macs, parameters, and bits of a product, each >= 1


@dataclass(frozen=True)
class Score:
    """What a network had after a training of so many steps, counted from the untrained one."""

    network: Untrained
    steps: int
    error: float
    sem: float  # standard error of its difference to the reference's


@dataclass(frozen=True)
class Forecast:
    """An error to come, and its standard deviation."""

    error: float
    sd: float


@dataclass(frozen=True)
class Offset:
    """How far a network that was trained lies off the law, in logarithms of its error."""

    lasting: float
    passing: float  # a unit of what further steps would still take
    covariance: tuple[tuple[float, float], tuple[float, float]]  # of both

    def at(self, left: float) -> tuple[float, float]:
        """The offset where so much is left, and its variance."""
        (lasting, both), (_, passing) = self.covariance
        return self.lasting + self.passing * left, lasting + 2 * left * both + left**2 * passing


UNKNOWN = Offset(0.0, 0.0, ((MODEL_SD**2, 0.0), (0.0, WAY_SD**2)))
"""Of a network that was not trained."""


class Promise:
    """The law, fitted to the scores of one search."""

    def __init__(self, reference_error: float, scores: Sequence[Score] = ()) -> None:
        """Fit it; `reference_error` is the uncompressed network's, on the images of the scores, and not 0 by luck."""
        self.reference_error = max(reference_error, LEAST_ERROR)
        self._theta, self._covariance = self._fitted(scores)
        self._offsets = {score.network: self._offset(score) for score in sorted(scores, key=lambda s: s.steps)}

    def forecast(self, network: Untrained, steps: int) -> Forecast:
        """Its error after so many steps in all; of one that was trained, on top of what it has shown."""
        mean, slopes = self._log_error(self._theta, network, steps), self._slopes(network, steps)
        off, variance = self._offsets.get(network, UNKNOWN).at(self._left(self._theta, network, steps))
        sd = math.sqrt(float(slopes @ self._covariance @ slopes) + variance)
        error = math.exp(mean + off)
        return Forecast(error, error * sd)

    def _offset(self, score: Score) -> Offset:
        """How far the network is off the law: what was seen, divided by how far each of its causes reaches."""
        seen = math.log(_seen(score)) - self._log_error(self._theta, score.network, score.steps)
        left = self._left(self._theta, score.network, score.steps)
        reach = np.array([MODEL_SD**2, WAY_SD**2 * left])
        gain = reach / (MODEL_SD**2 + (WAY_SD * left) ** 2 + _noise(score))
        (lasting, both), (_, passing) = np.diag([MODEL_SD**2, WAY_SD**2]) - np.outer(gain, reach)
        return Offset(gain[0] * seen, gain[1] * seen, ((lasting, both), (both, passing)))

    def _fitted(self, scores: Sequence[Score]) -> tuple[np.ndarray, np.ndarray]:
        """The parameters and their covariance."""
        targets = np.log([_seen(score) for score in scores])
        ways = [WAY_SD * self._left(PRIOR_MEANS, score.network, score.steps) for score in scores]
        sds = [math.sqrt(MODEL_SD**2 + way**2 + _noise(score)) for score, way in zip(scores, ways, strict=True)]

        def residuals(theta: np.ndarray) -> np.ndarray:
            law = [self._log_error(theta, score.network, score.steps) for score in scores]
            return np.concatenate([(theta - PRIOR_MEANS) / PRIOR_SDS, (np.array(law) - targets) / sds])

        found = least_squares(residuals, PRIOR_MEANS)
        return found.x, np.linalg.inv(found.jac.T @ found.jac)

    def _left(self, theta: np.ndarray, network: Untrained, steps: int) -> float:
        """Share of the error after so many steps that more of them would still take."""
        return 1 - math.exp(self._log_error(theta, network, FOREVER) - self._log_error(theta, network, steps))

    def _log_error(self, theta: np.ndarray, network: Untrained, steps: int) -> float:
        *exponents, n_0, a = np.exp(theta)
        taken = sum(w * math.log(max(ratio, 1.0)) for w, ratio in zip(exponents, network.ratios, strict=True))
        limit = min(self.reference_error * math.exp(taken), 1.0)
        way = math.log(max(network.error, LEAST_ERROR) / limit)
        return float(math.log(limit) + way * (1 + steps / n_0) ** -a)

    def _slopes(self, network: Untrained, steps: int, width: float = 1e-4) -> np.ndarray:
        """Derivatives of the logarithm of the error by the parameters."""
        moves = width * np.eye(len(self._theta))
        ends = [[self._log_error(self._theta + sign * move, network, steps) for sign in (1, -1)] for move in moves]
        return np.array([(high - low) / (2 * width) for high, low in ends])


def _seen(score: Score) -> float:
    """The error that counts as seen: none on the images says no more than its standard error, about one image."""
    return max(score.error, score.sem, LEAST_ERROR)


def _noise(score: Score) -> float:
    """Variance of the logarithm of a score, by its images."""
    return (score.sem / _seen(score)) ** 2
