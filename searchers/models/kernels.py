"""Covariances of policies: what a kind of parameter does alone, layer by layer, and all of them together.

Inputs are depths (n, d): how far each parameter lies from neutral, 0 to 1. A *kind* is the columns of like parameters
of all layer groups (all ratios to keep, all bits of weights).

| kernel | says that the value |
|---|---|
| `constant` | has some level |
| `linear` | changes by a slope of its own with every column, in proportion to the depth |
| `mean` | changes by a common slope with the mean depth of a kind: what a uniform policy shows |
| `spline` | bends: grows ever faster or slower with every column by itself (the integrated Wiener process) |
| `matern` | changes smoothly with all columns together, or with the means of the kinds together (nu = 5/2) |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moco.searchers.models.gaussian_process import Kernel

Columns = tuple[int, ...]
REMAINDER = 0.1
"""Variance of each kernel that is expected of what harms do not explain, in squared logits."""


def constant() -> Kernel:
    """1 for every pair."""
    return Kernel(lambda a, b: np.ones((len(a), len(b))), lambda a: np.ones(len(a)))


def linear(columns: Columns, prior: float = 1.0) -> Kernel:
    """The product of depths, summed over columns."""
    return Kernel(lambda a, b: a[:, columns] @ b[:, columns].T, lambda a: np.sum(a[:, columns] ** 2, axis=1), prior)


def mean(columns: Columns, prior: float = 1.0) -> Kernel:
    """The product of the mean depths of a kind."""

    def of(a: np.ndarray) -> np.ndarray:
        return np.asarray(a[:, columns].mean(axis=1))

    return Kernel(lambda a, b: np.outer(of(a), of(b)), lambda a: of(a) ** 2, prior)


def spline(columns: Columns, prior: float = 1.0) -> Kernel:
    """min^2 (3 max - min) / 2 of two depths, summed over columns: 1 where both are 1."""

    def matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        total, low, rest = (np.zeros((len(a), len(b))) for _ in range(3))
        for column in columns:  # in place, as low^2 (1.5 (x + z) - 2 low): it is where a suggestion's time goes
            x, z = a[:, column, None], b[None, :, column]
            np.minimum(x, z, out=low)
            np.add(1.5 * x, 1.5 * z, out=rest)
            rest -= low
            rest -= low
            low *= low
            low *= rest
            total += low
        return total

    return Kernel(matrix, lambda a: np.sum(a[:, columns] ** 3, axis=1), prior)


def matern(kinds: Sequence[Columns], length: float, prior: float = 1.0) -> Kernel:
    """Matern with nu = 5/2 of the distance between the means of each of `kinds`, in units of `length`."""

    def means(a: np.ndarray) -> np.ndarray:
        return np.column_stack([a[:, columns].mean(axis=1) if len(columns) > 1 else a[:, columns] for columns in kinds])

    def matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        x, z = means(a), means(b)
        squared = np.sum(x**2, axis=1)[:, None] + np.sum(z**2, axis=1)[None, :] - 2 * x @ z.T
        r = np.sqrt(5 * np.maximum(squared, 0.0)) / length
        return np.asarray((1 + r + r**2 / 3) * np.exp(-r))

    return Kernel(matrix, lambda a: np.ones(len(a)), prior)


def kernels_of(kinds: Sequence[Columns], parameters: Sequence[Columns]) -> tuple[Kernel, ...]:
    """What a space's processes are made of: on a plain one, without kinds, each column alone and all together."""
    every = tuple((column,) for columns in parameters for column in columns)
    root = len(every) ** 0.5
    if not kinds:
        single = [matern((column,), 0.4, 1.0 / len(every)) for column in every] if len(every) > 1 else []
        together = [matern(every, 0.4 * root, 0.5), matern(every, 1.2 * root, 0.5)]
        return (constant(), linear(tuple(c for (c,) in every), 1.0 / len(every)), *single, *together)
    found: list[Kernel] = [_of_remainder(constant())]
    numbers = {columns[0] for columns in parameters if len(columns) == 1}
    for columns in kinds:
        bending = tuple(column for column in columns if column in numbers)  # of a choice it would be linear once more
        found += [mean(columns)] if len(columns) > 1 else []
        found += [_of_remainder(linear(columns, 1.0 / len(columns)), len(columns))]
        found += [_of_remainder(spline(bending, 1.0 / len(bending)), len(bending))] if bending else []
    of_kinds, of_all, smoother = (
        matern(tuple(kinds), 0.5, 0.3),
        matern(every, 0.5 * root, 0.1),
        matern(every, root, 0.0),
    )
    return (*found, _of_remainder(of_kinds), of_all, _of_remainder(smoother))


def _of_remainder(kernel: Kernel, columns: int = 1) -> Kernel:
    """The kernel, used for what harms do not explain."""
    return replace(kernel, remainder_prior=REMAINDER / columns)
