"""Covariances of policies: what a kind of parameter does alone, layer by layer, and all of them together.

Inputs are depths (n, d): how far each parameter lies from neutral, 0 to 1. A *kind* is the columns of like parameters
of all layer groups (all ratios to keep, all bits of weights).

| kernel | says that the value |
|---|---|
| `Constant` | has some level |
| `Linear` | changes by a slope of its own with every column, in proportion to the depth |
| `Mean` | changes by a common slope with the mean depth of a kind: what a uniform policy shows |
| `Spline` | bends: grows ever faster or slower with every column by itself (the integrated Wiener process) |
| `Matern` | changes smoothly with all columns together, or with the means of the kinds together (nu = 5/2) |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moco.searchers.models.gaussian_process import Kernel

Columns = tuple[int, ...]


@dataclass(frozen=True)
class Constant:
    """1 for every pair."""

    prior: float = 1.0

    def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(n, m)."""
        return np.ones((len(a), len(b)))

    def diagonal(self, a: np.ndarray) -> np.ndarray:
        """(n,)."""
        return np.ones(len(a))


@dataclass(frozen=True)
class Linear:
    """The product of depths, summed over columns."""

    columns: tuple[int, ...]
    prior: float = 1.0

    def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(n, m)."""
        found: np.ndarray = a[:, self.columns] @ b[:, self.columns].T
        return found

    def diagonal(self, a: np.ndarray) -> np.ndarray:
        """(n,)."""
        return np.asarray(np.sum(a[:, self.columns] ** 2, axis=1))


@dataclass(frozen=True)
class Mean:
    """The product of the mean depths of a kind."""

    columns: tuple[int, ...]
    prior: float = 1.0

    def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(n, m)."""
        return np.outer(a[:, self.columns].mean(axis=1), b[:, self.columns].mean(axis=1))

    def diagonal(self, a: np.ndarray) -> np.ndarray:
        """(n,)."""
        return np.asarray(a[:, self.columns].mean(axis=1) ** 2)


@dataclass(frozen=True)
class Spline:
    """min^2 (3 max - min) / 2 of two depths, summed over columns: 1 where both are 1."""

    columns: tuple[int, ...]
    prior: float = 1.0

    def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(n, m)."""
        total = np.zeros((len(a), len(b)))
        for column in self.columns:
            x, z = a[:, column, None], b[None, :, column]
            low = np.minimum(x, z)
            total += low**2 * (3 * np.maximum(x, z) - low) / 2
        return total

    def diagonal(self, a: np.ndarray) -> np.ndarray:
        """(n,)."""
        return np.asarray(np.sum(a[:, self.columns] ** 3, axis=1))


@dataclass(frozen=True)
class Matern:
    """Matern with nu = 5/2 of the distance between the means of each of `kinds`, in units of `length`."""

    kinds: tuple[tuple[int, ...], ...]
    length: float
    prior: float = 1.0

    def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(n, m)."""
        x, z = self._means(a), self._means(b)
        squared = np.sum(x**2, axis=1)[:, None] + np.sum(z**2, axis=1)[None, :] - 2 * x @ z.T
        r = np.sqrt(5 * np.maximum(squared, 0.0)) / self.length
        found: np.ndarray = (1 + r + r**2 / 3) * np.exp(-r)
        return found

    def diagonal(self, a: np.ndarray) -> np.ndarray:
        """(n,)."""
        return np.ones(len(a))

    def _means(self, a: np.ndarray) -> np.ndarray:
        return np.column_stack([a[:, columns].mean(axis=1) for columns in self.kinds])


def kernels_of(kinds: Sequence[Columns], parameters: Sequence[Columns]) -> tuple[Kernel, ...]:
    """What the processes of a space are made of; `prior` is what is expected of each before any data.

    Args:
        kinds: columns by kind; none on a plain space, where every parameter is modelled by itself and with all others.
        parameters: columns by parameter.
    """
    every = tuple((column,) for columns in parameters for column in columns)
    root = len(every) ** 0.5
    if not kinds:
        single = [Matern((column,), 0.4, 1.0 / len(every)) for column in every] if len(every) > 1 else []
        together = [Matern(every, 0.4 * root, 0.5), Matern(every, 1.2 * root, 0.5)]
        return (Constant(), Linear(tuple(c for (c,) in every), 1.0 / len(every)), *single, *together)
    found: list[Kernel] = [Constant()]
    for columns in kinds:
        found += [Mean(columns)] if len(columns) > 1 else []
        found += [Linear(columns, 1.0 / len(columns)), Spline(columns, 1.0 / len(columns))]
    return (*found, Matern(tuple(kinds), 0.5, 0.3), Matern(every, 0.5 * root, 0.1))
