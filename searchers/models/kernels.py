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
        ones, others = np.take(a, columns, axis=1).T.copy(), np.take(b, columns, axis=1).T.copy()
        for x, z in zip(ones[:, :, None], others[:, None, :], strict=True):
            # In place, as low^2 (1.5 (x + z) - 2 low): it is where a suggestion's time goes.
            np.minimum(x, z, out=low)
            np.add(1.5 * x, 1.5 * z, out=rest)
            rest -= low
            rest -= low
            low *= low
            low *= rest
            total += low
        return total

    return Kernel(matrix, lambda a: np.sum(a[:, columns] ** 3, axis=1), prior)


class Distances:
    """Distances between the means of each of `kinds`, times the root of 5; the last ones are kept.

    Kernels of several lengths ask for the same, one after the other.
    """

    def __init__(self, kinds: Sequence[Columns]) -> None:
        self._kinds = kinds
        self._singles = [columns[0] for columns in kinds] if all(len(columns) == 1 for columns in kinds) else None
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(n, m) of inputs (n, d) and (m, d)."""
        if self._last is None or self._last[0] is not a or self._last[1] is not b:
            x, z = self._means(a), self._means(b)
            squared = np.sum(x**2, axis=1)[:, None] + np.sum(z**2, axis=1)[None, :] - 2 * x @ z.T
            self._last = a, b, np.sqrt(5 * np.maximum(squared, 0.0))
        return self._last[2]

    def _means(self, a: np.ndarray) -> np.ndarray:
        if self._singles is not None:
            return np.take(a, self._singles, axis=1)
        columns = (a[:, columns].mean(axis=1) if len(columns) > 1 else a[:, columns] for columns in self._kinds)
        return np.column_stack(list(columns))


def matern(kinds: Sequence[Columns] | Distances, length: float, prior: float = 1.0) -> Kernel:
    """Matern with nu = 5/2 of the distance between the means of each of `kinds`, in units of `length`."""
    distances = kinds if isinstance(kinds, Distances) else Distances(kinds)

    def matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        r = distances(a, b) / length
        found = r**2
        found /= 3
        found += 1 + r
        found *= np.exp(np.negative(r, out=r), out=r)
        return np.asarray(found)

    return Kernel(matrix, lambda a: np.ones(len(a)), prior)


def kernels_of(kinds: Sequence[Columns], parameters: Sequence[Columns]) -> tuple[Kernel, ...]:
    """What a space's processes are made of: on a plain one, without kinds, each column alone and all together."""
    every = tuple((column,) for columns in parameters for column in columns)
    root = len(every) ** 0.5
    if not kinds:
        alone = [Distances((column,)) for column in every] if len(every) > 1 else []
        single, of_every = [matern(distances, 0.4, 1.0 / len(every)) for distances in alone], Distances(every)
        together = [matern(of_every, 0.4 * root, 0.5), matern(of_every, 1.2 * root, 0.5)]
        return (constant(), linear(tuple(c for (c,) in every), 1.0 / len(every)), *single, *together)
    found: list[Kernel] = [_of_remainder(constant())]
    numbers = {columns[0] for columns in parameters if len(columns) == 1}
    for columns in kinds:
        bending = tuple(column for column in columns if column in numbers)  # of a choice it would be linear once more
        found += [mean(columns)] if len(columns) > 1 else []
        found += [_of_remainder(linear(columns, 1.0 / len(columns)), len(columns))]
        found += [_of_remainder(spline(bending, 1.0 / len(bending)), len(bending))] if bending else []
    of_every = Distances(every)
    of_kinds, of_all, smoother = (
        matern(Distances(tuple(kinds)), 0.5, 0.3),
        matern(of_every, 0.5 * root, 0.1),
        matern(of_every, root, 0.0),
    )
    return (*found, _of_remainder(of_kinds), of_all, _of_remainder(smoother))


def _of_remainder(kernel: Kernel, columns: int = 1) -> Kernel:
    """The kernel, used for what harms do not explain."""
    return replace(kernel, remainder_prior=REMAINDER / columns)
