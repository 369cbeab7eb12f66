"""A surrogate of the recorded evaluations: the mean of boosted trees and a Gaussian process on the logit of the error.

Two families, because each errs in its own way, and neither is the model of any searcher here. Inputs are the decoded
numbers: shares of filters kept, bits, and the power of the quantization noise, which falls by four for each bit.
Latency is a sum over blocks, each with a time of its own for every width, times one factor where activations have fewer
than 8 bits. The size of the file is linear in its parameters. MACs, BOPs and packed size are exact. The lengths of the
Gaussian process were fitted once, by `python -m benchmarks.surrogate`, and are read from its report; what is left to do
takes a few seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from benchmarks.recorded.exact import ExactCosts
from benchmarks.recorded.rows import Recorded
from benchmarks.recorded.space import ACTIVATION_BITS
from moco.space import SearchSpace

FIT_ROWS = 700
"""Rows that the lengths of the Gaussian process are fitted to."""
RIDGE = 1e-2


def logit(shares: np.ndarray, images: int) -> np.ndarray:
    """Log odds of errors that were counted on so many images; none and all of them stay finite."""
    counted = (shares * images + 0.5) / (images + 1)
    return np.asarray(np.log(counted / (1 - counted)))


def share(logits: np.ndarray, images: int) -> np.ndarray:
    """Errors whose `logit` this is, not below 0."""
    counted = 1 / (1 + np.exp(-logits))
    return np.asarray(np.clip((counted * (images + 1) - 0.5) / images, 0.0, 1.0))


def features(space: SearchSpace, points: np.ndarray) -> np.ndarray:
    """Inputs (n, f) of points (n, n_parameters): what each parameter says, and sums over the blocks."""
    names = list(space.distributions)
    keep = [i for i, name in enumerate(names) if name.endswith(".keep")]
    bits = [i for i, name in enumerate(names) if name.endswith("_bits")]
    shares = points / np.array([float(d.high) for d in space.distributions.values()])  # type: ignore[attr-defined]
    noise = 4.0 ** (2 - points[:, bits])
    weights = [place for place, i in enumerate(bits) if names[i] != ACTIVATION_BITS]
    removed = 1 - shares[:, keep]
    sums = [shares[:, keep].mean(axis=1), noise[:, weights].sum(axis=1), (removed**2).sum(axis=1)]
    return np.column_stack([shares, noise, *sums])


@dataclass(frozen=True)
class Lengths:
    """Hyperparameters of the Gaussian process; `scales` (f,) are in units of each feature's standard deviation."""

    variance: float
    noise: float
    scales: tuple[float, ...]


def fitted_lengths(inputs: np.ndarray, logits: np.ndarray, seed: int = 0) -> Lengths:
    """The hyperparameters of largest likelihood on `FIT_ROWS` of the rows."""
    rows = np.random.default_rng(seed).permutation(len(inputs))[:FIT_ROWS]
    x = (inputs - inputs.mean(axis=0)) / _spread(inputs)
    kernel = ConstantKernel(1.0) * Matern(np.full(x.shape[1], 3.0), (0.1, 1e3), nu=2.5) + WhiteKernel(0.02)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(x[rows], logits[rows])
    product, white = process.kernel_.k1, process.kernel_.k2
    scales = tuple(float(length) for length in product.k2.length_scale)
    return Lengths(float(product.k1.constant_value), float(white.noise_level), scales)


class ErrorModel:
    """Predicts the logit of the error from `features`."""

    def __init__(self, inputs: np.ndarray, logits: np.ndarray, lengths: Lengths) -> None:
        self._centre, self._spread, self._lengths = inputs.mean(axis=0), _spread(inputs), lengths
        self._trees = HistGradientBoostingRegressor(
            max_iter=400,
            learning_rate=0.05,
            max_leaf_nodes=15,
            min_samples_leaf=8,
            l2_regularization=1.0,
            random_state=0,
        ).fit(inputs, logits)
        self._inputs = self._scaled(inputs)
        self._mean, self._scale = float(logits.mean()), float(logits.std())
        kernel = Matern(1.0, nu=2.5)
        total = lengths.variance * kernel(self._inputs) + lengths.noise * np.eye(len(inputs))
        self._weights = cho_solve(cho_factor(total, lower=True), (logits - self._mean) / self._scale)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """(n,)."""
        mean: np.ndarray = (self.trees(inputs) + self.process(inputs)) / 2
        return mean

    def trees(self, inputs: np.ndarray) -> np.ndarray:
        """(n,) by the trees alone."""
        return np.asarray(self._trees.predict(inputs))

    def process(self, inputs: np.ndarray) -> np.ndarray:
        """(n,) by the Gaussian process alone."""
        cross = self._lengths.variance * Matern(1.0, nu=2.5)(self._scaled(inputs), self._inputs)
        return np.asarray(self._mean + self._scale * (cross @ self._weights))

    def _scaled(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray((inputs - self._centre) / self._spread / np.array(self._lengths.scales))


class LatencyModel:
    """Predicts latency in ms: additive over blocks, with a factor for quantized activations of fewer than 8 bits."""

    def __init__(self, space: SearchSpace, points: np.ndarray, latency_ms: np.ndarray) -> None:
        names = list(space.distributions)
        self._keep = [i for i, name in enumerate(names) if name.endswith(".keep")]
        self._bits = names.index(ACTIVATION_BITS)
        self._widths = [np.unique(points[:, i]) for i in self._keep]
        low = points[:, self._bits] < 8
        self._factor, self._solved = 1.0, np.zeros(0)
        for _ in range(5):  # alternate: the times of the blocks, then the factor
            self._solved = _ridge(self._indicators(points), latency_ms / np.where(low, self._factor, 1.0))
            predicted = self._indicators(points) @ self._solved
            self._factor = float(np.median((latency_ms / predicted)[low]))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(n,)."""
        low = points[:, self._bits] < 8
        return np.asarray(self._indicators(points) @ self._solved * np.where(low, self._factor, 1.0))

    def _indicators(self, points: np.ndarray) -> np.ndarray:
        columns = [points[:, [i]] == widths for i, widths in zip(self._keep, self._widths, strict=True)]
        return np.column_stack([np.ones(len(points)), *columns]).astype(float)


class Surrogate:
    """All metrics of any policies of the space, from the recorded rows."""

    def __init__(self, space: SearchSpace, recorded: Recorded, lengths: Lengths) -> None:
        self._space, self._images = space, int(recorded.about["images"]["search"])
        points = recorded.points(list(space.distributions))
        errors = logit(recorded.columns["top1_error"].astype(float), self._images)
        self._exact = ExactCosts.of(space)
        self._error = ErrorModel(features(space, points), errors, lengths)
        self._latency = LatencyModel(space, points, recorded.columns["latency_ms"].astype(float))
        self._size = _ridge(self._file_parts(points), recorded.columns["size_mb"].astype(float), 1e-9)

    def __call__(self, points: np.ndarray) -> Mapping[str, np.ndarray]:
        """Metrics by name, (n,) each, of points (n, n_parameters)."""
        error = share(self._error(features(self._space, points)), self._images)
        found = {"top1_error": error, "latency_ms": self._latency(points)}
        return {**found, "size_mb": self._file_parts(points) @ self._size, **self._exact(points)}

    def _file_parts(self, points: np.ndarray) -> np.ndarray:
        names = list(self._space.distributions)
        low = points[:, names.index(ACTIVATION_BITS)] < 8
        return np.column_stack([np.ones(len(points)), self._exact(points)["parameters"] / 1e6, low])


def _ridge(inputs: np.ndarray, values: np.ndarray, ridge: float = RIDGE) -> np.ndarray:
    gram = inputs.T @ inputs
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(len(gram)), inputs.T @ values))


def _spread(inputs: np.ndarray) -> np.ndarray:
    spread = inputs.std(axis=0)
    return np.where(spread > 0, spread, 1.0)
